"""What the browser tests of the lessons do by hand, and what they look at."""

import pathlib
import time

import nbformat
from selenium.webdriver.common.action_chains import ActionChains

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
# What the console says that is no fault: the badge, which comes from the network; and anywidget's
# word that a busy machine took more than 2 s to load a picture, which the tests see drawn later.
EXPECTED = ("colab-badge.svg", "[anywidget] Failed to initialize model")
# All pictures of the course that are on the page are drawn.
DRAWN = "[...document.querySelectorAll('.wmlab-picture')].every(each => each.dataset.drawn)"
# The panels that are on the page, top down; what one of them says and shows; its sliders.
PANELS = """
const panels = [...document.querySelectorAll('.jp-Notebook .widget-vbox')]
    .filter(box => box.querySelector(':scope > .wmlab-picture + .wmlab-said'));
const said = panel => panel.querySelector(':scope > .wmlab-said').textContent.trim();
const shown = panel => [...panel.querySelectorAll('svg :is(path, image, text), img')]
    .map(part => [part.getAttribute('d') ?? part.href?.baseVal ?? part.src ?? part.textContent,
                  part.getAttribute('transform'), part.getAttribute('style')]).join();
const seen = kind => panel => [...panel.querySelectorAll(kind)].filter(each => each.offsetParent);
const sliders = seen('.widget-hslider .noUi-handle');
"""
# The first button of each question on the page.
QUESTIONS = """return [...document.querySelectorAll('.jp-Notebook .widget-toggle-buttons')]
    .filter(each => each.previousElementSibling?.textContent.includes('Your prediction'))
    .map(each => each.querySelector('button')).filter(each => each.offsetParent);"""


def red(page):
    """What a student would see in red: text on stderr, but for the kernel's own progress."""
    return [out["text"] for cell in page.outputs() for out in cell if out.get("name") == "stderr"]


def trouble(page):
    """What the console says beside that."""
    said = page.console_errors()
    return [line for line in said if not any(each in line for each in EXPECTED)]


def sound(page):
    """Nothing failed, nothing is red, and the console is silent."""
    wrong = page.errors() + red(page) + trouble(page)
    assert wrong == [], wrong


def until(condition, timeout=600):
    """Wait until `condition()` is true; how long that takes says nothing on a busy machine."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.1)


def count(page):
    """How many panels are on the page."""
    return page.js(PANELS + "return panels.length")


def said(page, number=0):
    """What stands below the picture of a panel."""
    return page.js(
        PANELS + "return panels.at(arguments[0]) ? said(panels.at(arguments[0])) : ''", number
    )


def shown(page, number=0):
    """All that a panel's picture is made of."""
    return page.js(PANELS + "return shown(panels.at(arguments[0]))", number)


def moves(page, change, number=0):
    """Make a change and see a panel's sentence and picture follow it."""
    before = said(page, number), shown(page, number)
    change()
    until(lambda: said(page, number) != before[0] and shown(page, number) != before[1])


def answer_all(page):
    """Choose an answer to each question, so that all results are on the page."""
    for button in page.js(QUESTIONS):
        press(page, button)
    page.wait("return session.session.kernel.status == 'idle'", 600)
    page.wait(f"return {DRAWN}", 600)


def run(page, source):
    """Run code in the notebook's kernel, in a cell of its own, and return what it printed."""
    page.js(
        "window.ran = null; notebook.activeCellIndex = notebook.widgets.length - 1;"
        "window.jupyterapp.commands.execute('notebook:insert-cell-below').then(() => {"
        "notebook.activeCell.model.sharedModel.setSource(arguments[0]);"
        "return window.jupyterapp.commands.execute('notebook:run-cell'); })"
        ".then(() => { window.ran = true; });",
        source,
    )
    page.wait("return window.ran !== null && session.session.kernel.status == 'idle'", 600)
    page.wait(f"return {DRAWN}", 600)
    return "".join(out.get("text", "") for out in page.outputs()[-1])


def click(page, text):
    """Press the first button that has these words."""
    # found in one step: while a picture is drawn, buttons come and go
    find = """return [...document.querySelectorAll('.jp-Notebook .jupyter-button')]
        .find(each => each.offsetParent && each.textContent.trim() === arguments[0])"""
    until(lambda: page.js(find, text))
    press(page, page.js(find, text))


def press(page, button):
    page.js("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def handle(page, number=0, slider=0):
    """The handle of a slider of a panel."""
    found = page.js(PANELS + "return sliders(panels.at(arguments[0]))", number)[slider]
    page.js("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def slide(page, key, number=0, slider=0):
    """Press a key on a slider of a panel, the first unless said otherwise."""
    handle(page, number, slider).send_keys(key)


def drag(page, halfway):
    """Drag the first slider with the mouse; `halfway` happens meanwhile."""
    mouse = ActionChains(page.chrome, duration=0).click_and_hold(handle(page))
    for _ in range(20):
        mouse.move_by_offset(3, 0)
    mouse.perform()
    halfway()
    mouse = ActionChains(page.chrome, duration=0)
    for _ in range(20):
        mouse.move_by_offset(-2, 0)
    mouse.release().perform()


def write(path, *sources):
    """Write a notebook of these code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path
