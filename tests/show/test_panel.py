"""The panel: from code it raises, from the page it shows; jobs and moves share the loop; questions
hide their result.
"""

import asyncio

import ipywidgets as widgets
import pytest

from wmlab.show import Panel, Question
from wmlab.show import panel as panel_module
from wmlab.show.figures import figure
from wmlab.show.question import predictions


def bar(height):
    return figure([dict(type="bar", x=["x"], y=[height])])


def height(panel):
    """What is drawn, and what went to the page: the same."""
    drawn, sent = (part["data"][0]["y"][0] for part in (panel.figure, panel._shown.figure))
    assert drawn == sent
    return drawn


@pytest.fixture
def squares():
    def picture(x):
        if x == 13:
            raise ZeroDivisionError("thirteen <b>")
        return bar(x * x), f"the square is {x * x}", x * x

    return Panel(picture, x=widgets.IntSlider(3, 0, 20))


@pytest.fixture
def three():
    """A panel with three controls, of which one is shown, and two presets."""
    return Panel(
        lambda a, b, c: (bar(a), f"now {a} {b} {c}"),
        presets={"high": {"a": 9}, "impossible": {"b": 99}},
        first=1,
        a=widgets.IntSlider(1, 0, 9),
        b=widgets.IntSlider(2, 0, 9),
        c=widgets.Dropdown(options=["x", "y"]),
    )


def button(panel, name):
    return next(each for each in panel.widget.children[2].children if each.description == name)


def test_set_moves_the_control_and_draws_or_raises_and_leaves_all_as_it_was(squares):
    assert height(squares) == 9 and squares.caption_text == "the square is 9"
    squares.set(x=5)
    assert squares.controls["x"].value == 5 and height(squares) == squares.result == 25
    for wrong, error, words in [
        ({"x": 13}, ZeroDivisionError, "thirteen"),
        ({"y": 1}, ValueError, "no y: its controls are x"),
        ({"x": 50}, ValueError, "x cannot be 50: its control is at 20"),
        ({"x": "seven"}, ValueError, "x cannot be seven"),
    ]:
        with pytest.raises(error, match=words):
            squares.set(**wrong)
        assert squares.settings() == {"x": 5} and height(squares) == 25


def test_controls_unfold_sliders_apart_from_the_others(three):
    sliders, others = three.widget.children[:2]
    a, b, c = three.controls.values()
    assert (sliders.children, others.children) == ((a,), ())
    three._more.value = True
    assert (sliders.children, others.children) == ((a, b), (c,))
    three._more.value = False
    assert (sliders.children, others.children) == ((a,), ())


def test_a_projector_has_a_larger_picture_and_the_same_controls(three):
    before = three._shown.figure["layout"]
    three._projector.value = True
    larger = three._shown.figure["layout"]
    assert larger["height"] == 1.5 * before["height"]
    look, grown = (layout["template"]["layout"] for layout in (before, larger))
    assert grown["title"]["font"]["size"] == 1.5 * look["title"]["font"]["size"]
    assert "wmlab-projected" in three.widget._dom_classes
    assert three.widget.children[0].children == (three.controls["a"],)
    three.set(a=4)
    assert three._shown.figure["layout"]["height"] == larger["height"]
    three._projector.value = False
    assert three._shown.figure["layout"] == before == three.figure["layout"]
    assert "wmlab-projected" not in three.widget._dom_classes


def test_a_preset_says_what_it_set_until_something_moves(three):
    assert three._chip.value == ""
    three.presets["both"] = {"b": 7, "c": "y"}
    three.controls["c"].description = "the <c>"
    three._preset("both")
    assert " 7 · the &lt;c&gt; y" in three._chip.value
    three.controls["a"].value = 3
    assert three._chip.value == ""


def test_presets_start_from_the_start_and_reset_goes_back(three):
    three.set(b=7, c="y")
    button(three, "high").click()
    assert three.settings() == {"a": 9, "b": 2, "c": "x"} and height(three) == 9
    button(three, "impossible").click()
    assert "b cannot be 99" in three.error and three.error in three.caption.value
    assert three.settings() == {"a": 9, "b": 2, "c": "x"}
    button(three, "Reset").click()
    assert three.settings() == {"a": 1, "b": 2, "c": "x"} and three.error is None


