"""Other front ends: Notebook 7, with a lesson that loads keras and one that does not; and the
classic notebook.

Colab itself cannot be tested from here. The classic notebook at least shows Colab's versions of
ipywidgets and plotly in a page.
"""

import shutil
import time

import nbformat
import pytest
from hands import NOTEBOOKS, captions, moves, red, slide, trouble, until
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser

# Every mark and every image of the first picture that has a slider.
PICTURE = """const box = [...document.querySelectorAll('.jp-Notebook .widget-vbox')]
    .find(each => each.querySelector('.widget-hslider') && each.querySelector('.js-plotly-plot'));
return [...box?.querySelectorAll('.js-plotly-plot :is(path, image)') ?? []]
    .map(part => (part.getAttribute('d') ?? part.href?.baseVal) + part.getAttribute('transform')).join();"""

# `PageHelper` has seen the slider
NAMED = "return document.querySelector('.jp-Notebook .noUi-handle')?.ariaLabel"


def wrong(page):
    """What is red in the notebook, and what the console says.

    But for what Notebook 7 says of an empty notebook, too, and for anywidget's word that a busy
    machine took more than 2 s to load a picture: it is drawn when it is there, which the tests see.
    """
    own = (
        "Cannot read properties of undefined (reading 'schema')",
        "[anywidget] Failed to initialize model",
    )
    return (
        page.errors(),
        red(page),
        [line for line in trouble(page) if not any(each in line for each in own)],
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [("00_start_here.ipynb", "The line falls"), ("01_boundary_twist.ipynb", "twists")],
)
def test_notebook_7_runs_a_lesson_and_follows_the_keyboard(start_lab, tmp_path, name, says):
    shutil.copy(NOTEBOOKS / name, tmp_path)
    page = start_lab(tmp_path, "notebook")
    page.open(name)
    assert (
        page.js("return window.jupyterapp.name") == "Jupyter Notebook"
        and page.js("return window.jupyterapp.version[0]") == "7"
    )
    page.run_all(timeout=600)
    until(lambda: says in captions(page) and page.js(PICTURE) and page.js(NAMED), 60)
    assert wrong(page) == ([], [], [])
    for key in (Keys.END, Keys.ARROW_LEFT, Keys.HOME):
        moves(page, lambda key=key: slide(page, key), PICTURE)
    assert wrong(page) == ([], [], [])


CLASSIC = """return window.Jupyter?.notebook?._fully_loaded && Jupyter.notebook.kernel?.is_connected()
    && !Jupyter.notebook.kernel_busy;"""
DRAWN = """return [...document.querySelectorAll('.js-plotly-plot :is(path, image)')]
    .map(part => (part.getAttribute('d') ?? part.href?.baseVal) + part.getAttribute('transform')).join();"""


def test_panels_follow_the_keyboard_on_what_colab_brings(colab, start_lab, tmp_path):
    sources = [
        "import wmlab\nwmlab.setup(keras=False)\nfrom wmlab.lessons import boundary_twist, expected_queries, key_samples\nfrom wmlab.show import show",
        "panels = boundary_twist.maps(), key_samples.look('secret'), expected_queries.race()",
        "show(*panels)",
    ]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}),
        tmp_path / "panels.ipynb",
    )
    page = start_lab(tmp_path, "nbclassic", colab)
    page.chrome.get(f"{page.url}/notebooks/panels.ipynb?token={page.token}")
    until(lambda: page.chrome.execute_script(CLASSIC), 90)
    page.chrome.get_log("browser")
    page.chrome.execute_script("Jupyter.notebook.execute_all_cells()")
    until(
        lambda: (
            page.chrome.execute_script(
                "return document.querySelectorAll('.js-plotly-plot .main-svg').length"
            )
            >= 6
        ),
        120,
    )
    time.sleep(1)  # plotly draws, finds its room and draws again
    handles = page.chrome.find_elements("css selector", ".widget-hslider .ui-slider-handle")
    assert len(handles) == 3
    for handle in handles:
        before = page.chrome.execute_script(DRAWN)
        handle.send_keys(Keys.ARROW_RIGHT)
        until(lambda before=before: page.chrome.execute_script(DRAWN) != before, 30)
    assert (
        page.chrome.execute_script(
            "return document.querySelectorAll('.output_error, .output_stderr').length"
        )
        == 0
    )
    assert trouble(page) == []
