"""Other front ends: Notebook 7, with a lesson that loads keras and one that does not; and the
classic notebook.

Colab itself cannot be tested from here. The classic notebook at least shows Colab's versions of
ipywidgets and plotly in a page.
"""

import shutil

import pytest
from hands import (
    DRAWN,
    NOTEBOOKS,
    answer_all,
    count,
    moves,
    red,
    said,
    slide,
    trouble,
    until,
    write,
)
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser

# `PageHelper` has seen the slider
NAMED = "return document.querySelector('.jp-Notebook .noUi-handle')?.ariaLabel"
THEIRS = "reading 'schema')"  # what Notebook 7 says of an empty notebook, too
CLASSIC = """return window.Jupyter?.notebook?._fully_loaded
    && Jupyter.notebook.kernel?.is_connected() && !Jupyter.notebook.kernel_busy;"""
PICTURES = """return [...document.querySelectorAll('.js-plotly-plot :is(path, image)')]
    .map(part => (part.getAttribute('d') ?? part.href?.baseVal) + part.getAttribute('transform'))
    .join();"""
PANELS = """
import wmlab
wmlab.setup(keras=False)
from wmlab.lessons import boundary_twist, expected_queries, key_samples
from wmlab.show import show
show(boundary_twist.maps(), key_samples.look('secret'), expected_queries.race())
"""


def wrong(page):
    """What is red in the notebook, and what the console says."""
    told = [line for line in trouble(page) if THEIRS not in line]
    return page.errors() + red(page) + told


@pytest.mark.slow  # all of 01 takes minutes
def test_notebook_7_runs_lessons_and_follows_the_keyboard(start_lab, tmp_path):
    page = start_lab(tmp_path, "notebook")
    for name, says in ("00_start_here", "The line falls"), ("01_boundary_twist", "twists"):
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", tmp_path)
        page.open(f"{name}.ipynb")
        assert page.js("return window.jupyterapp.name") == "Jupyter Notebook"
        assert page.js("return window.jupyterapp.version[0]") == "7"
        page.run_all(900)
        answer_all(page)
        first = next(number for number in range(count(page)) if says in said(page, number))
        until(lambda: page.js(NAMED))
        for key in (Keys.END, Keys.ARROW_LEFT, Keys.HOME):
            moves(page, lambda key=key, first=first: slide(page, key, first), first)
        assert wrong(page) == []


@pytest.mark.slow
def test_panels_follow_the_keyboard_on_what_colab_brings(colab, start_lab, tmp_path):
    write(tmp_path / "panels.ipynb", PANELS)
    page = start_lab(tmp_path, "nbclassic", colab)
    page.chrome.get(f"{page.url}/notebooks/panels.ipynb?token={page.token}")
    until(lambda: page.chrome.execute_script(CLASSIC))
    page.chrome.get_log("browser")
    page.chrome.execute_script("Jupyter.notebook.execute_all_cells()")
    pictures = "return document.querySelectorAll('.wmlab-picture').length"
    until(lambda: page.chrome.execute_script(f"{pictures} == 3 && {DRAWN}"))
    handles = page.chrome.find_elements("css selector", ".widget-hslider .ui-slider-handle")
    for handle in handles:
        before = page.chrome.execute_script(PICTURES)
        handle.send_keys(Keys.ARROW_RIGHT)
        until(lambda before=before: page.chrome.execute_script(PICTURES) != before)
    faults = "return document.querySelectorAll('.output_error, .output_stderr').length"
    assert len(handles) >= 3 and page.chrome.execute_script(faults) == 0
    assert trouble(page) == []
