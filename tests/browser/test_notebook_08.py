"""Notebook 08 as a student meets it."""

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
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser

LINES = """return [...document.querySelectorAll('.jp-Notebook :is(.scatterlayer, .barlayer, .shapelayer) path')]
    .map(path => path.getAttribute('d') + path.getAttribute('transform')).join();"""
SLIDERS = "return [...document.querySelectorAll('.jp-Notebook .widget-hslider')].filter(slider => slider.offsetParent).length"


def test_08_runs_and_follows_the_hand(opened):
    page = opened("08_fine_tuning.ipynb")
    page.run_all(timeout=600)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(
        lambda: (
            "What FTAL at 10⁻³ leaves" in captions(page)
            and "points of clean accuracy" in captions(page)
        ),
        60,
    )
    assert page.js(SLIDERS) == 2, "each of the two panels opens with one slider"
    for number, (panel, key) in enumerate((("panel", Keys.ARROW_RIGHT), ("cost", Keys.END))):
        moves(page, lambda number=number, key=key: slide(page, key, number), LINES)
        until(lambda panel=panel: text_of(page, panel) in captions(page), 30)
    assert "What FTAL at 10⁻² leaves" in captions(page) and "For at most 15 points" in captions(
        page
    )
    drawn = page.js(LINES)
    click(page, "epochs")  # the sentence below stays the same
    until(lambda: page.js(LINES) != drawn, 30)
    click(page, "More controls")
    moves(page, lambda: click(page, "RTLL"), LINES)
    until(lambda: "What RTLL at 10⁻² leaves" in captions(page), 30)
    assert run(page, "print(panel.error, cost.error, len(panel.own))") == "None None 2\n"
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_08_hides_its_result_until_a_prediction_is_chosen(opened):
    page = opened("08_fine_tuning.ipynb")
    predict(page, cell_with("08_fine_tuning.ipynb", "guess.reveal()"), "about half")
    until(lambda: "What FTAL at 10⁻⁵ leaves" in captions(page), 60)
    assert "points of clean accuracy" not in captions(page)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_08_bobs_loss_is_a_line_to_drag(opened):
    page = opened("08_fine_tuning.ipynb")
    run(
        page,
        "import wmlab\nwmlab.setup(keras=False)\nfrom wmlab.lessons import fine_tuning\nfrom wmlab.show import show\n"
        "cost = fine_tuning.frontier(fine_tuning.on_record())\nshow(cost)",
    )
    until(lambda: "For at most 2 points" in captions(page), 60)
    box = page.js(
        "const line = [...document.querySelectorAll(\".shapelayer path[style*='stroke-dasharray']\")].at(-1);"
        "line.scrollIntoView({block: 'center'}); const box = line.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]"
    )
    mouse = ActionChains(page.chrome)
    mouse.w3c_actions.pointer_action.move_to_location(*map(int, box)).pointer_down()
    for step in range(1, 9):
        mouse.w3c_actions.pointer_action.move_to_location(int(box[0]) + 8 * step, int(box[1]))
    mouse.w3c_actions.pointer_action.pointer_up()
    mouse.perform()
    until(lambda: "For at most 2 points" not in captions(page), 30)
    loss = float(run(page, "print(cost.settings()['loss'])"))
    assert (
        loss > 2.5 and abs(2 * loss - round(2 * loss)) < 1e-9
    )  # the slider in the page may say 8.500000000000002
    assert f"For at most {loss:g} points" in captions(page)
    assert (
        run(
            page,
            "print({end for shape in cost.figure.layout.shapes[1::2] for end in (shape.x0, shape.x1)})",
        )
        == f"{{{loss}}}\n"
    )
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
