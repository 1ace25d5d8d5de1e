"""The notebooks as a student meets them: run in JupyterLab, looked at, and touched."""
import pathlib
import shutil
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser
NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
BADGE = "colab-badge.svg"  # the one thing in a notebook that comes from the network


@pytest.fixture
def opened(start_lab, tmp_path):
    def open_notebook(name):
        shutil.copy(NOTEBOOKS / name, tmp_path)
        page = start_lab(tmp_path)
        page.open(name)
        return page

    return open_notebook


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


def test_00_reaches_a_verdict_within_a_minute(opened):
    page = opened("00_start_here.ipynb")
    started = time.monotonic()
    page.js("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until(lambda: "Service B" in page.text() and "cannot give it" in page.text(), timeout=60)
    assert time.monotonic() - started < 60
    page.wait("return session.session.kernel.status == 'idle'", 120)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    assert len(page.chrome.find_elements(By.CSS_SELECTOR, ".jp-Notebook .main-svg")) >= 2


def test_00_hides_the_result_until_a_prediction_is_chosen(opened):
    page = opened("00_start_here.ipynb")
    page.js("notebook.activeCellIndex = 5")  # up to the question, not to the cell that opens the seals
    page.js("window.jupyterapp.commands.execute('notebook:run-all-above')")
    page.js("notebook.activeCellIndex = 6; window.jupyterapp.commands.execute('notebook:run-cell')")
    until(lambda: "Choose first" in page.text(), 90)
    assert "Service A answered" not in page.text()
    choice = next(b for b in page.chrome.find_elements(By.CSS_SELECTOR, ".widget-toggle-button") if b.text == "yes")
    choice.click()
    until(lambda: "Service A answered" in page.text() and "Service B answered" in page.text(), 30)


def test_01_follows_the_hand(opened):
    """Up to the panel only: the prediction is asked for, then slider, preset and unfolding work in the browser."""
    page = opened("01_boundary_twist.ipynb")
    page.js("notebook.activeCellIndex = 7; window.jupyterapp.commands.execute('notebook:run-all-above')")
    until(lambda: "Choose first" in page.text(), 90)
    click(page, "the wrong label", ".widget-toggle-button")
    until(lambda: "You said so." in page.text() and "twists" in captions(page), 60)
    until(lambda: len(page.js(REGIONS).split("M")) > 10, 30)
    assert page.js(SLIDERS) == 1
    for change in (lambda: slide(page, Keys.HOME), lambda: click(page, "Where it fails", ".jupyter-button"),
                   lambda: click(page, "Reset", ".jupyter-button")):
        said, drawn = captions(page), page.js(REGIONS)
        change()
        until(lambda said=said: captions(page) != said, 30)
        until(lambda drawn=drawn: page.js(REGIONS) != drawn, 30)
    click(page, "More controls", ".widget-toggle-button")
    until(lambda: page.js(SLIDERS) == 6, 30)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_03_moves_when_the_slider_is_dragged(opened):
    page = opened("03_embedding.ipynb")
    page.run_all(timeout=600)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    assert page.js("return document.querySelectorAll('.jp-Notebook .scatterlayer .trace').length") > 5
    said, drawn = captions(page), page.js(BARS)
    slide(page, Keys.HOME)
    until(lambda: captions(page) != said, 30)
    until(lambda: page.js(BARS) != drawn, 30)
    assert trouble(page) == []


def click(page, text, selector):
    button = next(b for b in page.chrome.find_elements(By.CSS_SELECTOR, selector) if b.text == text)
    page.js("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def slide(page, key):
    handle = page.chrome.find_element(By.CSS_SELECTOR, ".jp-Notebook .widget-hslider .noUi-handle")
    page.js("arguments[0].scrollIntoView({block: 'center'})", handle)
    handle.send_keys(key)


def captions(page):
    return page.js("return [...document.querySelectorAll('.jp-Notebook p[role=status]')].map(p => p.textContent).join()")


# how the bars, or the regions, of the panel with the slider are drawn
BOX = """const box = [...document.querySelectorAll('.jp-Notebook .widget-vbox')]
    .filter(each => each.querySelector('.widget-hslider')).at(-1);"""
BARS = BOX + "return [...box.querySelectorAll('.barlayer path')].map(path => path.getAttribute('d')).join();"
REGIONS = BOX + "return [...box.querySelectorAll('.scatterlayer path')].map(path => path.getAttribute('d')).join();"
SLIDERS = "return [...document.querySelectorAll('.jp-Notebook .widget-hslider')].filter(slider => slider.offsetParent).length"
