"""What panels look like: all of them on wide and narrow pages, and one of them in JupyterLab, by
eye, ear and keyboard.
"""

import itertools
import json
import pathlib

import ipywidgets as widgets
import plotly
import plotly.graph_objects as go
import pytest
import slices
from coloraide import Color
from hands import click, run, until, write
from plotly.utils import PlotlyJSONEncoder
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from slices import needed, statements
from test_looks import LETTERS, TEMPLATE, apart, colours, contrast, look
from test_panels_swept import LESSONS, made_by

from wmlab import runtime, show, training
from wmlab.show import Panel, figures
from wmlab.show.panel import PROJECTED
from wmlab.show.picture import grown, plain

# Room for a picture in JupyterLab 4.6: of a window 1280 pixels wide with its side bar open, of one
# of 800 with it closed, of the first at a zoom of 200 %, and of a window 1280 wide whose panel is
# set to "Projector"; and how much larger pictures are there.
WIDTHS = {"1280": (833, 1), "800": (605, 1), "200 %": (509, 1), "projector": (1085, PROJECTED)}
HIGHEST = 650  # pixels of a picture and its caption
DRAW = """
const [figure, said, width, done] = arguments, place = document.createElement("div");
const caption = document.createElement("div");
caption.className = "wmlab-said";
caption.innerHTML = said;
place.style.width = caption.style.width = `${width}px`;
document.body.replaceChildren(place, caption);
Plotly.newPlot(place, figure.data, figure.layout)
    .then(() => requestAnimationFrame(() =>
        done(place.offsetHeight + caption.getBoundingClientRect().height)));
"""
# Texts that are cut off, that are small, that lie upon each other or, those of axes, upon a plot.
# Ticks may turn, and do not lie upon each other then.
FAULTS = """
const plot = document.querySelector(".js-plotly-plot"), found = [];
const edge = plot.querySelector(".main-svg").getBoundingClientRect();
const overlap = (one, two) => [Math.min(one.right, two.right) - Math.max(one.left, two.left),
    Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top)];
const texts = [...plot.querySelectorAll("svg text")]
    .filter(each => each.textContent.trim() && !each.closest(".modebar"))
    .map(each => [each, each.getBoundingClientRect()])
    .filter(([, box]) => box.width && box.height);
for (const [each, box] of texts) {
    const beyond = [edge.left - box.left, box.right - edge.right,
                    edge.top - box.top, box.bottom - edge.bottom];
    if (Math.max(...beyond) > 1) found.push(`cut off: ${each.textContent}`);
    if (parseFloat(getComputedStyle(each).fontSize) < arguments[0])
        found.push(`small: ${each.textContent}`);
}
const plots = Object.values(plot._fullLayout._plots).map(({ xaxis: x, yaxis: y }) => ({
    left: edge.left + x._offset, right: edge.left + x._offset + x._length,
    top: edge.top + y._offset, bottom: edge.top + y._offset + y._length }));
for (const [each, box] of texts.filter(([each]) => each.closest("[class$=tick], [class*=title]")))
    if (plots.some(area => Math.min(...overlap(box, area)) > 3))
        found.push(`upon a plot: ${each.textContent}`);
texts.forEach(([each, one], number) => texts.slice(number + 1).forEach(([other, two]) => {
    const [wide, high] = overlap(one, two);
    const both = kind => each.closest(kind) && other.closest(kind);
    if (wide > 2 && high > 5 && !both("[class$=tick]") && !both(".trace"))
        found.push(`upon each other: ${each.textContent} / ${other.textContent}`);
}));
return found;
"""
MADE = [lesson for lesson in LESSONS if any(map(made_by, statements(LESSONS[lesson])))]


@pytest.fixture(scope="module")
def panels():
    """Every panel with its lesson's name, made as its notebook makes it. A network for one epoch,
    since nobody asks how good it is.
    """
    found, made, patch = [], [], pytest.MonkeyPatch()
    make = Panel.__init__

    def noted(self, *arguments, **named):
        make(self, *arguments, **named)
        made.append(self)

    with patch.context() as patched:
        patched.setattr(Panel, "__init__", noted)
        patched.setattr(runtime, "_scale", None)
        patched.setitem(training.RECIPES["class"], "mnist", training.Recipe("mnist_cnn", 1, 64))
        for lesson in MADE:
            made.clear()
            patched.chdir(LESSONS[lesson].parent)
            slices.run(needed(statements(LESSONS[lesson]), made_by), lesson)
            found += [(lesson, panel) for panel in made]
    return found


