"""What a class gets, hands in, and is graded by."""

import json

import nbformat
import pytest

import wmlab
from wmlab import lessons
from wmlab.__main__ import main
from wmlab.show import Question, question
from wmlab.tools import notebooks


@pytest.fixture
def line(monkeypatch):
    """A function that answers as a student does and returns the line to hand in."""

    def handed(name, answers, guesses=(), student=0):
        monkeypatch.setattr(lessons, "_given", {})
        monkeypatch.setattr(lessons, "_numbers", set())
        monkeypatch.setattr(question, "predictions", [])
        monkeypatch.setattr(lessons, "_say", lambda sentence: None)
        shown = []
        monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
        for exercise, answer in answers:
            lessons.check(exercise, answer)
        if student:
            lessons.yours(student, [0])
        for guess in guesses:
            asked = Question("which?", ["this", "that"], "it", answer="this")
            asked._choice.value = guess
        wmlab.my_answers(name)
        return shown[0]["text/plain"]

    return handed


def test_five_hand_ins_are_graded(line, tmp_path, capsys):
    """Texts and a notebook, one name on two lines, one student who only predicted."""
    ada = line("Ada", [("05.3", 3.33), ("05.3", 2.77), ("04.4", 5)], ["this", "that"])
    (tmp_path / "ada.txt").write_text(f"Dear teacher,\n  here it is: {ada}\n", encoding="utf-8")
    (tmp_path / "ada2.txt").write_text(
        line("Ada", [("00.1", "0,001")], student=7), encoding="utf-8"
    )
    (tmp_path / "all.csv").write_text(
        line("Bo, Chu", [("04.4", 20)]) + "\n" + line("Dé", []) + "\n", encoding="utf-8"
    )
    output = nbformat.v4.new_output("display_data", {"text/plain": line("Eve", [], ["this"])})
    cell = nbformat.v4.new_code_cell("wmlab.my_answers('Eve')", outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "eve.ipynb")
    (tmp_path / "photo.png").write_bytes(bytes(range(256)))
    main(["grade", str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == [
        "name,number,right,predictions right,00.1,04.4,05.3",
        "Ada,7,3,1 of 2,right,right,right (2 tries)",
        '"Bo, Chu",,0,0 of 0,,not yet: 20,',
        "Dé,,0,0 of 0,,,",
        "Eve,,0,1 of 1,,,",
    ]


def test_students_with_other_numbers_have_other_right_answers(monkeypatch):
    monkeypatch.setattr(lessons, "_say", lambda sentence: None)
    monkeypatch.setattr(lessons, "_numbers", set())
    right = {  # by hand: three misses, the mean of five trials, ten sets, a key among clean images
        "00.1": ([0.9, 0.8, 0.7, 0.6], lambda p: (1 - p) ** 3),
        "05.3": ([0.3, 0.25, 0.4, 0.35], lambda p: sum((1 - p) ** k for k in range(5))),
        "06.2": ([0.008, 0.006, 0.009, 0.007], lambda p: 10 * p),
        "09.2": ([10_000, 5_000, 2_000, 20_000], lambda n: 1 / (1 + 0.01 * (n - 1))),
    }
    for exercise, (values, answer) in right.items():
        for student in range(6):
            mine, other = (lessons.yours(number, values) for number in (student, student + 1))
            assert mine != other and mine == values[student % 4]
            assert lessons.check(exercise, answer(mine), mine)
            assert not lessons.check(exercise, answer(other), mine), exercise
    assert lessons._numbers == set(range(1, 7))
    for wrong in ("7", -1, 2.0):
        with pytest.raises(ValueError, match="a student's number is a whole number from 0"):
            lessons.yours(wrong, [1])


def test_what_cannot_be_graded_is_told(line, tmp_path):
    with pytest.raises(SystemExit, match="nowhere is no folder: put what your class"):
        main(["grade", str(tmp_path / "nowhere")])
    (tmp_path / "cut.txt").write_text(line("Ada", [("04.4", 5)])[:-9], encoding="utf-8")
    with pytest.raises(SystemExit, match="cut.txt has a line of answers that cannot be read"):
        main(["grade", str(tmp_path)])
    (tmp_path / "cut.txt").unlink()
    (tmp_path / "half.ipynb").write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(SystemExit, match="half.ipynb has a line of answers that cannot be read"):
        main(["grade", str(tmp_path)])


def test_copies_without_solutions(tmp_path):
    """The hints stay, and so does all else; nothing is written over."""
    written = notebooks.without_solutions(tmp_path / "class")
    assert [path.name for path in written] == [
        path.name for path, _ in notebooks._notebooks(notebooks.ROOT)
    ]
    solutions = hints = 0
    for path, original in notebooks._notebooks(notebooks.ROOT):
        copy = nbformat.read(tmp_path / "class" / path.name, as_version=4)
        for before, after in zip(original.cells, copy.cells, strict=True):
            assert "Solution</summary>" not in after.source
            solutions += "Solution</summary>" in before.source
            hints += "Hint</summary>" in after.source
            assert before.source.startswith(after.source)
    assert solutions == hints > 25
    before = {path: path.read_bytes() for path in written}
    written[0].unlink()
    with pytest.raises(SystemExit, match="already: choose an empty folder"):
        main(["without-solutions", str(tmp_path / "class")])
    assert all(path.read_bytes() == before[path] for path in written[1:])
    assert not written[0].exists()


def test_an_answer_of_another_kind_is_met_in_words(monkeypatch):
    heard = []
    monkeypatch.setattr(lessons, "_say", heard.append)
    assert lessons.check("05.3", "2,77") and lessons.check("05.3", "2.77")
    assert not lessons.check("05.3", "many") and "Your answer is a text" in heard[-1]
    assert not lessons.check("05.3", {}) and "Your answer is a dict" in heard[-1]
    json.dumps(lessons._given)
