"""The notebooks as a student meets them in JupyterLab: predicted, run, looked at, and touched."""

import ast
import itertools

import pytest
import slices
from hands import (
    NOTEBOOKS,
    PANELS,
    QUESTIONS,
    answer_all,
    click,
    count,
    drag,
    handle,
    moves,
    press,
    run,
    said,
    shown,
    slide,
    sound,
    until,
    write,
)
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys
from test_panels_swept import made_by

pytestmark = pytest.mark.browser
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
QUICK_ONES = ("00_start_here", "02_key_samples", "05_expected_queries")  # the others take minutes
# Networks for one epoch: here nobody asks how good they are.
QUICK = """
from wmlab import training
training.RECIPES["class"]["mnist"] = training.Recipe("mnist_cnn", 1, 64)
"""
# What the kernel says: the words of each panel, and what went wrong in one.
KERNEL = """
import gc, html, json, re
from wmlab.show import Panel, Question
found = [each for each in gc.get_objects() if type(each) is Panel]
words = [html.unescape(re.sub("<[^>]*>", "", each.caption.value)).strip() for each in found]
questions = [each.error for each in gc.get_objects() if type(each) is Question]
print(json.dumps([words, [each.error for each in found] + questions]))
"""


# Of each question that waits for an answer: what it says first, and how much of a result is in it.
BOXES = """
return [...document.querySelectorAll('.jp-Notebook .widget-toggle-buttons')]
    .filter(each => each.previousElementSibling?.textContent.includes('Your prediction'))
    .map(each => each.parentElement)
    .map(box => [box.textContent.match(/Choose first/)?.[0] ?? box.textContent,
                 box.querySelectorAll('.wmlab-picture, table, img').length]);"""


def shows(statement):
    """Whether a statement shows something or opens a question."""
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    names = {getattr(each, "id", getattr(each, "attr", None)) for each in calls}
    return isinstance(statement, ast.Expr) and bool(names & {"show", "reveal"})


def shortened(lesson, folder, wanted=shows):
    """A lesson's statements that are wanted, with what they need, a cell each; by default all that
    show something.
    """
    everything = slices.statements(NOTEBOOKS / f"{lesson}.ipynb")
    cells = list(map(ast.unparse, slices.needed(everything, wanted)))
    first = next(number for number, source in enumerate(cells) if "wmlab.setup(" in source)
    return write(folder / f"{lesson}.ipynb", *cells[: first + 1], QUICK, *cells[first + 1 :])


def stays_hidden(page):
    """Run All has opened no prediction: no result is in its box before an answer."""
    found = page.js(BOXES)
    assert found == [["Choose first", 0]] * len(page.js(QUESTIONS)), found


def follows_the_hand(page, number):
    """A panel's picture follows a slider to its other end, or the first choice that was not made
    where it has no slider.
    """
    before = shown(page, number)
    if not page.js(PANELS + "return sliders(panels.at(arguments[0])).length", number):
        other = "seen('.widget-toggle-buttons button:not(.mod-active)')(panels.at(arguments[0]))[0]"
        press(page, page.js(PANELS + f"return {other}", number))
        return until(lambda: shown(page, number) != before)
    place = PANELS + "return sliders(panels.at(arguments[0]))[0].ariaValueNow"
    start = page.js(place, number)
    keys = itertools.cycle((Keys.END, Keys.HOME))  # one end may be where it is

    def moved():
        if page.js(place, number) == start:  # or a busy page has lost the key
            slide(page, next(keys), number)
        return shown(page, number) != before

    until(moved)


def words_are_the_kernels(page):
    """The sentence of each panel on the page is one that the kernel says, and nothing failed."""

    def same():
        words, errors = ast.literal_eval(run(page, KERNEL).replace("null", "None"))
        assert not any(errors), errors
        return {said(page, number) for number in range(count(page))} <= set(words)

    until(same)


@pytest.mark.parametrize(
    "lesson",
    [pytest.param(each, marks=[pytest.mark.slow] * (each not in QUICK_ONES)) for each in LESSONS],
)
def test_questions_hide_their_results_and_panels_follow_the_hand(lab, lesson):
    path = shortened(lesson, lab.folder)
    lab.open(path.name)
    lab.run_all(1800)
    stays_hidden(lab)
    answer_all(lab)
    until(lambda: count(lab) > 0)
    for number in range(count(lab)):
        follows_the_hand(lab, number)
    words_are_the_kernels(lab)
    sound(lab)
    EXTRAS.get(lesson, lambda page, path: None)(lab, path)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_whole_notebook_runs_in_silence(lab, lesson):
    (lab.folder / f"{lesson}.ipynb").write_bytes((NOTEBOOKS / f"{lesson}.ipynb").read_bytes())
    lab.open(f"{lesson}.ipynb")
    lab.run_all(1800)
    sound(lab)


def buys_answers_by_itself(page, path):
    """06: the play button of the trial."""
    page.js("document.querySelector('.jp-Notebook .fa-play').closest('button').click()")
    until(lambda: "14 of 14 hit" in said(page))  # it opens at 10
    page.js("document.querySelector('.jp-Notebook .fa-stop').closest('button').click()")
    sound(page)