def inside(widget):
    """A widget and all that is in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


@pytest.mark.slow
class TestEveryPanel:
    def test_has_the_look_and_names_for_its_controls(self, panels):
        for lesson, panel in panels:
            figure = go.Figure(plain(panel.figure))
            layout = figure.layout
            assert layout.template == TEMPLATE, lesson
            assert colours(figure) <= set(figures.PALETTE), lesson
            assert layout.paper_bgcolor is None, "white, as the template has it"
            buttons = layout.modebar.remove or layout.template.layout.modebar.remove
            assert "sendChartToCloud" in buttons
            legend = [each for each in figure.data if each.name and each.showlegend is not False]
            named = {trace.name: look(trace) for trace in legend}
            pairs = itertools.combinations(named.values(), 2)
            assert all(apart(*pair) for pair in pairs), (lesson, list(named))
            assert all(control.description for control in panel.controls.values())
            kinds = (widgets.Button, widgets.ToggleButton)
            names = [each.description for each in inside(panel.widget) if isinstance(each, kinds)]
            assert all(names), lesson

    @pytest.mark.browser
    def test_its_words_have_room(self, panels, chrome, tmp_path):
        script = pathlib.Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        css = pathlib.Path(show.__file__).parent / "page.css"
        page = tmp_path / "page.html"
        page.write_text(
            f"<!DOCTYPE html><meta charset='utf-8'><script src='{script.as_uri()}'></script>"
            f"<style>{css.read_text()}</style><body style='margin: 0; font-family: sans-serif'>"
        )
        chrome.get(page.as_uri())
        faults = []
        for lesson, panel in panels:
            for width, (room, larger) in WIDTHS.items():
                figure = go.Figure(plain(grown(panel.figure, larger))).to_plotly_json()
                figure = json.loads(json.dumps(figure, cls=PlotlyJSONEncoder))
                room = max(room, figure["layout"].get("meta", {}).get("least", 0))  # it is scrolled
                high = chrome.execute_async_script(DRAW, figure, panel.caption.value, room)
                if larger == 1 and high > HIGHEST:
                    faults.append(f"{lesson}, {width}: {high:.0f} pixels high")
                found = chrome.execute_script(FAULTS, 12 * larger)
                faults += [f"{lesson}, {width}: {fault}" for fault in found]
        assert faults == []


PANEL = """
import ipywidgets as widgets
import numpy as np
from wmlab.show import Panel, Question, figures, show

def picture(a, b):
    line = dict(type="scatter", x=[0, 1], y=[a, 9])
    return figures.figure([line]), f"a is {a}, b is {b}"

auto = dict(button_width="auto")
panel = Panel(picture, presets={"high": {"a": 9}},
              a=widgets.IntSlider(1, 0, 9, description="the a"),
              b=widgets.ToggleButtons(options=["x", "y"], description="the b", style=auto))
question = Question("which?", ["this", "that"], panel, answer="this")
show(question, figures.pictures({"a row": np.zeros((9, 8, 8, 1))}))
"""
# Every text in the output, with its colour and the first ground behind it that can be seen.
LETTERED = """
const kinds = ":is(p, span, label, button, i, b, .widget-readout)";
const words = each => [...each.childNodes].some(node => node.nodeType == 3 && node.data.trim());
const none = colour => colour.match(/, 0\\)$/);
return [...document.querySelectorAll(`.jp-OutputArea-output ${kinds}`)].filter(words).map(each => {
    let behind = each;
    while (none(getComputedStyle(behind).backgroundColor) && behind.parentElement)
        behind = behind.parentElement;
    const ground = getComputedStyle(behind).backgroundColor;
    return [each.textContent, getComputedStyle(each).color, ground];
});
"""
WIDE = """
const area = document.querySelector(".jp-OutputArea-output");
const picture = area.querySelector(".main-svg");
return [area.clientWidth, picture.getBoundingClientRect().width, area.scrollWidth,
    Math.max(...[...area.querySelectorAll("*")].map(each => each.getBoundingClientRect().right))
        - area.getBoundingClientRect().right];
