"""How fast every panel of every lesson follows the hand: `make bench-panels` prints a table.

Each panel is made as its notebook makes it and opened in JupyterLab in headless Chromium. Measured
in the page: from the event of an arrow key on its first slider to the first frame after plotly has
drawn; and how many pictures a second come while keys arrive as fast as the screen shows them.
Beside it, in the same notebook, a bare slider that is echoed into a label: nothing can be faster.
Times depend on the machine and its load; the ratios within one run are what counts.
"""

import ast
import json
import pathlib
import statistics
import sys

import nbformat
import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from slices import needed, statements  # noqa: E402
from test_panels_swept import LESSONS, made_by  # noqa: E402

pytestmark = pytest.mark.browser
PRESSES, DRAG = 20, 2000  # keys of a panel; milliseconds of a storm of keys
RECORD = """
import ipywidgets as widgets
from wmlab.show import Panel, show
made, make = [], Panel.__init__
def noted(self, *arguments, **named):
    make(self, *arguments, **named)
    made.append(self)
Panel.__init__ = noted
"""
SHOW = """
slider, label = widgets.FloatSlider(1.9, min=0, max=3.8, step=0.1), widgets.Label("1.9")
label.add_class("bare-label")
slider.observe(lambda change: setattr(label, "value", f"{change['new']:.1f}"), "value")
show(slider, label)
for panel in made:
    show(panel)
"""
MEASURE = """
const painted = () => new Promise(done => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(performance.now());
    channel.port2.postMessage(0);
}));
const pause = wait => new Promise(done => setTimeout(done, wait));
function press(handle, right) {
    const [key, keyCode] = right ? ["ArrowRight", 39] : ["ArrowLeft", 37];
    handle.dispatchEvent(new KeyboardEvent("keydown", { key, keyCode, bubbles: true }));
}
// drawn(f) calls f at each picture. Returns the milliseconds of single keys, and pictures a second
// in a storm of keys.
async function measured(handle, drawn, presses, drag) {
    let told = () => {}, count = 0;
    drawn(() => { count += 1; told(); });
    const times = [];
    for (let number = 0; number < presses; number++) {
        const start = performance.now(), next = new Promise(done => { told = done; });
        press(handle, number % 2 == 0);
        const came = await Promise.race([next.then(() => true), pause(3000).then(() => false)]);
        if (came) times.push(await painted() - start);
        await pause(150);
    }
    count = 0;
    const end = performance.now() + drag;
    for (let number = 0; performance.now() < end; number++) {
        press(handle, number % 12 < 6);
        await painted();
    }
    return { times, storm: 1000 * count / drag };
}
window.benchmark = async (presses, drag) => {
    const found = [], label = document.querySelector(".bare-label");
    const bare = label.closest(".widget-vbox").querySelector(".noUi-handle");
    const all = { childList: true, characterData: true, subtree: true };
    const watch = told => new MutationObserver(told).observe(label, all);
    found.push({ name: "bare slider", ...await measured(bare, watch, presses, drag) });
    for (const picture of document.querySelectorAll(".wmlab-picture")) {
        const handle = picture.parentElement.querySelector(".noUi-handle");
        if (!handle) { found.push(null); continue; }
        picture.scrollIntoView();
        await pause(500);
        const plot = picture.querySelector(".js-plotly-plot");
        const drawn = told => plot.on("plotly_afterplot", told);
        found.push(await measured(handle, drawn, presses, drag));
    }
    return found;
};
"""


def notebook(lesson):
    """A notebook that shows the panels of a lesson under a bare slider; and their names."""
    code = needed(statements(LESSONS[lesson]), made_by)
    names = [name for statement in code for name in sorted(made_by(statement))]
    cells = [RECORD, *map(ast.unparse, code), SHOW]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return made, names


def test_how_fast_panels_follow(start_lab, tmp_path, capsys):
    rows = []
    for lesson in LESSONS:
        made, names = notebook(lesson)
        if not names:
            continue
        nbformat.write(made, tmp_path / f"{lesson}.ipynb")
        page = start_lab(tmp_path)
        page.open(f"{lesson}.ipynb")
        page.run_all(600)
        start = f"benchmark({PRESSES}, {DRAG}).then(found => {{ window.done = found }})"
        page.js(f"{MEASURE}; window.done = null; {start}")
        page.wait("return window.done !== null", 600)
        bare, *found = json.loads(page.js("return JSON.stringify(window.done)"))
        floor = statistics.median(bare["times"])
        for name, one in zip(names, found, strict=True):
            if one and one["times"]:
                median = statistics.median(one["times"])
                rows.append((name, median, floor, one["storm"], bare["storm"]))
    with capsys.disabled():
        print(f"\n{'panel':<34}{'key to picture':>16}{'bare slider':>14}{'ratio':>8}", end="")
        print(f"{'pictures a second':>20}{'bare':>8}")
        for name, median, floor, storm, bare in rows:
            print(f"{name:<34}{median:>13.0f} ms{floor:>11.0f} ms{median / floor:>8.1f}", end="")
            print(f"{storm:>20.0f}{bare:>8.0f}")
    assert rows
