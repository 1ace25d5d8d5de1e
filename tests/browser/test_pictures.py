"""Pictures share one copy of plotly's code: what the page then draws, when that comes late, and
after a reload.
"""

import nbformat
import pytest
from hands import red, trouble, until

pytestmark = pytest.mark.browser

DRAWN = """return [...document.querySelectorAll('.js-plotly-plot')].map(
    each => [...each.data?.flatMap(trace => [...trace.y ?? ["lost"]]) ?? [], each.layout?.title?.text])"""
# plotly's code takes 4 s to load, twice what anywidget gives a widget.
SLOW = """const real = URL.createObjectURL;
URL.createObjectURL = blob => real.call(URL, blob.size < 1e6 ? blob : new Blob([
    `await new Promise(done => setTimeout(done, 4000)); export { default } from "${real.call(URL, blob)}";`
], { type: "text/javascript" }));"""
CHANGED = """
import plotly.graph_objects as go
from wmlab.show.panel import live, show
pictures = [live(go.Figure().add_scatter(y=[number, number]).add_scatter(y=[7, 7])) for number in (1, 2, 3)]
show(*pictures)
for number, picture in enumerate(pictures, 1):
    for step in range(3):
        with picture.batch_update():
            picture.data[0].y = [number, 10 * number + step]
            picture.data[1].x = [0, step]
            picture.layout.title.text = f"picture {number}, step {step}"
    picture.add_bar(y=[9])
    picture.data = picture.data[:2]
    picture.add_bar(y=[8])
"""


@pytest.fixture
def page(start_lab, tmp_path):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CHANGED)], metadata={"kernelspec": kernel}
    )
    nbformat.write(notebook, tmp_path / "pictures.ipynb")
    page = start_lab(tmp_path)
    page.open("pictures.ipynb")
    return page


def is_as_last_changed(page):
    return page.js(DRAWN) == [
        [number, 10 * number + 2, 7, 7, 8, f"picture {number}, step 2"] for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("first", ["", SLOW], ids=["at once", "when plotly loads in 4 s"])
def test_pictures_are_drawn_as_they_were_last_changed(page, first):
    page.js(first)
    page.run_all()
    until(lambda: is_as_last_changed(page), 60)
    assert page.js("return Object.keys(wmlabPlotly).length") == 1
    assert page.errors() == [] and red(page) == [] and trouble(page) == []


def test_pictures_are_there_again_after_a_reload(page):
    page.run_all()
    until(lambda: is_as_last_changed(page), 60)
    page.js(
        "window.saved = null; window.jupyterapp.commands.execute('docmanager:save').then(() => { window.saved = true })"
    )
    page.wait("return window.saved", 30)
    page.open("pictures.ipynb")
    until(lambda: len(page.js("return [...document.querySelectorAll('.js-plotly-plot')]")) == 3, 60)
    assert trouble(page) == []
