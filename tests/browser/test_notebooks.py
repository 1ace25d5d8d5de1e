"""The notebooks as a student meets them in JupyterLab: predicted, run, looked at, and touched."""

import ast
import itertools
import time

import pytest
import slices
from hands import (
    NOTEBOOKS,
    PANELS,
    QUESTIONS,
    answer_all,
    cell_with,
    click,
    count,
    drag,
    handle,
    moves,
    predict,
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

pytestmark = pytest.mark.browser
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
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


def shows(statement):
    """Whether a statement shows something or opens a question."""
    calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
    names = {getattr(each, "id", getattr(each, "attr", None)) for each in calls}
    return isinstance(statement, ast.Expr) and bool(names & {"show", "reveal"})


def shortened(lesson, folder):
    """A lesson's statements that show something, with what they need, a cell each."""
    everything = slices.statements(NOTEBOOKS / f"{lesson}.ipynb")
    cells = list(map(ast.unparse, slices.needed(everything, shows)))
    first = next(number for number, source in enumerate(cells) if "wmlab.setup(" in source)
    return write(folder / f"{lesson}.ipynb", *cells[: first + 1], QUICK, *cells[first + 1 :])


def stays_hidden(page, path):
    """The result of the first question is not there before an answer; whatever follows is."""
    cell = cell_with(path, ".reveal()")
    page.js(
        f"notebook.activeCellIndex = {cell};"
        "window.jupyterapp.commands.execute('notebook:run-all-above')"
    )
    until(lambda: "Choose first" in page.text(), 600)
    page.wait("return session.session.kernel.status == 'idle'", 600)
    content = """const area = '.jp-Notebook .jp-OutputArea-output';
        const words = [...document.querySelectorAll(area)].map(each => each.textContent).join('');
        const drawn = document.querySelectorAll(`${area} :is(.wmlab-picture, table, img)`);
        return words.length + 1000 * drawn.length"""
    before = page.js(content)
    press(page, page.js(QUESTIONS)[-1])
    until(lambda: "Choose first" not in page.text() and page.js(content) > before)


def follows_the_hand(page, number):
    """A panel's picture follows a slider to its other end, or the first choice that was not made
    where it has no slider.
    """
    before = shown(page, number)
    if not page.js(PANELS + "return sliders(panels.at(arguments[0])).length", number):
        other = "seen('.widget-toggle-buttons button:not(.mod-active)')(panels.at(arguments[0]))[0]"
        press(page, page.js(PANELS + f"return {other}", number))
        return until(lambda: shown(page, number) != before)
    keys = itertools.cycle((Keys.END, Keys.HOME))  # one end may be where it is

    def moved():
        slide(page, next(keys), number)
        time.sleep(2)
        return shown(page, number) != before

    until(moved)


def words_are_the_kernels(page):
    """The sentence of each panel on the page is one that the kernel says, and nothing failed."""

    def same():
        words, errors = ast.literal_eval(run(page, KERNEL).replace("null", "None"))
        assert not any(errors), errors
        return {said(page, number) for number in range(count(page))} <= set(words)

    until(same)


@pytest.mark.parametrize("lesson", LESSONS)
def test_questions_hide_their_results_and_panels_follow_the_hand(lab, lesson):
    path = shortened(lesson, lab.folder)
    lab.open(path.name)
    if any(".reveal()" in ast.unparse(each) for each in slices.statements(path)):
        stays_hidden(lab, path)
    lab.run_all()
    answer_all(lab)
    until(lambda: count(lab) > 0)
    for number in range(count(lab)):
        follows_the_hand(lab, number)
    words_are_the_kernels(lab)
    sound(lab)
    EXTRAS.get(lesson, lambda page: None)(lab)
    sound(lab)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_whole_notebook_runs_in_silence(lab, lesson):
    (lab.folder / f"{lesson}.ipynb").write_bytes((NOTEBOOKS / f"{lesson}.ipynb").read_bytes())
    lab.open(f"{lesson}.ipynb")
    lab.run_all()
    sound(lab)


def trains_from_its_button_and_can_be_cancelled(page):
    """01: a hidden layer."""
    progress = "return document.querySelectorAll('.jp-Notebook .widget-hprogress').length"
    moves(page, lambda: click(page, "Train a hidden layer"))
    until(lambda: page.js(progress) == 0)
    click(page, "Train a hidden layer")
    until(lambda: page.js(progress) > 0)
    click(page, "Cancel")
    until(lambda: "Cancelled" in said(page) and page.js(progress) == 0)
    moves(page, lambda: slide(page, Keys.ARROW_LEFT))


def buys_answers_by_itself(page):
    """06: the play button of the trial."""
    page.js("document.querySelector('.jp-Notebook .fa-play').closest('button').click()")
    until(lambda: "4 of 4 hit" in said(page))
    page.js("document.querySelector('.jp-Notebook .fa-stop').closest('button').click()")


def has_a_line_to_drag(page):
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


EXTRAS = {
    "01_boundary_twist": trains_from_its_button_and_can_be_cancelled,
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


def test_01_keeps_up_with_a_storm_an_interrupt_and_a_restart(lab):
    path = shortened("01_boundary_twist", lab.folder)
    cell = cell_with(path, ".reveal()")
    lab.open(path.name)
    predict(lab, cell, "the wrong label")
    until(lambda: "twists" in said(lab))
    drag(lab, halfway=lambda: lab.js("session.session.kernel.interrupt()"))
    moves(lab, lambda: slide(lab, Keys.HOME))
    sliders = [f"maps.controls['{name}'].model_id" for name in ("distance", "strength")]
    lab.js(STORM, run(lab, f"print({', '.join(sliders)})").split())
    # the slider in the page hears of the storm and answers too: where it ends is what is drawn
    same = "print(maps.picture(**maps.settings())[1] == maps.caption_text, maps.error)"
    until(lambda: run(lab, same) == "True None\n")
    drag(lab, halfway=lambda: lab.js("session.restartKernel()"))
    lab.wait("return session.session?.kernel?.status == 'idle'", 300)
    predict(lab, cell, "the wrong label")
    until(lambda: "twists" in said(lab))
    moves(lab, lambda: slide(lab, Keys.HOME))
    assert handle(lab) and lab.errors() == []


@pytest.mark.slow
def test_04_trains_a_cell_from_its_button(lab):
    path = shortened("04_fidelity", lab.folder)
    lab.open(path.name)
    lab.run_all()
    answer_all(lab)
    button = "from wmlab.lessons import fidelity; print(fidelity.TRAIN)"
    click(lab, run(lab, button).strip())
    until(lambda: run(lab, "print(len(panel.result['own']), panel.error)") == "2 None\n", 600)
    words_are_the_kernels(lab)
    sound(lab)