def test_an_error_of_a_move_is_shown_and_the_next_move_works(squares):
    squares.controls["x"].value = 13
    assert squares.error == "ZeroDivisionError: thirteen <b>"
    assert (
        "That did not work" in squares.caption.value
        and "thirteen &lt;b&gt;" in squares.caption.value
    )
    squares.controls["x"].value = 4
    assert squares.error is None and height(squares) == 16


def test_what_a_reader_drags_becomes_a_setting_or_goes_back():
    moves = []

    def dragged(moved):
        moves.append(moved)
        at = moved.get("shapes[0].x0")
        return None if at is None else {"x": round(at)}

    panel = Panel(lambda x: (bar(x), str(x)), dragged=dragged, x=widgets.IntSlider(3, 0, 20))
    panel._shown.dragged = {"shapes[0].x0": 6.7, "shapes[0].x1": 6.7}
    assert panel.settings() == {"x": 7} and height(panel) == 7
    panel._shown.dragged = {"shapes[1].x0": 1}
    assert panel.settings() == {"x": 7} and len(moves) == 2
    panel._shown.dragged = {"shapes[0].x0": 99}
    assert "x cannot be 99" in panel.error


class Watched:
    """A panel in a loop whose pictures are counted, with a job of three steps."""

    def __init__(self, cost=0.0):
        self.drawn, self.cost = [], cost
        self.panel = Panel(self.picture, jobs={"count": self.count}, x=widgets.IntSlider(0, 0, 99))

    def picture(self, x):
        self.drawn.append(x)
        return bar(x), f"picture of {x}"

    def count(self, x):
        for step in range(1, 4):
            if x == 13:
                raise ZeroDivisionError("a job failed")
            yield step / 3, (bar(100 * step), f"step {step} of {x}")

    def move(self, *values):
        for value in values:
            self.panel.controls["x"].value = value


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


def test_a_storm_of_moves_draws_few_pictures_and_always_the_last(monkeypatch):
    async def storm():
        watched = Watched()
        panel = watched.panel
        # As after a picture that took 0.2 s: the next may come after half of that.
        monkeypatch.setattr(panel, "_rested", panel_module.time.monotonic() + 0.1)
        watched.move(*range(1, 51))
        assert watched.drawn == [0], "a move within the rest is not drawn at once"
        await until(lambda: watched.drawn[-1] == 50)
        assert watched.drawn == [0, 50] and height(panel) == 50
        monkeypatch.setattr(panel, "_rested", 0.0)
        watched.move(60)
        assert watched.drawn[-1] == 60, "after a rest a move is drawn at once"
        monkeypatch.setattr(panel, "_rested", panel_module.time.monotonic() + 0.05)
        watched.move(70)
        panel.set(x=80)  # from code: it overtakes the picture that is due
        await asyncio.sleep(0.15)
        assert watched.drawn[-2:] == [60, 80] and height(panel) == 80

    asyncio.run(storm())


def test_an_error_in_a_picture_that_was_due_is_shown(squares, monkeypatch):
    async def storm():
        monkeypatch.setattr(squares, "_rested", panel_module.time.monotonic() + 0.05)
        squares.controls["x"].value = 13
        await until(lambda: squares.error)
        assert "thirteen" in squares.error
        squares.controls["x"].value = 2
        await until(lambda: height(squares) == 4)

    asyncio.run(storm())


def test_a_job_from_code_draws_every_result_or_raises(squares):
    watched = Watched()
    watched.panel.run("count")
    assert height(watched.panel) == 300 and watched.panel.caption_text == "step 3 of 0"
    with pytest.raises(ValueError, match="no job 'dance': choose one of count"):
        watched.panel.run("dance")
    with pytest.raises(ValueError, match="choose one of none"):
        squares.run("count")
    watched.panel.set(x=13)
    with pytest.raises(ZeroDivisionError):
        watched.panel.run("count")
    button(watched.panel, "count").click()  # without a loop, as in a script: shown
    assert "a job failed" in watched.panel.error


