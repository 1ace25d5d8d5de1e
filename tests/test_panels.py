"""Panels: driven from code they raise, from the front end they show; jobs and moves share the loop;
questions hide their result.
"""

import asyncio
import time

import ipywidgets as widgets
import pytest

from wmlab.show import Panel, Question, figures
from wmlab.show.panel import live


@pytest.fixture
def panel():
    def compute(x):
        if x == 13:
            raise ZeroDivisionError("thirteen")
        return x * x

    def draw(figure, square):
        figure.data[0].y = [square]
        return f"the square is {square}"

    return Panel(
        figures.blank().add_bar(x=["x"], y=[0]), {"x": widgets.IntSlider(3, 0, 20)}, compute, draw
    )


def test_a_panel_draws_its_first_state(panel):
    assert panel.figure.data[0].y == (9,) and "the square is 9" in panel.caption.value


def test_set_moves_the_control_and_draws(panel):
    panel.set(x=5)
    assert panel.controls["x"].value == 5 and panel.figure.data[0].y == (25,) and panel.result == 25


def test_set_raises(panel):
    with pytest.raises(ZeroDivisionError):
        panel.set(x=13)
    with pytest.raises(ValueError, match="no y"):
        panel.set(y=1)
    with pytest.raises(ValueError, match="cannot be 50"):
        panel.set(x=50)


def test_a_change_that_fails_leaves_every_control_as_it_was(panel):
    for value in (13, 50, "seven"):
        with pytest.raises((ZeroDivisionError, ValueError)):
            panel.set(x=value)
        assert panel.settings() == {"x": 3} and panel.figure.data[0].y == (9,)


@pytest.fixture
def large():
    """A panel with three controls, of which one is shown, and two presets."""
    controls = {
        "a": widgets.IntSlider(1, 0, 9),
        "b": widgets.IntSlider(2, 0, 9),
        "c": widgets.Dropdown(options=["x", "y"]),
    }
    return Panel(
        figures.blank().add_bar(x=["x"], y=[0]),
        controls,
        lambda a, b, c: (a, b, c),
        lambda figure, result: f"now {result}",
        {"high": {"a": 9}, "impossible": {"b": 99}},
        first=1,
    )


def button(panel, name):
    return next(child for child in panel.widget.children[1].children if child.description == name)


def test_one_control_at_first_and_the_rest_unfolds(large):
    row = large.widget.children[0]
    assert list(row.children) == [large.controls["a"]]
    button(large, "More controls").value = True
    assert list(row.children) == list(large.controls.values())


def test_a_projector_has_two_controls_and_large_type(large):
    button(large, "Projector").value = True
    assert len(large.widget.children[0].children) == 2 and large.figure.layout.font.size == 22
    assert "24px" in large.caption.value and "now (1, 2, 'x')" in large.caption.value
    button(large, "Projector").value = False
    assert (
        len(large.widget.children[0].children) == 1
        and large.figure.layout.font.size == 14
        and "16px" in large.caption.value
    )


def test_presets_start_from_the_start_and_reset_goes_back(large):
    large.set(b=7, c="y")
    button(large, "high").click()
    assert large.result == (9, 2, "x") and large.error is None
    button(large, "Reset").click()
    assert large.result == (1, 2, "x")
    button(large, "impossible").click()
    assert (
        "b cannot be 99" in large.error
        and "b cannot be 99" in large.caption.value
        and large.result == (1, 2, "x")
    )