def has_a_line_to_drag(page, path):
    """07: what Bob bears to lose is a line in the last panel."""
    line = """const map = panels.at(-1).querySelector('.js-plotly-plot');
        map.scrollIntoView({block: 'center'});
        const {xaxis, yaxis} = map._fullLayout, box = map.getBoundingClientRect();
        return [2, 8].map(points => box.left + xaxis._offset + xaxis.l2p(points))
            .concat(box.top + yaxis._offset + 0.4 * yaxis._length);"""
    click(page, "2 points")
    until(lambda: page.js(PANELS + line) == page.js(PANELS + line))
    left, right, y = page.js(PANELS + line)
    hand = ActionBuilder(page.chrome, duration=50)
    hand.pointer_action.move_to_location(round(left), round(y)).pointer_down()
    for step in range(1, 11):
        hand.pointer_action.move_to_location(round(left + (right - left) * step / 10), round(y))
    hand.pointer_action.pointer_up()
    moves(page, hand.perform, -1)
    loss = float(run(page, "print(price.settings()['loss'])"))
    assert loss == pytest.approx(8, abs=0.51)
    sound(page)


EXTRAS = {
    "06_the_judge": buys_answers_by_itself,
    "07_pruning": has_a_line_to_drag,
}
# What a slider sends when it moves, 1,000 times without waiting, to two of them in turns.
STORM = """
const kernel = session.session.kernel;
for (let n = 0; n < 1000; n++) {
    const state = n % 2 ? {value: (n % 20 - 11) / 16} : {value: (10 + n % 20) / 10};
    kernel.sendShellMessage({
        header: {msg_id: `storm-${n}`, msg_type: 'comm_msg', session: kernel.clientId, username: '',
                 version: '5.3', date: new Date().toISOString()},
        parent_header: {}, metadata: {}, channel: 'shell', buffers: [],
        content: {comm_id: arguments[0][n % 2],
                  data: {method: 'update', state, buffer_paths: []}},
    }, false, true);
}
"""


MAPS = """
import wmlab
wmlab.setup(keras=False)
from wmlab.lessons import boundary_twist
from wmlab.show import Question, show
maps = boundary_twist.maps()
question = Question("Which twists more?", ["the wrong label", "the new label"], maps)
show(question)
question.reveal()
"""


def test_a_panel_trains_can_be_cancelled_and_keeps_up_with_the_hand(lab):
    """The panel of 01, alone in a notebook, in a question."""
    write(lab.folder / "maps.ipynb", MAPS)
    lab.open("maps.ipynb")
    lab.run_all()
    stays_hidden(lab)
    click(lab, "the wrong label")
    until(lambda: "twists" in said(lab))
    trains_from_its_button_and_can_be_cancelled(lab)
    sound(lab)
    keeps_up_with_a_storm_an_interrupt_and_a_restart(lab)


def trains_from_its_button_and_can_be_cancelled(page):
    progress = "return document.querySelectorAll('.jp-Notebook .widget-hprogress').length"
    moves(page, lambda: click(page, "Train a hidden layer"))
    until(lambda: page.js(progress) == 0)
    click(page, "Train a hidden layer")
    # found and pressed in one step: a training that ends takes the button away
    cancel = "const [last] = [...document.querySelectorAll('.jp-Notebook button')]"
    cancel += ".filter(each => each.textContent.trim() == 'Cancel'); last?.click(); return !!last"
    until(lambda: page.js(cancel))
    until(lambda: "Cancelled" in said(page) and page.js(progress) == 0)
    moves(page, lambda: slide(page, Keys.ARROW_LEFT))


def keeps_up_with_a_storm_an_interrupt_and_a_restart(page):
    drag(page, halfway=lambda: page.js("session.session.kernel.interrupt()"))
    moves(page, lambda: slide(page, Keys.HOME))
    sliders = [f"maps.controls['{name}'].model_id" for name in ("distance", "strength")]
    page.js(STORM, run(page, f"print({', '.join(sliders)})").split())
    # the slider in the page hears of the storm and answers too: where it ends is what is drawn
    same = "print(maps.picture(**maps.settings())[1] == maps.caption_text, maps.error)"
    until(lambda: run(page, same) == "True None\n")
    drag(page, halfway=lambda: page.js("session.restartKernel()"))
    page.wait("return session.session?.kernel?.status == 'idle'", 600)
    page.run_all()
    click(page, "the wrong label")
    until(lambda: "twists" in said(page))
    moves(page, lambda: slide(page, Keys.HOME))
    assert handle(page) and page.errors() == []


@pytest.mark.slow
def test_04_trains_a_cell_from_its_button(lab):
    lab.open(shortened("04_fidelity", lab.folder, made_by).name)
    lab.run_all(1800)
    run(lab, "from wmlab.show import show; show(panel)")
    button = "from wmlab.lessons import fidelity; print(fidelity.TRAIN)"
    click(lab, run(lab, button).strip())
    until(lambda: run(lab, "print(len(panel.result['own']), panel.error)") == "2 None\n", 1800)
    words_are_the_kernels(lab)
    sound(lab)
