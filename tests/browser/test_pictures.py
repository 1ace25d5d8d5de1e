"""Pictures share one copy of plotly's code: what the page then draws, when that comes late, and
after a reload.
"""

import pytest
from hands import sound, trouble, until, write

pytestmark = pytest.mark.browser

DRAWN = """return [...document.querySelectorAll('.js-plotly-plot')].map(
    each => [...each.data?.flatMap(trace => [...trace.y]) ?? [], each.layout?.title?.text])"""
# plotly's code takes 4 s to load, twice what anywidget gives a widget.
SLOW = """const real = URL.createObjectURL;
URL.createObjectURL = blob => real.call(URL, blob.size < 1e6 ? blob : new Blob([
    `await new Promise(done => setTimeout(done, 4000));
     export { default } from "${real.call(URL, blob)}";`
], { type: "text/javascript" }));"""
CHANGED = """
import numpy as np
from wmlab.show import show
from wmlab.show.figures import figure
from wmlab.show.picture import Picture

def made(number, step):
    y = np.array([number, 10 * number + step])
    traces = [dict(type="scatter", y=y), dict(type="scatter", y=[7, 7]), dict(type="bar", y=[8])]
    return figure(traces[: 2 + step // 2], title=f"picture {number}, step {step}")

pictures = [Picture(made(number, 0)) for number in (1, 2, 3)]
show(*pictures)
for number, picture in enumerate(pictures, 1):
    for step in range(3):
        picture.figure = made(number, step)
"""


def as_last_changed(page):
    return page.js(DRAWN) == [
        [number, 10 * number + 2, 7, 7, 8, f"picture {number}, step 2"] for number in (1, 2, 3)
    ]


def save(page):
    page.js(
        "window.saved = null; window.jupyterapp.commands.execute('docmanager:save')"
        ".then(() => { window.saved = true })"
    )
    page.wait("return window.saved", 60)


def test_pictures_are_drawn_as_last_changed_when_plotly_comes_late_and_after_a_reload(lab):
    write(lab.folder / "pictures.ipynb", CHANGED)
    for first in "", SLOW:
        lab.open("pictures.ipynb")
        lab.js(first)
        lab.run_all()
        until(lambda: as_last_changed(lab))
        assert lab.js("return Object.keys(wmlabPlotly).length") == 1
        sound(lab)
    save(lab)
    lab.chrome.refresh()  # the kernel lives on
    until(lambda: as_last_changed(lab))
    assert trouble(lab) == []


def test_a_notebook_that_is_opened_again_shows_its_pictures_and_says_how_to_use_them(lab):
    """Under the settings of `make lab`; without them, and in a notebook of somebody else's, a
    sentence stands for the picture.
    """
    write(lab.folder / "saved.ipynb", CHANGED)
    lab.open("saved.ipynb")
    lab.run_all()
    hint = "return getComputedStyle(document.querySelector('.wmlab-shown'), '::after').content"
    assert lab.js(hint) == "none"
    save(lab)
    lab.open("saved.ipynb")  # with a new kernel
    until(lambda: as_last_changed(lab))
    assert "Run this cell again" in lab.js(hint)
    assert trouble(lab) == []
    text = (lab.folder / "saved.ipynb").read_text().replace("import numpy", "import  numpy")
    (lab.folder / "others.ipynb").write_text(text)
    lab.open("others.ipynb")
    until(lambda: "Run this cell again to see the picture." in lab.text())
    assert "Error displaying" not in lab.text()