def test_a_storm_of_moves_ends_at_the_last_one(large):
    for n in range(1000):
        large.controls["a"].value = n % 10
        large.controls["b"].value = (n // 10) % 10
    assert (
        large.result == (9, 9, "x")
        and large.error is None
        and "now (9, 9, 'x')" in large.caption.value
    )


def test_a_callback_that_raises_is_shown_and_the_next_move_works(panel):
    panel.controls["x"].value = 13
    assert panel.error == "ZeroDivisionError: thirteen" and "thirteen" in panel.caption.value
    panel.controls["x"].value = 4
    assert panel.error is None and panel.figure.data[0].y == (16,)


class Watched(Panel):
    """A panel of two sliders whose pictures take 5 ms, with a job of ten steps; `drawn` is all that
    it has drawn.
    """

    def __init__(self):
        def compute(a, b):
            time.sleep(0.005)
            if a == 13:
                raise ZeroDivisionError("thirteen")
            return a, b

        def train(a, b):
            for step in range(1, 11):
                if (a, step) == (7, 4):
                    raise ZeroDivisionError("seven at step 4")
                yield step / 10, (a, b, step)

        self.drawn, sliders = [], {name: widgets.IntSlider(0, 0, 1000) for name in "ab"}
        super().__init__(
            figures.blank(),
            sliders,
            compute,
            lambda _, result: self.drawn.append(result) or f"now {result}",
            {"nine": {"a": 9}},
            jobs={"Train": train},
        )

    @property
    def working(self):
        """The progress bar and Cancel, while they are shown."""
        return self.widget.children[2].children


def in_a_loop(story):
    """Run story(panel) as a kernel would, inside a loop, on a panel whose first picture is old;
    returns what it drew since.
    """

    async def play():
        panel = Watched()
        await asyncio.sleep(0.02)
        panel.drawn.clear()
        await asyncio.wait_for(story(panel), 30)
        return panel

    return asyncio.run(play()).drawn


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_a_job_from_code_draws_every_result():
    panel = Watched()
    panel.set(a=2)
    panel.drawn.clear()
    panel.run("Train")
    assert panel.drawn == [(2, 0, step) for step in range(1, 11)] and panel.result == (2, 0, 10)
    assert "now (2, 0, 10)" in panel.caption.value and panel.error is None


def test_a_job_from_code_raises(panel, large):
    watched = Watched()
    watched.set(a=7)
    with pytest.raises(ZeroDivisionError, match="seven at step 4"):
        watched.run("Train")
    with pytest.raises(ValueError, match="no job 'Dance': choose one of Train"):
        watched.run("Dance")
    with pytest.raises(ValueError, match="no job 'Dance': choose one of none"):
        large.run("Dance")


def test_a_job_without_a_loop_runs_to_its_end_and_shows_its_error():
    panel = Watched()
    button(panel, "Train").click()
    assert panel.result == (0, 0, 10) and panel.error is None and panel.working == ()
    panel.set(a=7)
    button(panel, "Train").click()
    assert (
        panel.error == "ZeroDivisionError: seven at step 4"
        and "seven at step 4" in panel.caption.value
    )
    panel.controls["a"].value = 3
    assert panel.error is None and panel.result == (3, 0)


def test_a_job_in_a_loop_shows_its_progress_and_ends():
    async def story(panel):
        seen, shown_at = [], []
        panel.widget.children[2].observe(
            lambda change: change["new"] and shown_at.append(change["new"][0].value), "children"
        )
        button(panel, "Train").click()
        await until(lambda: panel.working)
        bar, cancel = panel.working
        bar.observe(lambda change: seen.append(change["new"]), "value")
        assert cancel.description == "Cancel"
        await until(lambda: not panel.working)
        assert (
            (seen[-1], len(set(seen))) == (1, len(seen)) and len(seen) >= 9 and seen == sorted(seen)
        )
        assert (
            panel.result == (0, 0, 10)
            and panel.error is None
            and "now (0, 0, 10)" in panel.caption.value
        )
        button(panel, "Train").click()
        await until(lambda: panel.working)
        await until(lambda: not panel.working)
        assert shown_at == [0, 0]

    assert in_a_loop(story) == [(0, 0, step) for step in range(1, 11)] * 2


def test_a_job_in_progress_is_not_started_twice():
    async def story(panel):
        button(panel, "Train").click()
        await until(lambda: panel.working)
        button(panel, "Train").click()
        await until(lambda: not panel.working)
        await asyncio.sleep(0.1)

    assert in_a_loop(story) == [(0, 0, step) for step in range(1, 11)]


def test_cancel_stops_a_job_and_says_so():
    async def story(panel):
        button(panel, "Train").click()
        await until(lambda: len(panel.drawn) == 3)
        panel.working[1].click()
        assert "now (0, 0, 3) Cancelled" in panel.caption.value
        await asyncio.sleep(0.2)
        assert panel.working == () and panel.result == (0, 0, 3) and panel.error is None
        assert "Cancelled" in panel.caption.value
        button(panel, "Train").click()
        await until(lambda: panel.result == (0, 0, 10))

    assert len(in_a_loop(story)) == 3 + 10


@pytest.mark.parametrize(
    "move",
    [
        lambda panel: setattr(panel.controls["a"], "value", 5),
        lambda panel: panel.set(a=5),
        lambda panel: button(panel, "nine").click(),
        lambda panel: button(panel, "Reset").click(),
    ],
    ids=["slider", "code", "preset", "reset"],
)
def test_a_move_cancels_a_job_and_has_the_last_word(move):
    async def story(panel):
        button(panel, "Train").click()
        await until(lambda: len(panel.drawn) == 3)
        move(panel)
        await asyncio.sleep(0.2)
        assert (
            panel.working == ()
            and panel.error is None
            and panel.result == (panel.controls["a"].value, 0)
        )
        assert (
            "Cancelled" not in panel.caption.value and f"now {panel.result}" in panel.caption.value
        )

    assert len(in_a_loop(story)) == 3 + 1


def test_an_error_in_a_job_is_shown_and_the_panel_goes_on():
    async def story(panel):
        panel.set(a=7)
        button(panel, "Train").click()
        await until(lambda: panel.error)
        assert (
            panel.error == "ZeroDivisionError: seven at step 4"
            and "seven at step 4" in panel.caption.value
        )
        await until(lambda: not panel.working)
        panel.controls["a"].value = 8
        await until(lambda: panel.result == (8, 0))
        assert panel.error is None
        button(panel, "Train").click()
        await until(lambda: panel.result == (8, 0, 10))

    in_a_loop(story)


def test_a_storm_of_moves_draws_few_pictures_and_the_last():
    async def story(panel):
        for n in range(1, 1001):
            panel.controls["a"].value = n
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert (
            panel.result == (1000, 0)
            and "now (1000, 0)" in panel.caption.value
            and panel.error is None
        )

    drawn = in_a_loop(story)
    assert 2 <= len(drawn) < 300 and drawn[-1] == (1000, 0) and drawn == sorted(set(drawn))


def test_a_storm_in_one_go_draws_the_first_move_and_the_last():
    async def story(panel):
        for n in range(1, 1001):
            panel.controls["a"].value = n
        await asyncio.sleep(0.1)

    assert in_a_loop(story) == [(1, 0), (1000, 0)]


def test_a_move_after_a_rest_is_drawn_at_once():
    async def story(panel):
        for n in (1, 2, 3):
            panel.controls["a"].value = n
            assert panel.result == (n, 0)
            await asyncio.sleep(0.05)

    assert in_a_loop(story) == [(1, 0), (2, 0), (3, 0)]


def test_two_sliders_at_once_end_at_both_last_values():
    async def story(panel):
        for n in range(1, 301):
            panel.controls["a"].value = n
            panel.controls["b"].value = 1000 - n
            if n % 10 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert panel.result == (300, 700) and panel.error is None

    assert in_a_loop(story)[-1] == (300, 700)


def test_a_change_from_code_overtakes_a_picture_that_is_due():
    async def story(panel):
        panel.controls["a"].value = 1
        panel.controls["a"].value = 2
        panel.set(b=6, a=4)
        assert panel.result == (4, 6)
        await asyncio.sleep(0.1)
        assert panel.result == (4, 6) and "now (4, 6)" in panel.caption.value

    assert in_a_loop(story) == [(1, 0), (4, 6)]


def test_an_error_in_a_picture_that_was_due_is_shown_and_the_next_move_works():
    async def story(panel):
        panel.controls["a"].value = 1
        panel.controls["a"].value = 13
        await until(lambda: panel.error)
        assert "thirteen" in panel.caption.value
        panel.controls["a"].value = 14
        await until(lambda: panel.result == (14, 0))
        assert panel.error is None

    in_a_loop(story)


@pytest.mark.parametrize(
    "stop",
    [lambda panel: panel._cancel.click(), lambda panel: panel.set(a=5)],
    ids=["cancel", "move"],
)
def test_a_job_that_is_cancelled_before_its_first_step_can_be_started_again(stop):
    async def story(panel):
        button(panel, "Train").click()
        stop(panel)
        await asyncio.sleep(0.05)
        button(panel, "Train").click()
        await asyncio.sleep(0.3)
        assert panel.result == (panel.controls["a"].value, 0, 10) and panel.working == ()

    in_a_loop(story)


@pytest.mark.parametrize(
    "start",
    [lambda panel: button(panel, "Train").click(), lambda panel: panel.run("Train")],
    ids=["button", "code"],
)
def test_a_picture_that_is_due_does_not_come_after_a_job(start):
    async def story(panel):
        panel.controls["a"].value = 1
        panel.controls["a"].value = 2
        start(panel)
        await asyncio.sleep(0.3)
        assert panel.result == (2, 0, 10)

    in_a_loop(story)


def test_a_job_from_code_has_the_last_word_over_one_in_progress():
    async def story(panel):
        button(panel, "Train").click()
        await until(lambda: len(panel.drawn) == 3)
        panel.run("Train")
        await asyncio.sleep(0.2)
        assert panel.working == ()

    assert in_a_loop(story)[3:] == [(0, 0, step) for step in range(1, 11)]


def report(figure):
    """What the page says once plotly has drawn."""
    figure.set_state(
        {"_js2py_traceDeltas": {"trace_deltas": [], "trace_edit_id": figure._last_trace_edit_id}}
    )


@pytest.mark.parametrize(
    ("layout", "wide"),
    [({}, True), ({"width": 500}, False), ({"height": 300, "autosize": False}, True)],
)
def test_a_live_figure_fills_the_notebook_unless_it_has_a_width(layout, wide):
    assert live(figures.blank(**layout)).layout.autosize is wide


def test_a_live_figure_answers_the_first_report_of_the_page_only():
    figure, sent = live(figures.blank().add_bar(x=["x"], y=[0])), []
    figure.observe(
        lambda change: change["new"] and sent.append(change["new"]["relayout_data"]),
        "_py2js_relayout",
    )
    report(figure)
    report(figure)
    assert (
        sent == [{"meta": "drawn"}]
        and figure.layout.meta == "drawn"
        and figure.layout.autosize is True
    )
    figure.layout.meta = "mine"
    report(figure)
    assert figure.layout.meta == "mine"


def shown(question):
    return " ".join(
        getattr(child, "value", type(child).__name__) for child in question._shown.children
    )


@pytest.fixture
def question():
    return Question("which?", ["a", "b"], lambda: "REVEALED", answer="b", because="For a reason.")


def test_the_result_is_hidden_until_one_is_chosen(question):
    assert "REVEALED" not in shown(question)
    question._choice.value = "a"
    assert "REVEALED" in shown(question) and "You said “a”; it is “b”." in shown(question)


def test_a_right_prediction_is_said_to_be_right(question):
    question._choice.value = "b"
    assert "You said so. For a reason." in shown(question)


def test_a_result_is_made_once(question):
    made = []
    question._result = lambda: made.append(1) or "REVEALED"
    question.reveal()
    first = question._shown.children[-1]
    question._choice.value = "a"
    assert (
        made == [1] and question._shown.children[-1] is first and "You said “a”" in shown(question)
    )


def test_code_reveals_without_a_prediction(question):
    question.reveal()
    assert "REVEALED" in shown(question) and "You said" not in shown(question)


def test_the_first_choice_counts(question):
    question._choice.value = "a"
    question._choice.value = "b"
    assert question.chosen == "a"


def test_a_result_that_cannot_be_made_is_shown_as_an_error():
    question = Question("which?", ["a"], lambda: 1 / 0)
    question._choice.value = "a"
    assert "ZeroDivisionError" in question.error and "did not work" in shown(question)