"""
FOCUSED = """
const at = document.activeElement;
const name = at.getAttribute("aria-label") || at.textContent.trim();
return at.closest(".jp-OutputArea-output") ? name : null;
"""


@pytest.mark.browser
class TestInJupyterLab:
    @pytest.fixture
    def page(self, lab):
        page = lab
        write(page.folder / "one.ipynb", PANEL)
        page.open("one.ipynb")
        page.run_all()
        click(page, "this")
        until(
            lambda: (
                "a is 1" in page.text()
                and page.js("return document.querySelectorAll('[role=figure]').length == 1")
            )
        )
        yield page
        page.chrome.set_window_size(1400, 1100)

    def test_it_is_heard_named_reached_and_read(self, page):
        """One opening for all, since opening takes longest."""
        self.heard(page)
        self.named(page)
        self.reached(page)
        self.fits(page)
        self.read(page, "JupyterLab Light", "#FFFFFF")
        self.read(page, "JupyterLab Dark", "#111111")
        assert (
            page.js(
                "return document.querySelectorAll('[data-title*=loud], [data-title*=hare]').length"
            )
            == 0
        ), "an upload button"
        assert page.console_errors() == []

    def heard(self, page):
        """The captions are regions that stay when their words change."""
        regions = "[...document.querySelectorAll('.jp-OutputArea-output [role=status]')]"
        page.js(regions + ".forEach(each => { each.stays = true; })")
        run(page, "panel.set(a=4)")
        kept = f"return {regions}.map(each => [each.stays, each.textContent.trim()])"
        until(lambda: [True, "a is 4, b is x"] in page.js(kept))
        assert all(stays for stays, _ in page.js(kept)) and len(page.js(kept)) == 2

    def named(self, page):
        """What a screen reader is told: Chromium's own tree of names and roles."""
        nodes = page.chrome.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        told = {
            (node["role"]["value"], node.get("name", {}).get("value")): {
                each["name"]: each["value"].get("value") for each in node.get("properties", [])
            }
            for node in nodes
            if "role" in node
        }
        assert {
            ("slider", "the a"),
            ("group", "the b"),
            ("group", "Your prediction: which?"),
            ("figure", "a is 4, b is x"),
        } <= set(told)
        assert (
            told["button", "x"]["pressed"] == "true" and told["button", "y"]["pressed"] == "false"
        )
        assert {name for role, name in told if role == "slider"} == {"the a"}

    def reached(self, page):
        """Tab goes through all controls in the order in which they are seen; arrows and space work
        on them.
        """
        first = page.chrome.find_element(By.CSS_SELECTOR, ".jp-OutputArea-output button")
        page.js("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", first)
        keyboard, order = page.chrome.switch_to, []
        for _ in range(9):
            order.append(page.js(FOCUSED))
            if order[-1] == "the a":
                keyboard.active_element.send_keys(Keys.ARROW_RIGHT)
            if order[-1] == "y":
                keyboard.active_element.send_keys(Keys.SPACE)
            keyboard.active_element.send_keys(Keys.TAB)
        assert order == [
            "this",
            "that",
            "the a",
            "the a, typed",
            "x",
            "y",
            "high",
            "Reset",
            "Projector",
        ]
        until(lambda: "a is 5, b is y" in page.text())
        assert (
            page.js(
                "return [...document.querySelectorAll('.jp-OutputArea-output [aria-pressed=true]')]"
                ".at(-1).textContent"
            )
            == "y"
        )

    def fits(self, page):
        """The picture follows the window, and the side bar that is no window's business; nothing
        sticks out.
        """
        widths = {page.js(WIDE)[0]}

        def fitting():
            room, picture, content, beyond = page.js(WIDE)
            return abs(room - picture) <= 4 and content <= room and beyond <= 1

        for change in (
            lambda: page.chrome.set_window_size(1280, 900),
            lambda: page.chrome.set_window_size(800, 900),
            lambda: page.js("window.jupyterapp.commands.execute('application:toggle-left-area')"),
        ):
            change()
            until(lambda: page.js(WIDE)[0] not in widths)
            until(fitting)
            widths.add(page.js(WIDE)[0])
        assert len(widths) == 4

    def read(self, page, theme, ground):
        """In a theme all words stand out from their ground, and pictures lie on white."""
        page.js(
            "window.themed = false; window.jupyterapp.commands.execute("
            "'apputils:change-theme', {theme: arguments[0]}).then(() => { window.themed = true; })",
            theme,
        )
        page.wait("return window.themed", 600)
        color = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        until(
            lambda: (
                Color(page.js(color, ".jp-Notebook", "backgroundColor")).to_string(hex=True)
                == ground.lower()
            )
        )
        words = {text.strip() for text, *_ in page.js(LETTERED)}
        assert {"a is 5, b is y", "the a", "Projector", "this"} <= words
        # colours change in a moment, not at once
        until(lambda: all(contrast(*pair) >= LETTERS for _, *pair in page.js(LETTERED)))
        assert contrast(page.js(color, ".wmlab-picture", "backgroundColor"), "white") == 1
        assert float(page.js(color, ".wmlab-picture", "borderRadius").removesuffix("px")) > 4
