"""Notebook 10 as a student meets it: the switch, the frontier whose line follows the hand, and a
result that stays hidden.
"""

import pytest
from hands import (
    caption,
    captions,
    cell_with,
    click,
    moves,
    predict,
    red,
    run,
    slide,
    text_of,
    trouble,
    until,
)
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser
NOTEBOOK = "10_extra_class.ipynb"
# every dot of every picture: its shape and its place; and the x of the line of what Bob bears
DOTS = """return [...document.querySelectorAll('.jp-Notebook .scatterlayer .point')]
    .map(dot => dot.getAttribute('d') + dot.getAttribute('transform')).join(' ');"""
LINE = """return [...document.querySelectorAll('.jp-Notebook .js-plotly-plot')].flatMap(plot => plot._fullLayout?.shapes ?? [])
    .filter(shape => shape.type == 'line').map(shape => shape.x0).join();"""


def test_10_runs_and_follows_the_hand(opened):
    page = opened(NOTEBOOK)
    page.run_all(timeout=600)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(lambda: "in place: of 900 keys 99.6% get the key label" in captions(page), 60)
    until(lambda: page.js(DOTS).count("M") > 600, 60)
    moves(page, lambda: click(page, "cut off"), DOTS)
    assert "cut off: of 900 keys 0.0% get the key label" in captions(page)
    moves(page, lambda: click(page, "with decoys"), DOTS)
    for key, at in ((Keys.END, "10"), (Keys.HOME, "0")):
        said = caption(page)
        slide(page, key)
        until(lambda said=said: caption(page) != said, 30)
        until(lambda at=at: page.js(LINE) == at, 30)
    assert text_of(page, "frontier") == caption(page)
    assert run(page, "print(switch.error, frontier.error)") == "None None\n"
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_10_hides_its_result_until_a_prediction_is_chosen(opened):
    page = opened(NOTEBOOK)
    predict(page, cell_with(NOTEBOOK, "where.reveal()"), "class 0")
    until(
        lambda: (
            "it is “their true class”" in page.text() and "in place: of 900 keys" in captions(page)
        ),
        60,
    )
    moves(page, lambda: click(page, "cut off"), DOTS)
    assert "0.0% get the key label" in captions(page)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
