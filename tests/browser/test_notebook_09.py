"""Notebook 09 as a student meets it: run in JupyterLab, looked at, and touched."""

import pytest
from hands import (
    caption,
    captions,
    cell_with,
    click,
    moves,
    red,
    run,
    slide,
    text_of,
    trouble,
    until,
)
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser
NAME = "09_evasion.ipynb"
PANELS = ("watch", "rare", "ask", "filtered")
# every line, dot, bar and mark of every picture
DRAWN = """return [...document.querySelectorAll('.jp-Notebook :is(.scatterlayer, .barlayer, .shapelayer) path')]
    .map(path => path.getAttribute('d') + path.getAttribute('transform')).join();"""


def test_09_runs_and_follows_the_hand(opened):
    page = opened(NAME)
    page.run_all(timeout=600)
    until(lambda: all(text_of(page, panel) in captions(page) for panel in PANELS), 60)
    for number, (panel, keys) in enumerate(
        zip(
            PANELS,
            (
                (Keys.HOME, Keys.ARROW_RIGHT),
                (Keys.END, Keys.ARROW_LEFT),
                (Keys.END, Keys.HOME),
                (Keys.HOME, Keys.END),
            ),
            strict=True,
        )
    ):
        for key in keys:
            moves(page, lambda key=key, number=number: slide(page, key, number), DRAWN)
            until(lambda panel=panel: text_of(page, panel) in captions(page), 30)
    page.js(
        "[...document.querySelectorAll('.jp-Notebook .jupyter-button')]"
        ".filter(button => button.textContent.includes('More controls')).at(-1).click()"
    )
    moves(page, lambda: click(page, "wrong label"), DRAWN)
    until(lambda: text_of(page, "filtered") == caption(page), 30)
    assert (
        run(page, f"print(*(panel.error for panel in ({', '.join(PANELS)})))")
        == "None None None None\n"
    )
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_09_hides_its_result_until_a_prediction_is_chosen(opened):
    page = opened(NAME)
    page.js(
        f"notebook.activeCellIndex = {cell_with(NAME, 'small.reveal()')};"
        "window.jupyterapp.commands.execute('notebook:run-all-above')"
    )
    until(
        lambda: "Choose first" in page.text(), 300
    )  # two networks are trained and ten sets of keys scored before
    assert "A threshold for at most" not in captions(page)
    click(page, "the autoencoder")
    until(
        lambda: (
            "You said “the autoencoder”; it is “non-zero pixels”." in page.text()
            and "area" in captions(page)
        ),
        60,
    )
    moves(page, lambda: slide(page, Keys.HOME), DRAWN)
    assert "β = 1e-06" in captions(page)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
