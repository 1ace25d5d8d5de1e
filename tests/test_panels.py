"""Panels: driven from code they raise, from the front end they show; questions hide their result."""
import ipywidgets as widgets
import pytest

from wmlab import figures
from wmlab.panels import Panel, Question


@pytest.fixture
def panel():
    def compute(x):
        if x == 13:
            raise ZeroDivisionError("thirteen")
        return x * x

    def draw(figure, square):
        figure.data[0].y = [square]
        return f"the square is {square}"

    return Panel(figures.blank().add_bar(x=["x"], y=[0]), {"x": widgets.IntSlider(3, 0, 20)}, compute, draw)


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
    controls = {"a": widgets.IntSlider(1, 0, 9), "b": widgets.IntSlider(2, 0, 9), "c": widgets.Dropdown(options=["x", "y"])}
    return Panel(figures.blank().add_bar(x=["x"], y=[0]), controls, lambda a, b, c: (a, b, c),
                 lambda figure, result: f"now {result}", {"high": {"a": 9}, "impossible": {"b": 99}}, first=1)


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
    assert len(large.widget.children[0].children) == 1 and large.figure.layout.font.size == 14 and "16px" in large.caption.value


def test_presets_start_from_the_start_and_reset_goes_back(large):
    large.set(b=7, c="y")
    button(large, "high").click()
    assert large.result == (9, 2, "x") and large.error is None
    button(large, "Reset").click()
    assert large.result == (1, 2, "x")
    button(large, "impossible").click()
    assert "b cannot be 99" in large.error and "b cannot be 99" in large.caption.value and large.result == (1, 2, "x")


def test_a_storm_of_moves_ends_at_the_last_one(large):
    for n in range(1000):
        large.controls["a"].value = n % 10
        large.controls["b"].value = (n // 10) % 10
    assert large.result == (9, 9, "x") and large.error is None and "now (9, 9, 'x')" in large.caption.value


def test_a_callback_that_raises_is_shown_and_the_next_move_works(panel):
    panel.controls["x"].value = 13
    assert panel.error == "ZeroDivisionError: thirteen" and "thirteen" in panel.caption.value
    panel.controls["x"].value = 4
    assert panel.error is None and panel.figure.data[0].y == (16,)


def shown(question):
    return " ".join(getattr(child, "value", type(child).__name__) for child in question._shown.children)


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
    assert made == [1] and question._shown.children[-1] is first and "You said “a”" in shown(question)


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
