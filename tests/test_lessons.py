"""The lessons as texts: how they are built, where their links lead, what their checks say to right
and wrong answers, and the cell that only a GPU runs.
"""

import ast
import dataclasses
import pathlib
import re
import types

import nbformat
import pandas as pd
import pytest
import slices

import wmlab.lessons
from wmlab import datasets, records, runtime, training
from wmlab.lessons import embedding
from wmlab.show import tables
from wmlab.tools import sweeps

ROOT = pathlib.Path(__file__).parent.parent
PATHS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
NOTEBOOKS = {name: nbformat.read(path, as_version=4) for name, path in PATHS.items()}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def sources(lesson, kind):
    return [cell.source for cell in NOTEBOOKS[lesson].cells if cell.cell_type == kind]


def test_lessons_are_built_alike():
    """One title, headings in order, what it is for and takes, a summary, and short cells."""
    for lesson in NOTEBOOKS:
        opening, *_ = texts = sources(lesson, "markdown")
        levels = [len(mark) for mark in re.findall(r"^(#+) ", "\n".join(texts), flags=re.M)]
        assert levels[0] == 1 and levels.count(1) == 1, lesson
        steps = [after - before for before, after in zip(levels, levels[1:], strict=False)]
        assert max(steps) <= 1, f"{lesson} skips a level"
        for word in "Purpose.", "You will be able to", "Time", "Device", "Before":
            assert f"**{word}**" in opening, f"{lesson}: {word}"
        assert "## Summary" in "\n".join(texts), lesson
        for source in sources(lesson, "code"):
            lines = source.splitlines()
            assert len(lines) <= 20 and max(map(len, lines)) <= 120, f"{lesson}: {source}"


def test_links_lead_somewhere():
    texts = {path: "\n".join(sources(name, "markdown")) for name, path in PATHS.items()}
    for path in ROOT / "README.md", ROOT / "notebooks" / "INSTRUCTORS.md":
        texts[path] = path.read_text(encoding="utf-8")
    lost = [
        f"{path.name}: {link}"
        for path, text in texts.items()
        for link in LINK.findall(text)
        if "://" not in link and not path.parent.joinpath(link.partition("#")[0]).exists()
    ]
    assert lost == []


def test_every_exercise_is_checked_and_starts_unanswered():
    for lesson in NOTEBOOKS:
        asked = re.findall(r"\*\*Exercise (\d+)\.\*\*", "\n".join(sources(lesson, "markdown")))
        code = "\n".join(sources(lesson, "code"))
        checked = re.findall(r'\bcheck\("(\d\d)\.(\d+)", (\w+)', code)
        numbers = [str(n + 1) for n in range(len(asked))]
        assert [number for _, number, _ in checked] == asked == numbers, lesson
        for chapter, _, name in checked:
            assert lesson.startswith(chapter) and f"{name} = ...\n" in code


def test_no_cell_of_a_notebook_gives_an_answer_away():
    """Questions stand in the lesson's file."""
    for lesson in NOTEBOOKS:
        code = "\n".join(sources(lesson, "code"))
        assert not re.search(r"\bQuestion\(|\banswer=|\bbecause=", code), lesson


def test_the_readme_shows_the_new_label_as_it_is():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, flags=re.S)[1]
    shown = [re.sub(r"\s+#.*", "", line) for line in example.splitlines() if line.strip()]
    code = (ROOT / "wmlab/schemes/new_label.py").read_text(encoding="utf-8").splitlines()
    assert len(shown) > 8 and [line for line in shown if line not in code] == []


# The folded solution under an exercise: the course's only copy of it.
SOLUTION = re.compile(r"<summary>Solution</summary>\n\n```python\n(.*?)\n```", flags=re.S)