def test_a_job_in_a_loop_shows_progress_and_ends_and_starts_once():
    async def work():
        watched, seen = Watched(), []
        panel = watched.panel
        panel._bar.observe(lambda change: seen.append(round(change["new"], 2)), "value")
        button(panel, "count").click()
        button(panel, "count").click()
        await until(lambda: panel._task is None and panel.caption_text == "step 3 of 0")
        assert seen == [0.33, 0.67, 1] and not panel._working.children
        watched.move(13)
        button(panel, "count").click()
        await until(lambda: panel.error)
        assert "a job failed" in panel.caption.value and panel._task is None

    asyncio.run(work())


@pytest.mark.parametrize("stop", ["cancel", "move", "set", "run"])
def test_cancel_a_move_and_code_end_a_job(stop):
    async def work():
        watched = Watched()
        panel = watched.panel
        button(panel, "count").click()
        await until(lambda: panel.caption_text == "step 1 of 0")
        {
            "cancel": panel._cancel.click,
            "move": lambda: watched.move(5),
            "set": lambda: panel.set(x=5),
            "run": lambda: panel.run("count"),
        }[stop]()
        await asyncio.sleep(0.1)
        wanted = {"cancel": "step 1 of 0", "run": "step 3 of 0"}.get(stop, "picture of 5")
        if stop == "move":
            await until(lambda: panel.caption_text == wanted)
        assert panel.caption_text == wanted and not panel._working.children and panel._task is None
        assert ("Cancelled" in panel.caption.value) == (stop == "cancel")
        button(panel, "count").click()
        await until(lambda: panel._task is None and "step 3" in panel.caption_text)

    asyncio.run(work())


@pytest.fixture
def question():
    made = []

    def result():
        made.append(1)
        return "<i>here it is</i>"

    question = Question("How many?", ["one", "two"], result, answer="two", because="Because.")
    question.made = made
    return question


def shown(question):
    return [getattr(part, "value", "") for part in question._shown.children]


def test_a_question_hides_its_result_until_one_is_chosen_and_makes_it_once(question):
    assert not question.made and "Choose first" in shown(question)[0]
    question._choice.value = "one"
    assert "✗ You said “one”; the answer is “two”. Because." in shown(question)[0]
    assert "here it is" in shown(question)[1]
    question._choice.value = "two"
    assert "Your first choice counts: “one”." in shown(question)[0]
    assert question.chosen == "one" and len(question.made) == 1
    question.reveal()
    assert len(question.made) == 1


def test_code_that_reveals_makes_the_result_and_opens_no_prediction(question, monkeypatch):
    """So "Run all" spoils nothing. Whoever only watches presses a button, or sets a variable."""
    monkeypatch.delenv("WMLAB_WATCH", raising=False)
    question.reveal()
    assert len(question.made) == 1 and "Choose first" in shown(question)[0]
    assert "here it is" not in shown(question)
    question._skip.click()
    assert (
        "The answer: “two”. Because." in shown(question)[0] and "You said" not in shown(question)[0]
    )
    assert "here it is" in shown(question)[1] and question.chosen is None
    before = len(predictions)
    question._choice.value = "two"
    assert "You saw the result first" in shown(question)[0] and "✓" not in shown(question)[0]
    assert question.chosen is None and len(predictions) == before
    monkeypatch.setenv("WMLAB_WATCH", "1")
    other = Question("?", ["a"], "x")
    other.reveal()
    assert shown(other)[1] == "x"


def test_every_prediction_hears_how_it_compares(question):
    question._choice.value = "two"
    assert "✓ Right: “two”." in shown(question)[0]
    other = Question("?", ["a < b"], "x")
    other._choice.value = "a < b"
    assert "You said “a &lt; b”. Compare it with the result." in shown(other)[0]


def test_a_result_that_cannot_be_made_is_shown_as_an_error():
    question = Question("?", ["a"], lambda: 1 / 0)
    question._choice.value = "a"
    assert "ZeroDivisionError" in question.error and "That did not work" in shown(question)[0]
