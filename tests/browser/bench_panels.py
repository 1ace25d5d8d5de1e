"""How fast every panel of every lesson follows the hand: `make bench-panels` prints a table.

Each panel is made as its notebook makes it and opened in JupyterLab in headless Chromium. Measured
in the page: from the event of an arrow key on its first slider to the first frame after plotly has
drawn; and how many pictures a second come while keys arrive as fast as the screen shows them.
Beside it, in the same notebook, a bare slider that is echoed into a label: nothing can be faster.
Times depend on the machine and its load; the ratios within one run are what counts.

Measured in November 2026, JupyterLab 4.6 and plotly 7 on two cores that were busy with other work
(load 17), so that only the ratios say something: key to picture, times the bare slider's 125 to
161 ms, and pictures a second of a drag, where the bare slider made 4.

    boundary_twist.maps            3.0    4        expected_queries.race          2.5    2
    key_samples.look               1.7    2        expected_queries.running_mean  1.5    4
    key_samples.noise              2.5    2        expected_queries.batch         3.0    4
                                                   expected_queries.compare       4.0    2
                                                   expected_queries.notice        3.4    2

The kernel's own part is 0.2 to 7 ms of processor time a picture, in 01 it is 21 ms. Sent to
the browser with all cells run and all questions answered: 00 2.25 MB, 02 2.88 MB, 05 3.11 MB, of
which plotly's code is 1.96. Not measured yet: an idle machine, and the other lessons.
"""

import ast
import json
import pathlib
import shutil
import statistics
import sys

import pytest
from hands import answer_all, write

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


# Counts what the kernel sends, from before the page starts.
COUNT = """
window.received = 0;
window.WebSocket = class extends WebSocket {
    constructor(...address) {
        super(...address);
        this.addEventListener("message", ({ data }) => {
            window.received += data.byteLength ?? data.size ?? data.length;
        });
    }
};
"""
QUICK = """
from wmlab import training
training.RECIPES["class"]["mnist"] = training.Recipe("mnist_cnn", 1, 64)
"""


def notebook(lesson):
    """The cells that show the panels of a lesson under a bare slider; and the panels' names.
    Networks are trained for one epoch, since nobody asks how good they are.
    """
    code = needed(statements(LESSONS[lesson]), made_by)
    names = [name for statement in code for name in sorted(made_by(statement))]
    cells = list(map(ast.unparse, code))
    first = next(number for number, cell in enumerate(cells) if "wmlab.setup(" in cell)
    quick = [QUICK] if "keras" not in cells[first] else []
    return [RECORD, *cells[: first + 1], *quick, *cells[first + 1 :], SHOW], names


def followed(page, lesson):
    """Measure the panels of a lesson: rows of (name, milliseconds of a key, of a key of the bare
    slider, pictures a second, of the bare slider).
    """
    cells, names = notebook(lesson)
    write(page.folder / f"bench_{lesson}.ipynb", *cells)
    page.open(f"bench_{lesson}.ipynb")
    page.run_all(3600)
    assert page.errors() == []
    start = f"benchmark({PRESSES}, {DRAG}).then(found => {{ window.done = found }})"
    page.js(f"{MEASURE}; window.done = null; {start}")
    page.wait("return window.done !== null", 3600)
    bare, *found = json.loads(page.js("return JSON.stringify(window.done)"))
    floor = statistics.median(bare["times"])
    for name, one in zip(names, found, strict=True):
        if one and one["times"]:
            yield name, statistics.median(one["times"]), floor, one["storm"], bare["storm"]


@pytest.mark.parametrize("lesson", [each for each in LESSONS if notebook(each)[1]])
def test_how_fast_panels_follow(lab, lesson, capsys):
    rows = list(followed(lab, lesson))
    assert rows
    with capsys.disabled():
        print(f"\n{'panel':<34}{'key to picture':>16}{'bare slider':>14}{'ratio':>8}", end="")
        print(f"{'pictures a second':>20}{'bare':>8}")
        for name, median, floor, storm, bare in rows:
            print(f"{name:<34}{median:>13.0f} ms{floor:>11.0f} ms{median / floor:>8.1f}", end="")
            print(f"{storm:>20.0f}{bare:>8.0f}")


@pytest.mark.parametrize("lesson", LESSONS)
def test_how_much_goes_to_the_browser(lab, lesson, capsys):
    """All that the kernel sends while all cells run and all questions are answered."""
    shutil.copy(LESSONS[lesson], lab.folder)
    script = lab.chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT})
    lab.open(f"{lesson}.ipynb")
    lab.run_all(3600)
    answer_all(lab)
    with capsys.disabled():
        print(f"\n{lesson:<34}{lab.js('return window.received') / 1e6:>13.2f} MB")
    lab.chrome.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