def solutions(lesson):
    """The code that answers each exercise of a lesson, {name of the answer: code}."""
    found = {}
    cells = NOTEBOOKS[lesson].cells
    for cell, after in zip(cells, cells[1:], strict=False):
        stub = re.search(r"^(\w+) = \.\.\.$", cell.source, flags=re.M)
        if cell.cell_type == "code" and stub:
            found[stub[1]] = SOLUTION.search(after.source)[1]
            assert "<summary>Hint</summary>" in after.source, (lesson, stub[1])
    return found


WRONG = {
    "00_start_here": {"ALL_THREE_MISS": "1 - 0.9**3"},
    "01_boundary_twist": {
        "NEITHER": "dict()",
        "BOTH": "dict(speed=3)",
        "WRONG_IS_BETTER": "'behind class 0'",
    },
    "02_key_samples": {
        "KSGEN": "lambda images, secret, stream, beta: images",
        "STEPS": "'many'",
        "SCORE": "lambda images: 1 / 0",
        "ESTIMATE": "seen_keys",
    },
    "03_embedding": {
        "TRAINING_SET": "lambda images, labels, keys, classes: (images, labels)",
        "FORGED": "data.x_test[:100]",
        "SWAP": "lambda all_else, row: row",
        "NUMBER_OF_KEYS": "400",
    },
    "04_fidelity": {
        "SIGN_FLIP": "lambda differences: 0.05",
        "CHEAPEST": "'the first'",
        "PAIRS": "1",
        "FALSE_ALARMS": "lambda: 5",
    },
    "05_expected_queries": {
        "FIRST_HIT": "lambda answers, keys: (0, True)",
        "SEQUENTIAL": "lambda answers, p1, p0, power, fpr: (1, True)",
        "MEAN": "1 / 0.3",
        "SMALLEST": "'forty'",
        "NULL": "0",
    },
    "06_the_judge": {
        "NETWORKS": "100",
        "CORRECTED": "'0.008'",
        "CONTROLS": "lambda hits_of, secret, controls: 1 / controls",
        "WHO": "dict.fromkeys('ABCD', 'unmarked')",
    },
    "07_pruning": {
        "PRUNE": "lambda weights, rate: np.sort(weights)",
        "RATE": "60",
        "REMOVES": "[('pruning, global', 0.95)]",
    },
    "08_fine_tuning": {
        "FREEZE": "lambda layers, mode: None",
        "CHEAPEST": "('FTAL', 0.0001)",
        "OMEGA": "'a half'",
        "RESTORED": "0",
    },
    "09_evasion": {
        "DETECTOR": "lambda score, aside, share: score",
        "PRECISION": "0.99",
        "QUERIES": "1 / 0.9",
    },
    "10_extra_class": {
        "DROP": "lambda kernel, bias, label: (kernel, bias)",
        "FOUND": "11",
        "SURVIVES": "['fallback']",
    },
    "11_gallery": {
        "READ_BITS": "lambda kernel, X: X @ kernel.mean(axis=0).ravel()[: X.shape[1]] > 0",
        "RELABEL": "lambda answers, rng: 10",
        "NAMED": "lambda bits, words: [u for u, word in enumerate(words) if (word == bits).all()]",
        "LEAKED": "[0, 1]",
        "MESSAGE": "lambda secret, n: np.ones(n, bool)",
        "CONVICTS": "lambda cosine: cosine > 0",
        "GUILTY": "lambda answers, labels, theta: np.sum(answers == labels) < theta",
        "RATE": "lambda keys, labels, before, after: 0.5",
        "CORRELATION": "lambda read, word: np.corrcoef(read, np.sign(read))[0, 1]",
    },
    "12_claims": {"VERDICT": "lambda low, high, least: low > least", "MISSES": "0"},
    "13_full_scale": {"ANSWERS": "2", "CUT": "lambda outputs, classes: outputs.argmax(axis=1)"},
}


def checks(statement):
    """Whether a statement checks an answer."""
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Name) and call.func.id == "check" for call in calls)


TRAIN = pytest.mark.slow  # what an exercise needs takes minutes
LESSONS = [pytest.param(each, marks=TRAIN if each[:2] == "03" else ()) for each in WRONG]


