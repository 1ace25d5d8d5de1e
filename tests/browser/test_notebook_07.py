"""Notebook 07 as a student meets it: run, looked at, and touched."""

import pytest
from hands import (
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
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser

LESSON = "07_pruning.ipynb"
# every bar, line, dot and mark of every picture
DRAWN = """return [...document.querySelectorAll('.jp-Notebook :is(.barlayer, .scatterlayer, .shapelayer) path')]
    .map(path => path.getAttribute('d') + path.getAttribute('transform')).join();"""
# pictures that are drawn
PLOTS = """return [...document.querySelectorAll('.jp-Notebook .js-plotly-plot')]
    .filter(plot => plot.querySelector('.cartesianlayer .subplot')).length"""
# where the first plot of the map has its line, where 8 points are, and a height between points
PLACES = """const map = [...document.querySelectorAll('.jp-Notebook .js-plotly-plot')].at(-1);
    map.scrollIntoView({block: 'center'});
    const box = map.getBoundingClientRect(), {xaxis, yaxis} = map._fullLayout;
    return [2, 8].map(points => box.left + xaxis._offset + xaxis.l2p(points))
        .concat(box.top + yaxis._offset + 0.4 * yaxis._length);"""
MAP = "const map = [...document.querySelectorAll('.jp-Notebook .js-plotly-plot')].at(-1);"


def test_07_runs_and_follows_the_hand(opened):
    page = opened(LESSON)
    page.run_all(timeout=600)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(lambda: page.js(PLOTS) == 4, 120)
    assert "pruned: of the" in captions(page) and "points of clean accuracy" in captions(page)
    assert (
        page.js("return [...document.querySelectorAll('.jp-Notebook .widget-hslider')].length") == 3
    ), "each with one slider"
    for number, panel in enumerate(("panel", "fourth", "price")):
        for key in (Keys.END, Keys.ARROW_LEFT):
            moves(page, lambda number=number, key=key: slide(page, key, number), DRAWN)
            until(lambda panel=panel: text_of(page, panel).strip() in captions(page), 30)
    for preset in (
        "Global, 80 %",
        "First layer, global",
        "Global, 90 %",
        "Per layer, 90 %",
        "5 points",
    ):
        moves(page, lambda preset=preset: click(page, preset), DRAWN)
    assert (
        run(page, "print(panel.settings()['layer'], fourth.settings()['attack'])")
        == "convolution 1 pruning, per layer\n"
    )
    assert run(page, "print([each.error for each in (panel, fourth, price)])") == f"{[None] * 3}\n"
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_07_lets_bobs_loss_be_dragged_on_the_map(opened):
    page = opened(LESSON)
    page.run_all(timeout=600)
    until(lambda: page.js(PLOTS) == 4, 120)
    until(
        lambda: (
            page.js(PLACES) == page.js(PLACES)
            and 0 < page.js(PLACES)[2] < page.js("return innerHeight")
        ),
        60,
    )
    left, right, y = page.js(PLACES)
    hand = ActionBuilder(page.chrome, duration=50)
    hand.pointer_action.move_to_location(round(left), round(y))
    hand.pointer_action.pointer_down()
    for step in range(1, 11):
        hand.pointer_action.move_to_location(
            round(left + (right - left) * step / 10), round(y) + step
        )
    hand.pointer_action.pointer_up()
    moves(page, hand.perform, DRAWN)
    assert float(run(page, "print(price.settings()['loss'])")) == pytest.approx(8, abs=0.51)
    until(
        lambda: (
            page.js(MAP + "return map._fullLayout.shapes.map(shape => shape.x1)")
            == [pytest.approx(8, abs=0.51)] * 4
        ),
        30,
    )
    assert page.js(MAP + "return map._fullLayout.shapes.map(shape => shape.y0)") == [-0.06] * 4, (
        "it falls back into place"
    )
    assert (
        run(page, "print(price.error)") == "None\n" and page.errors() == [] and trouble(page) == []
    )


def test_07_hides_its_result_until_a_prediction_is_chosen(opened):
    page = opened(LESSON)
    predict(page, cell_with(LESSON, "half.reveal()"), "about half")
    until(
        lambda: (
            "it is “nearly all”" in page.text()
            and "0% of each layer pruned" in captions(page)
            and page.js(PLOTS) == 1
        ),
        60,
    )
    moves(page, lambda: slide(page, Keys.ARROW_RIGHT), DRAWN)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
