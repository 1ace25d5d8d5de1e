"""What the browser tests of the lessons do by hand, and what they look at."""

import pathlib
import time

import nbformat
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
BADGE = "colab-badge.svg"  # the one thing in a notebook that comes from the network
# All pictures of the course that are on the page are drawn, and drawn again in the width that they
# have: see `live`.
DRAWN = """[...document.querySelectorAll('.wmlab-picture')]
    .every(each => each.dataset.drawn || [each, ...each.querySelectorAll('.js-plotly-plot')].some(plot => plot._fullLayout?.meta == 'drawn'))"""
BOX = """const box = [...document.querySelectorAll('.jp-Notebook .widget-vbox')]
    .filter(each => each.querySelector('.widget-hslider')).at(-1);"""


def red(page):
    """What a student would see in red: text on stderr, but for the kernel's own progress."""
    return [out["text"] for cell in page.outputs() for out in cell if out.get("name") == "stderr"]


def trouble(page):
    return [line for line in page.console_errors() if BADGE not in line]


def until(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.1)


def text_of(page, panel):
    """What the kernel says in a panel's caption, without tags."""
    return run(
        page,
        f"import html, re; print(html.unescape(re.sub('<[^>]*>', '', {panel}.caption.value)), end='')",
    )


def moves(page, change, picture):
    """Make a change and see both the caption and the picture follow it."""
    said, drawn = captions(page), page.js(picture)
    change()
    until(lambda: captions(page) != said and page.js(picture) != drawn, 30)


def predict(page, index, prediction):
    """Run a notebook up to the question before cell `index`, and commit to a prediction."""
    page.js(
        f"notebook.activeCellIndex = {index}; window.jupyterapp.commands.execute('notebook:run-all-above')"
    )
    until(lambda: "Choose first" in page.text(), 90)
    click(page, prediction)


def run(page, source):
    """Run code in the notebook's kernel, in a cell of its own, and return what it printed."""
    page.js(
        "window.ran = null; notebook.activeCellIndex = notebook.widgets.length - 1;"
        "window.jupyterapp.commands.execute('notebook:insert-cell-below').then(() => {"
        "notebook.activeCell.model.sharedModel.setSource(arguments[0]);"
        "return window.jupyterapp.commands.execute('notebook:run-cell'); }).then(() => { window.ran = true; });",
        source,
    )
    page.wait("return window.ran !== null && session.session.kernel.status == 'idle'", 120)
    page.wait(f"return {DRAWN}", 60)
    return "".join(out.get("text", "") for out in page.outputs()[-1])


def click(page, text):
    found = page.chrome.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jupyter-button")
    button = next(b for b in found if b.text == text)
    page.js("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def slide(page, key, number=0):
    """Press a key on a slider of the notebook, the first unless said otherwise."""
    handle = page.chrome.find_elements(
        By.CSS_SELECTOR, ".jp-Notebook .widget-hslider .noUi-handle"
    )[number]
    page.js("arguments[0].scrollIntoView({block: 'center'})", handle)
    handle.send_keys(key)


def drag(page, halfway):
    """Drag the first slider with the mouse for a second; `halfway` happens meanwhile."""
    handle = page.chrome.find_element(By.CSS_SELECTOR, ".jp-Notebook .widget-hslider .noUi-handle")
    page.js("arguments[0].scrollIntoView({block: 'center'})", handle)
    mouse = ActionChains(page.chrome, duration=0).click_and_hold(handle)
    for _ in range(20):
        mouse.move_by_offset(3, 0)
    mouse.perform()
    halfway()
    mouse = ActionChains(page.chrome, duration=0)
    for _ in range(20):
        mouse.move_by_offset(-2, 0)
    mouse.release().perform()


def cell_with(notebook, source):
    """The number of the cell that has this in its source."""
    cells = nbformat.read(NOTEBOOKS / notebook, as_version=4).cells
    return next(number for number, cell in enumerate(cells) if source in cell.source)


def told(page, *settings):
    """The settings of the notebook's `panel`, as its kernel has them."""
    return run(page, f"print(*(panel.settings()[name] for name in {settings}))").strip()


def caption(page):
    """What stands below the figure of the panel that has sliders."""
    return page.js(BOX + "return box?.querySelector('.wmlab-said')?.textContent ?? ''").strip()


def captions(page):
    return page.js(
        "return [...document.querySelectorAll('.jp-Notebook .wmlab-said')].map(said => said.textContent).join()"
    )