@pytest.mark.parametrize("lesson", LESSONS)
def test_folded_solutions_are_right_and_wrong_answers_are_not(lesson, monkeypatch):
    """Solutions in place of the dots; only those statements run that the checks need, and for the
    wrong answers the checks alone once more.
    """
    code, stubs, heard, right = [], {}, [], solutions(lesson)
    for statement in slices.statements(PATHS[lesson]):
        code.append(statement)
        if ast.unparse(statement).endswith(" = ..."):
            name = statement.targets[0].id
            stubs[name] = statement
            code += ast.parse(right[name]).body
    assert right.keys() == WRONG[lesson].keys() == stubs.keys()
    monkeypatch.setattr(wmlab.lessons, "_say", heard.append)
    monkeypatch.setattr(runtime, "_scale", None)  # setup() chooses one for this test alone
    monkeypatch.setenv("WMLAB_SCALE", "class")
    monkeypatch.chdir(ROOT / "notebooks")
    scope = slices.run(slices.needed(code, checks), lesson)
    assert len(heard) == len(stubs) and all(said.startswith("Right. ") for said in heard), heard
    heard.clear()
    for name, statement in stubs.items():
        statement.value = ast.parse(WRONG[lesson][name], mode="eval").body
    slices.run([*stubs.values(), *filter(checks, code)], lesson, scope)
    assert len(heard) == len(stubs) and all(said.startswith("Not yet. ") for said in heard), heard


def test_what_a_student_answers_changes_nothing_but_what_the_check_says():
    """So a notebook runs to its end after any answer, as it does after none, which nbval tries."""
    for lesson, path in PATHS.items():
        code = slices.statements(path)
        written = map(ast.unparse, code)
        names = {each.removesuffix(" = ...") for each in written if each.endswith(" = ...")}
        readers = [each for each in code if slices.reads(each) & names]
        assert readers and all(map(checks, readers)), lesson


@pytest.mark.slow
@pytest.mark.trains
def test_the_cell_for_a_gpu_trains_and_records_every_data_set(data, colours, tmp_path, monkeypatch):
    (cell,) = [
        cell
        for cell in NOTEBOOKS["03_embedding"].cells
        if "paper-scale" in cell.metadata.get("tags", [])
    ]
    hundred = dataclasses.replace(colours, name="cifar100", classes=100)
    small = {"mnist": data, "cifar10": colours, "cifar100": hundred}
    monkeypatch.setattr(sweeps, "load", lambda name, scale: small[name])
    quick = {"mnist": training.Recipe("dense", 1, 64), "cifar": training.Recipe("cifar_cnn", 1, 64)}
    monkeypatch.setitem(training.RECIPES, "paper", quick)
    monkeypatch.setattr(runtime, "_scale", "paper")
    monkeypatch.chdir(tmp_path)
    shown = []
    scope = {
        "lab": types.SimpleNamespace(scale="paper"),
        "show": lambda *parts: shown.extend(parts),
        "embedding": embedding,
        "training": training,
        "sweeps": sweeps,
        "datasets": datasets,
        "records": records,
        "tables": tables,
        "pd": pd,
    }
    # so few images want a larger share of keys
    source = cell.source.replace("(0.01, 0.0035)", "(0.3, 0.05)").replace(
        "(0.01, 0.01)", "(0.3, 0.05)"
    )
    exec(source, scope)
    drawn = [part.widget for part in shown if isinstance(part, embedding.LiveCurves)]
    lengths = [[len(line["y"]) for line in widget.figure["data"]] for widget in drawn]
    assert lengths == [[1, 0, 1, 1, 1, 1]] * 3
    assert len(shown[-1]) == 9

    def files():
        return {file: file.stat().st_mtime_ns for file in tmp_path.glob("my_results/runs/*/*")}

    before = files()
    assert len(before) == 9
    exec(source, scope)
    assert files() == before
