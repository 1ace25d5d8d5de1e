"""Pages of two lessons, opened from the disk in a browser without a network: drawn, zoomed, folded,
printed.
"""

import base64
import json
import pathlib
import re
import zlib

import bs4
import nbformat
import numpy as np
import pytest
from hands import until
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from wmlab.tools import pages as built
from wmlab.tools.pages import run

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
RUN = ("02_key_samples", "05_expected_queries")  # pictures and lines, a few seconds each
pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of the pages: two lessons that were run, the others as they are stored."""
    folder = tmp_path_factory.mktemp("course")
    really = run.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            run,
            "run",
            lambda path, work: (
                really(path, work) if path.stem in RUN else nbformat.read(path, as_version=4)
            ),
        )
        built.build(folder / "html", NOTEBOOKS)
    return folder / "html"


@pytest.fixture
def look(chrome, pages):
    """A function: open a page from the disk, with no network, in light or dark, and wait until it
    has drawn.
    """

    def look(name, scheme="light", media="", width=1280):
        chrome.get("about:blank")
        chrome.get_log("browser")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        metrics = dict(width=width, height=900, deviceScaleFactor=1, mobile=False)
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        chrome.get((pages / f"{name}.html").as_uri())
        plots = "[...document.querySelectorAll('.plot')]"
        drawn = f"return {plots}.every(place => place.querySelector('.main-svg'))"
        until(lambda: chrome.execute_script(drawn))
        return chrome

    offline = dict(offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield look
    chrome.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        offline | dict(offline=False, downloadThroughput=-1, uploadThroughput=-1),
    )
    chrome.execute_cdp_cmd("Network.disable", {})
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def unfold(chrome):
    chrome.execute_script(
        "document.querySelectorAll('details').forEach(each => { each.open = true; })"
    )


def test_silent_and_fetched_from_nowhere(look):
    for name in (*RUN, "index"):
        chrome = look(name)
        logged = chrome.get_log("browser")
        assert [each for each in logged if each["level"] in ("SEVERE", "WARNING")] == []
        # what wants the network would have said so
        chrome.execute_async_script(
            "const image = new Image(), done = arguments[0]; image.onerror = () => done();"
            "image.src = 'https://example.com/x.png'"
        )
        logged = chrome.get_log("browser")
        assert any("example.com/x.png" in each["message"] for each in logged)


def test_every_figure_is_drawn_and_says_what_it_shows(look, pages):
    for name in RUN:
        chrome = look(name)
        unfold(chrome)
        page = (pages / f"{name}.html").read_text(encoding="utf-8")
        written = bs4.BeautifulSoup(page, "html.parser")
        figures = [json.loads(script.string) for script in written.select("figure > script")]
        counted = chrome.execute_script(
            "return [...document.querySelectorAll('.plot')].map(place => ["
            "place.querySelectorAll('.scatterlayer .trace').length,"
            "[...place.querySelectorAll('.imagelayer image')].filter(i => i.href.baseVal).length])"
        )
        assert len(figures) >= 3 and counted == [list(inside(figure)) for figure in figures]
        alternatives = [place["aria-label"] for place in written.select("[role=img]")]
        assert len(alternatives) == len(figures) and min(map(len, alternatives)) > 20
        nodes = chrome.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        images = [node for node in nodes if node.get("role", {}).get("value") in ("image", "img")]
        spoken = {node["name"]["value"] for node in images}
        assert {" ".join(words.split()) for words in alternatives} <= spoken
        assert "Choose first" not in chrome.find_element(By.TAG_NAME, "main").text


def inside(figure):
    """How many lines and images a figure has."""
    kinds = [each["type"] for each in figure["data"] if each.get("visible", True) is True]
    return kinds.count("scatter"), len(figure["layout"].get("images", []))


def test_a_formula_is_drawn(look):
    chrome = look("05_expected_queries")
    sizes = chrome.execute_script(
        "return [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().width)"
    )
    assert len(sizes) > 50 and min(sizes) > 3


def test_a_result_unfolds_and_a_figure_zooms(look):
    chrome = look("05_expected_queries")
    fold = chrome.find_element(By.TAG_NAME, "details")
    assert not fold.find_element(By.CLASS_NAME, "plot").is_displayed()
    fold.find_element(By.TAG_NAME, "summary").click()
    place = fold.find_element(By.CLASS_NAME, "plot")
    assert place.is_displayed()
    area = place.find_element(By.CSS_SELECTOR, ".nsewdrag")

    def seen():
        return chrome.execute_script(
            "const axis = arguments[0]._fullLayout.xaxis; return axis.range.map(Number)", place
        )

    before = seen()
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", area)
    ActionChains(chrome).move_to_element_with_offset(area, -100, 0).click_and_hold().move_by_offset(
        150, 0
    ).release().perform()
    until(lambda: seen() != before)
    low, high = seen()
    width = area.rect["width"]
    expected = np.interp([width / 2 - 100, width / 2 + 50], [0, width], before)
    assert np.allclose([low, high], expected, atol=0.03 * (before[1] - before[0]))


def test_nothing_is_wider_than_the_window(look):
    wide = "return [document.documentElement, ...document.querySelectorAll('.plot')]"
    for width, scheme in (1280, "light"), (800, "dark"), (400, "dark"):
        for name in (*RUN, "index"):
            chrome = look(name, scheme, width=width)
            unfold(chrome)
            beyond = f"{wide}.map(each => each.scrollWidth - each.clientWidth)"
            assert max(chrome.execute_script(beyond)) <= 0, (name, width)


def test_light_and_dark(look):
    grounds = {}
    for scheme in "light", "dark":
        chrome = look("index", scheme)
        colour = chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
    assert grounds["light"] == 255 and grounds["dark"] < 40


def test_headings_and_keyboard(look):
    chrome = look("05_expected_queries")
    levels = chrome.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    chrome.execute_script("document.body.focus()")
    first = chrome.switch_to.active_element
    first.send_keys("\ue004")  # Tab
    assert chrome.switch_to.active_element.text == "To the text"


def test_on_paper(look):
    """Results are unfolded, pictures are in the file and within the page, the ground is white,
    addresses can be read.
    """
    chrome = look("05_expected_queries", "dark")
    assert chrome.execute_script("return document.querySelectorAll('details[open]').length") == 0
    printed = chrome.execute_cdp_cmd(
        "Page.printToPDF",
        {
            "printBackground": True,
            "preferCSSPageSize": True,
            "paperWidth": 8.27,
            "paperHeight": 11.69,
            "scale": 1,
        },
    )
    file = base64.b64decode(printed["data"])
    content = b"".join(inflated(file)).decode("latin-1")
    assert len(re.findall(rb"/Type /Page\b", file)) > 8
    strokes = {
        tuple(round(255 * float(part)) for part in found)
        for found in re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) (?:RG|rg)", content)
    }
    drawn = {
        tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
        for colour in ("#0072B2", "#009E73", "#D55E00")
    }
    assert drawn <= strokes  # the lines of the pictures, all of which were folded away
    assert not strokes & {(0x16, 0x18, 0x1B)}  # the dark page's ground
    # folded again, as wide as before
    opened = "return document.querySelectorAll('details[open]').length"
    until(lambda: chrome.execute_script(opened) == 0)

    chrome = look("05_expected_queries", media="print", width=680)  # between the margins of A4
    chrome.execute_script("dispatchEvent(new Event('beforeprint'))")
    right = chrome.execute_script(
        "return [...document.querySelectorAll('.main-svg, main table, pre')]"
        ".map(each => each.getBoundingClientRect().right)"
    )
    assert len(right) > 20 and max(right) <= 680
    after = chrome.execute_script(
        "return getComputedStyle(document.querySelector('main a[href^=http]'), '::after').content"
    )
    assert "attr(href)" in after or "colab.research.google.com" in after
    hidden = chrome.execute_script(
        "return [...document.querySelectorAll('header, footer, .contents, summary')]"
        ".map(each => getComputedStyle(each).display)"
    )
    assert set(hidden) == {"none"}


def inflated(file):
    """The streams of a PDF file."""
    for found in re.finditer(rb"stream\r?\n", file):
        try:
            yield zlib.decompressobj().decompress(file[found.end() :])
        except zlib.error:
            continue  # a font, or a picture in another format
