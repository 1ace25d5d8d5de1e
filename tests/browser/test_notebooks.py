"""The notebooks as a student meets them: run in JupyterLab, looked at, and touched."""

import time

import pytest
from hands import (
    BOX,
    caption,
    captions,
    cell_with,
    click,
    drag,
    moves,
    predict,
    red,
    run,
    slide,
    text_of,
    told,
    trouble,
    until,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from wmlab import records
from wmlab.lessons import fidelity

pytestmark = pytest.mark.browser


def test_00_reaches_a_verdict_within_a_minute(opened):
    page = opened("00_start_here.ipynb")
    started = time.monotonic()
    page.js("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until(lambda: "Service B" in page.text() and "cannot give it" in page.text(), timeout=60)
    assert time.monotonic() - started < 60
    page.wait("return session.session.kernel.status == 'idle'", 120)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(
        lambda: len(page.chrome.find_elements(By.CSS_SELECTOR, ".jp-Notebook .main-svg")) >= 2
    )  # drawn in its own time


def test_00_hides_the_result_until_a_prediction_is_chosen(opened):
    page = opened("00_start_here.ipynb")
    page.js(
        "notebook.activeCellIndex = 5"
    )  # up to the question, not to the cell that opens the seals
    page.js("window.jupyterapp.commands.execute('notebook:run-all-above')")
    page.js("notebook.activeCellIndex = 6; window.jupyterapp.commands.execute('notebook:run-cell')")
    until(lambda: "Choose first" in page.text(), 90)
    assert "Service A answered" not in page.text()
    click(page, "yes")
    until(lambda: "Service A answered" in page.text() and "Service B answered" in page.text(), 30)


def test_01_runs_and_follows_the_hand(opened):
    page = opened("01_boundary_twist.ipynb")
    page.run_all(timeout=300)
    until(lambda: "twists" in captions(page), 60)
    assert page.js(SLIDERS) == 1, "a panel opens with one slider"
    assert page.js("return document.querySelector('.js-plotly-plot').offsetWidth") > 800, (
        "as wide as the notebook"
    )
    for change in (
        lambda: slide(page, Keys.HOME),
        lambda: slide(page, Keys.ARROW_RIGHT),
        lambda: click(page, "Where it fails"),
        lambda: click(page, "Real features"),
        lambda: click(page, "Reset"),
    ):
        moves(page, change, DRAWINGS)
    click(page, "More controls")
    until(lambda: page.js(SLIDERS) == 6, 30)
    moves(page, lambda: slide(page, Keys.END, -1), DRAWINGS)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_01_hides_its_result_until_a_prediction_is_chosen(opened):
    page = opened("01_boundary_twist.ipynb")
    page.js(
        "notebook.activeCellIndex = 7; window.jupyterapp.commands.execute('notebook:run-all-above')"
    )
    until(lambda: "Choose first" in page.text(), 90)
    assert "twists" not in captions(page)
    click(page, "the wrong label")
    until(lambda: "You said so." in page.text() and "twists" in captions(page), 60)


def test_01_trains_a_hidden_layer_from_a_button_and_can_be_cancelled(opened):
    page = opened("01_boundary_twist.ipynb")
    predict(page, 7, "the wrong label")
    until(lambda: "twists" in captions(page), 60)
    moves(page, lambda: click(page, "Train a hidden layer"), DRAWINGS)
    until(lambda: page.js(PROGRESS) == 0, 60)  # gone when done
    click(page, "Train a hidden layer")
    until(lambda: page.js(PROGRESS) > 0, 30)
    click(page, "Cancel")
    until(lambda: "Cancelled" in captions(page) and page.js(PROGRESS) == 0, 30)
    moves(page, lambda: slide(page, Keys.ARROW_LEFT), DRAWINGS)
    assert red(page) == [] and trouble(page) == []


def test_01_survives_an_interrupt_and_a_restart_in_the_middle_of_a_drag(opened):
    page = opened("01_boundary_twist.ipynb")
    predict(page, 7, "the wrong label")
    until(lambda: "twists" in captions(page), 60)
    drag(page, halfway=lambda: page.js("session.session.kernel.interrupt()"))
    moves(page, lambda: slide(page, Keys.HOME), DRAWINGS)
    at_home = page.js(DRAWINGS)
    drag(page, halfway=lambda: None)
    moves(page, lambda: slide(page, Keys.HOME), DRAWINGS)
    assert page.js(DRAWINGS).split()[0] == at_home.split()[0], (
        "the last position of the hand is the one that is drawn"
    )
    drag(page, halfway=lambda: page.js("session.restartKernel()"))
    page.wait("return session.session?.kernel?.status == 'idle'", 60)
    predict(page, 7, "the wrong label")
    until(lambda: "twists" in captions(page), 60)
    moves(page, lambda: slide(page, Keys.HOME), DRAWINGS)
    assert page.errors() == []


def test_01_keeps_up_with_a_storm_and_shows_a_panel_twice(opened):
    """A front end that does not wait for answers: 1,000 messages at once, to two sliders in turns."""
    page = opened("01_boundary_twist.ipynb")
    predict(page, 7, "the wrong label")
    until(lambda: "twists" in captions(page), 60)
    run(page, "show(maps, maps)")
    until(lambda: len(page.chrome.find_elements(By.CSS_SELECTOR, ".js-plotly-plot")) >= 3, 60)
    moves(page, lambda: slide(page, Keys.HOME), DRAWINGS)
    page.js(
        STORM,
        run(
            page, "print(maps.controls['distance'].model_id, maps.controls['strength'].model_id)"
        ).split(),
    )
    # the slider in the page hears of the storm and answers too, so where it ends is not known: but
    # that is what is drawn
    same = (
        "print(abs(boundary_twist.settle(**maps.settings())[1] - maps.result[1]).max(), maps.error)"
    )
    until(lambda: run(page, same) == "0.0 None\n", 60)
    drawings = page.js(DRAWINGS).split()
    assert len(drawings) == 6 and len(set(drawings)) == 2, "three views of the same two drawings"
    assert page.errors() == [] and trouble(page) == []


def test_02_runs_and_follows_the_hand(opened):
    page = opened("02_key_samples.ipynb")
    page.run_all(timeout=200)
    until(lambda: "PSNR" in captions(page) and "variance" in captions(page), 60)
    moves(page, lambda: slide(page, Keys.ARROW_LEFT), DRAWINGS)
    moves(page, lambda: click(page, "Photographs"), DRAWINGS)
    moves(page, lambda: slide(page, Keys.ARROW_RIGHT, -1), BARS)
    pair = "return [...document.querySelectorAll('.jp-Notebook td img')].slice(-2).map(image => image.src).join()"
    dealt = page.js(pair)
    click(page, "the left one")
    until(lambda: "the key was the" in captions(page) and page.js(pair) != dealt, 30)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_03_moves_when_the_slider_is_dragged(opened):
    page = opened("03_embedding.ipynb")
    page.run_all(timeout=600)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    assert (
        page.js("return document.querySelectorAll('.jp-Notebook .scatterlayer .trace').length") > 5
    )
    said, drawn = captions(page), page.js(BARS)
    slide(page, Keys.HOME)
    until(lambda: captions(page) != said, 30)
    until(lambda: page.js(BARS) != drawn, 30)
    assert trouble(page) == []


def test_04_runs_and_follows_the_keyboard(opened):
    page = opened("04_fidelity.ipynb")
    page.run_all(timeout=600)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(lambda: "At α = " in caption(page), 60)
    assert page.js(SLIDERS) == 1, "a panel opens with one slider"
    small = records.load("fig3_class")
    cells = small[small.scheme != "unmarked"][["alpha", "beta"]]
    beta = float(run(page, "print(panel.settings()['beta'])"))
    for key, alpha in ((Keys.HOME, cells.alpha.min()), (Keys.END, cells.alpha.max())):
        moves(page, lambda key=key: slide(page, key), DOTS)
        assert told(page, "alpha", "beta", "of") == f"{alpha:g} {beta:g} keys"
        until(lambda: caption(page) == run(page, SENTENCE), 30)
    assert caption(page) == fidelity.sentence(
        small, cells.alpha.max(), beta, "fresh_key_accuracy"
    ), "nothing was trained here"
    click(page, "More controls")
    until(lambda: page.js(SLIDERS) == 2, 30)
    moves(page, lambda: slide(page, Keys.HOME, 1), DOTS)
    moves(page, lambda: click(page, "clean images"), DOTS)
    assert caption(page) == fidelity.sentence(
        small, cells.alpha.max(), cells.beta.min(), "clean_accuracy"
    )
    moves(page, lambda: click(page, "Reset"), DOTS)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_04_hides_its_result_until_a_prediction_is_chosen_and_trains_a_cell_from_its_button(opened):
    page = opened("04_fidelity.ipynb")
    predict(page, cell_with("04_fidelity.ipynb", "guess.reveal()"), "wrong label")
    until(lambda: "At α = " in caption(page), 60)
    slide(page, Keys.HOME)
    small = records.load("fig3_class")
    alpha, beta = small[small.alpha > 0].alpha.min(), small.beta.max()
    until(lambda: caption(page) == fidelity.sentence(small, alpha, beta, "fresh_key_accuracy"), 30)
    before = page.js(DOTS).count("M")
    for number in (1, 2):
        click(page, fidelity.TRAIN)
        until(lambda: page.js(PROGRESS) > 0, 30)
        until(lambda: page.js(PROGRESS) == 0, 200)
        # two networks, each on both arms
        until(lambda number=number: page.js(DOTS).count("M") == before + 4 * number, 30)
        assert run(page, "print(len(panel.own), panel.error)") == f"{2 * number} None\n"
        assert caption(page) == run(page, SENTENCE)
    line = run(page, "print(fidelity.line(panel.own))")
    assert line.startswith(f"{alpha:g}, {beta:g}, ") and len(line.split(",")) == len(fidelity.SHEET)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_05_runs_and_follows_the_hand(opened):
    page = opened("05_expected_queries.ipynb")
    page.run_all(timeout=200)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(lambda: "Bob notices" in captions(page), 60)
    assert page.js(SLIDERS) == 5, "each of the five panels opens with one slider"
    keys = (Keys.ARROW_RIGHT, Keys.END, Keys.HOME, Keys.ARROW_LEFT, Keys.HOME)
    for number, (name, key) in enumerate(zip(PANELS_05, keys, strict=True)):
        moves(page, lambda number=number, key=key: slide(page, key, number), LINES)
        until(lambda name=name: text_of(page, name) in captions(page), 30)
    until(lambda: drawn_05(page) == page.js(TRACES), 30)
    for preset in ("Innocent, new label", "Hardly a mark", "p falls by 0.05", "Stricter"):
        moves(page, lambda preset=preset: click(page, preset), LINES)
    until(lambda: drawn_05(page) == page.js(TRACES), 30)
    assert (
        run(page, "print([panel.error for panel in (race, settle, batch, compare, notice)])")
        == f"{[None] * 5}\n"
    )
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_05_hides_its_results_until_a_prediction_is_chosen(opened):
    page = opened("05_expected_queries.ipynb")
    predict(page, cell_with("05_expected_queries.ipynb", "first.reveal()"), "fixed batch")
    until(
        lambda: "it is “first hit”" in page.text() and "Stream 1 of a suspect" in captions(page), 60
    )
    moves(page, lambda: click(page, "A weak mark"), LINES)
    moves(page, lambda: slide(page, Keys.ARROW_RIGHT), LINES)
    assert "Stream 2 of a suspect with p = 0.50" in captions(page), (
        "the hand starts where the preset left off"
    )
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_06_runs_and_buys_answers_by_hand_and_by_itself(opened):
    page = opened("06_the_judge.ipynb")
    page.run_all(timeout=300)
    assert page.errors() == [] and red(page) == [] and trouble(page) == []
    until(lambda: "10 of 10 hit" in captions(page), 60)
    assert page.js(SLIDERS) == 1, "a panel opens with one slider"
    for key in (Keys.ARROW_RIGHT, Keys.END, Keys.HOME):
        moves(page, lambda key=key: slide(page, key), LINES)
        until(lambda: text_of(page, "trial") in captions(page), 30)
    page.js("document.querySelector('.jp-Notebook .fa-play').closest('button').click()")
    until(lambda: "4 of 4 hit" in captions(page), 30)
    page.js("document.querySelector('.jp-Notebook .fa-stop').closest('button').click()")
    moves(page, lambda: slide(page, Keys.END), LINES)
    moves(page, lambda: click(page, "60 with a label more"), LINES)
    assert "the least that 60 networks can give" in captions(page)
    suspect = page.js(
        "return [...document.querySelectorAll('.jp-Notebook .js-plotly-plot')].flatMap(plot => plot._fullData)"
        ".filter(trace => trace.name == 'the suspect').map(trace => trace.marker.symbol + trace.marker.color)"
    )
    assert suspect == ["diamond#D55E00"] * 2, "traces keep their looks while others change"
    assert run(page, "print(bob.queries, trial.error)").endswith(" None\n")
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_06_hides_its_result_until_a_prediction_is_chosen(opened):
    page = opened("06_the_judge.ipynb")
    predict(page, cell_with("06_the_judge.ipynb", "sure.reveal()"), "0: it is impossible")
    until(
        lambda: "it is “about 0.02”" in page.text() and "No answer is bought yet" in captions(page),
        60,
    )
    bought = run(page, "print(bob.queries)")
    moves(page, lambda: slide(page, Keys.ARROW_RIGHT), LINES)
    assert int(run(page, "print(bob.queries)")) == int(bought) + 1
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def drawn_05(page):
    """What the kernel has drawn in the five panels of 05: name, number of points and last y of
    every trace, as TRACES.
    """
    run_ = f"print(*(TRACE for panel in ({', '.join(PANELS_05)}) for trace in panel.figure.data), sep='|')"
    return run(
        page,
        run_.replace(
            "TRACE", "f'{trace.name} {len(trace.x)} {len(trace.y)} {trace.y[-1] or 0:.6f}'"
        ),
    ).strip()


PANELS_05 = ("race", "settle", "batch", "compare", "notice")
# every line, dot and mark of every picture; and every trace as plotly has it
LINES = """return [...document.querySelectorAll('.jp-Notebook :is(.scatterlayer, .shapelayer) path')]
    .map(path => path.getAttribute('d') + path.getAttribute('transform')).join();"""
TRACES = """return [...document.querySelectorAll('.jp-Notebook .js-plotly-plot')].flatMap(plot => plot.data).map(trace =>
    `${trace.name} ${trace.x?.length} ${trace.y?.length} ${(trace.y?.[trace.y.length - 1] ?? 0).toFixed(6)}`).join('|');"""
BARS = (
    BOX
    + "return [...box.querySelectorAll('.barlayer path')].map(path => path.getAttribute('d')).join();"
)
# Every dot of the panel that has sliders: its shape and its place.
DOTS = (
    BOX
    + """return [...box.querySelectorAll('.scatterlayer .point')]
    .map(dot => dot.getAttribute('d') + dot.getAttribute('transform')).join(' ');"""
)
SENTENCE = """import pandas
everything = pandas.concat([small, pandas.DataFrame(panel.own)])
at = panel.settings()
print(fidelity.sentence(everything, at["alpha"], at["beta"], fidelity.MEASURED[at["of"]]), end="")"""
DRAWINGS = "return [...document.querySelectorAll('.jp-Notebook .imagelayer image')].map(each => each.href.baseVal).join(' ')"
PROGRESS = "return document.querySelectorAll('.jp-Notebook .widget-hprogress').length"
# What a slider sends when it moves, 1,000 times without waiting.
STORM = """
const kernel = session.session.kernel;
for (let n = 0; n < 1000; n++) {
    const state = n % 2 ? {value: (n % 20 - 11) / 16} : {value: (10 + n % 20) / 10};
    kernel.sendShellMessage({
        header: {msg_id: `storm-${n}`, msg_type: 'comm_msg', session: kernel.clientId, username: '', version: '5.3',
                 date: new Date().toISOString()},
        parent_header: {}, metadata: {}, channel: 'shell', buffers: [],
        content: {comm_id: arguments[0][n % 2], data: {method: 'update', state, buffer_paths: []}},
    }, false, true);
}
"""
SLIDERS = "return [...document.querySelectorAll('.jp-Notebook .widget-hslider')].filter(slider => slider.offsetParent).length"
