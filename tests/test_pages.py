"""The course as pages: twins of widgets, formulas, links, and what a build leaves on the disk."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import bs4
import ipywidgets as widgets
import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from coloraide import Color
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from wmlab.__main__ import main
from wmlab.show import Panel, Question, figures
from wmlab.show.panel import live
from wmlab.tools import pages
from wmlab.tools.pages import body, run, twins
from wmlab.tools.pages.links import broken

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def soup(markup):
    return bs4.BeautifulSoup(markup, "html.parser")


def numbers(written):
    """The numbers that plotly's browser side will read: a list, or bytes in base64 with their type."""
    if not isinstance(written, dict):
        return np.array(written, float)
    values = np.frombuffer(
        base64.b64decode(written["bdata"]),
        {"f8": "<f8", "f4": "<f4", "u1": "u1", "i1": "i1", "i2": "<i2", "i4": "<i4"}[
            written["dtype"]
        ],
    )
    return (
        values.reshape([int(n) for n in str(written["shape"]).split(",")])
        if "shape" in written
        else values
    )


@pytest.fixture
def panel():
    """A panel with a control of every kind, whose one line is the slope times 0 to 4."""
    controls = {
        "slope": widgets.FloatSlider(
            0.5, min=0, max=2, step=0.25, description="slope", readout_format=".2f"
        ),
        "count": widgets.IntSlider(5, min=2, max=9, description="points"),
        "beta": widgets.SelectionSlider(
            options=[("tiny", 0.001), ("large", 1)], value=1, description="β"
        ),
        "label": widgets.ToggleButtons(
            options=["new", "wrong"], value="wrong", description="label"
        ),
        "kind": widgets.Dropdown(options=[("one", 1), ("two", 2)], value=2, description="kind"),
    }
    figure = figures.blank(title="a line").add_scatter(x=[], y=[], name="unmarked")

    def draw(figure, result):
        figure.data[0].x, figure.data[0].y = result
        return f"The line ends at <b>{result[1][-1]:g}</b> < 9 & so on."

    return Panel(
        figure,
        controls,
        lambda slope, count, **_: (np.arange(count), slope * np.arange(count)),
        draw,
        presets={"Steep": {"slope": 2}},
    )


class TestTwins:
    def test_a_figure_has_the_numbers_of_now(self, panel):
        panel.set(slope=1.25, count=4)
        page = soup(twins.twin(panel.widget))
        written = json.loads(page.figure.script.string)
        assert numbers(written["data"][0]["x"]).tolist() == [0, 1, 2, 3]
        assert numbers(written["data"][0]["y"]).tolist() == [0, 1.25, 2.5, 3.75]
        assert written["layout"]["title"]["text"] == "a line"

    @settings(max_examples=20)
    @given(
        shapes.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e9, 1e9)),
        shapes.arrays(np.uint8, shapes.array_shapes(min_dims=2, max_dims=2, max_side=6)),
        st.text(),
    )
    def test_any_numbers_and_any_words(self, line, grid, words):
        figure = live(go.Figure().add_scatter(y=line, name=words).add_heatmap(z=grid))
        page = soup(twins.twin(figure))
        one, two = json.loads(page.figure.script.string)["data"]
        assert np.array_equal(numbers(one["y"]), line) and np.array_equal(numbers(two["z"]), grid)
        assert one.get("name", "") == words or not words
        assert len(page.find_all(True)) == 3  # figure, place and data: no word became a tag

    def test_a_script_does_not_end_early(self):
        page = soup(twins.twin(live(go.Figure().add_scatter(y=[1], name="</script><b>"))))
        assert not page.b and json.loads(page.script.string)["data"][0]["name"] == "</script><b>"

    def test_the_caption_is_the_alternative(self, panel):
        page = soup(twins.twin(panel.widget))
        (place,) = page.select("[role=img]")
        assert place["aria-label"] == "The line ends at 2 < 9 & so on."
        assert page.figcaption.b.text == "2" and page.text.count("The line ends") == 1
        assert "height:380px" in place["style"]

    def test_a_figure_without_a_caption_is_described(self):
        figure = figures.curves()
        place = soup(twins.twin(live(figure))).select_one("[role=img]")
        assert place["aria-label"] == (
            "epoch. accuracy on clean images; accuracy on fresh keys. "
            "Shows unmarked, wrong label, new label"
        )
        assert (
            soup(twins.twin(live(go.Figure()))).select_one("[role=img]")["aria-label"] == "Picture"
        )

    def test_the_title_of_the_next_figure_is_no_caption(self):
        box = widgets.VBox([live(go.Figure()), widgets.HTML("<b>Next</b>"), live(go.Figure())])
        page = soup(twins.twin(box))
        assert not page.select("figcaption") and [
            tag.name for tag in page.div.find_all(True, recursive=False)
        ] == ["figure", "div", "figure"]

    def test_controls_show_where_they_stand(self, panel):
        panel.set(slope=1.25, beta=0.001, label="new", kind=1)
        page = soup(twins.twin(panel.widget))
        says = {tag.get_text(" ", strip=True): tag.input for tag in page.select("label.control")}
        assert {"slope 1.25", "points 5", "β tiny"} == set(says)
        bar = says["slope 1.25"]
        assert (float(bar["min"]), float(bar["max"]), float(bar["value"])) == (0, 2, 1.25)
        assert (says["β tiny"]["value"], says["β tiny"]["max"]) == ("0", "1")
        pressed = {button.text: button["aria-pressed"] for button in page.select("button")}
        assert pressed == {
            "new": "true",
            "wrong": "false",
            "one": "true",
            "two": "false",
        }  # and no preset, which does nothing
        assert [group["aria-label"] for group in page.select("[role=group]")] == ["label", "kind"]
        assert all(tag.has_attr("disabled") for tag in page.select("input, button"))

    def test_a_question_unfolds(self, panel):
        question = Question("What <b>happens</b>?", ["this", "that"], panel, because="Because.")
        hidden = soup(twins.twin(question.widget))
        assert not hidden.select("figure") and "Choose first" in hidden.details.text
        question.reveal()
        page = soup(twins.twin(question.widget))
        assert page.select_one("details:not([open]) figure") and "Because." in page.details.text
        assert (
            "predict first" in page.details.text
            and "What happens?" in page.section.text.replace(page.details.text, "")
        )
        assert [button["aria-pressed"] for button in page.select("section > .control button")] == [
            "false",
            "false",
        ]

    def test_an_unknown_widget_is_named(self):
        with pytest.raises(TypeError, match="^Text has no twin for the pages"):
            twins.twin(widgets.VBox([widgets.Text()]))

    def test_progress_and_what_is_empty(self):
        assert twins.twin(widgets.VBox([widgets.HBox(), widgets.HTML(), widgets.Button()])) == ""
        bar = soup(
            twins.twin(widgets.FloatProgress(1.5, min=1, max=2, description="training"))
        ).progress
        assert (float(bar["value"]), bar["aria-label"]) == (0.5, "training")
        assert soup(twins.twin(widgets.HTML("<img src='data:,' alt='x'>"))).img


class TestFormulas:
    @pytest.mark.parametrize(
        ("latex", "reads"),
        [
            (r"\lvert K\rvert", "|K|"),
            (r"(1-p)^k < |K|", "(1−p)k<|K|"),
            (r"\lceil 1/p \rceil", "⌈1/p⌉"),
            (r"\hat F_W", "F^W"),
            (r"\Pr[\text{done first}]", "Pr[done\xa0first]"),
            (r"\sqrt n\, d / s", "nd/s"),
            (r"D_1 \subset D", "D1⊂D"),
        ],
    )
    def test_as_mathml(self, latex, reads):
        tree = ET.fromstring(body.formula(latex))
        assert "".join(tree.itertext()) == reads and tree.get("alttext") == latex

    def test_bars_are_no_operators(self):
        tree = ET.fromstring(body.formula(r"k < |K|"))
        assert [each.text for each in tree.iter() if each.tag.endswith("}mo")] == ["<"]

    def test_unknown_commands_fail(self):
        with pytest.raises(ValueError, match=r"cannot show the formula \\nosuch\{x\}"):
            body.formula(r"\nosuch{x}")

    @pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
    def test_all_formulas_of_the_course(self, path):
        cells = [
            cell.source
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "markdown"
        ]
        shown = soup("".join(map(body.to_html, cells)))
        written = sum(len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.DOTALL)) for text in cells)
        assert len(shown.select("math")) == written
        for math in shown.select("math"):
            ET.fromstring(str(math))
        assert "$" not in shown.text


class TestLinks:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "a.html").write_text(
            "<h1 id='top'>A</h1><a href='b.html#größe'>b</a><a href='#top'>up</a><a href='#'>up</a>"
            "<a href='https://doi.org/10.1/x'>doi</a><img src='data:,'><script src='x.js'></script>"
        )
        (tmp_path / "b.html").write_text(
            "<h2 id='größe'>B</h2><a href='a.html'>a</a><a href='b.html#gr%C3%B6%C3%9Fe'>here</a>"
        )
        (tmp_path / "x.js").touch()
        return tmp_path

    def test_good_ones(self, folder):
        assert broken(folder) == []

    @pytest.mark.parametrize(
        ("markup", "complaint"),
        [
            ("<a href='c.html'>", "there is no c.html"),
            ("<a href='b.html#no'>", "there is no section no in b.html"),
            ("<a href='#no'>", "there is no section no in a.html"),
            ("<img src='no.png'>", "there is no no.png"),
            ("<img src='https://example.com/x.png'>", "https://example.com/x.png would be fetched"),
            (
                "<script src='//cdn.example.com/x.js'></script>",
                "//cdn.example.com/x.js would be fetched",
            ),
            ("<link rel='stylesheet' href='https://example.com/x.css'>", "would be fetched"),
            ("<a href='https:/example.com'>", "https:/example.com is no address"),
            ("<a href='htps://example.com'>", "no address"),
            ("<a href='https://exa mple.com/'>", "no address"),
            ("<a href='javascript:alert(1)'>", "no address"),
            ("<a href='../secret.html'>", "there is no ../secret.html"),
        ],
    )
    def test_bad_ones(self, folder, markup, complaint):
        (folder.parent / "secret.html").touch()
        with (folder / "a.html").open("a") as page:
            page.write(markup)
        (said,) = broken(folder)
        assert said.startswith("a.html: ") and complaint in said


def write(path, *cells):
    made = [
        nbformat.v4.new_code_cell(cell[1:])
        if cell[0] == ">"
        else nbformat.v4.new_markdown_cell(cell)
        for cell in cells
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


@pytest.fixture
def course(tmp_path):
    """Three small notebooks that link to each other."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/x)"
    write(
        folder / "00_a.ipynb",
        f"{badge}\n\n# 00 Start & begin\n\n**Purpose.** To *begin*.",
        "## Size β\n[next](01_b.ipynb#Two)",
    )
    write(
        folder / "01_b.ipynb",
        "# 01 B\n\n**Purpose.** B.",
        "## Two\n[before](00_a.ipynb#Size-β), $|K|$",
        ">1 + 1",
    )
    write(folder / "02_c.ipynb", "# 02 C\n\n**Purpose.** C.")
    return folder


@pytest.fixture
def as_stored(monkeypatch):
    """Notebooks are not run, but taken as they are; which ones is noted."""
    noted = []

    def stored(path, folder):
        noted.append(path.name)
        return nbformat.read(path, as_version=4)

    monkeypatch.setattr(run, "run", stored)
    return noted


class TestBuild:
    def test_pages_and_their_links(self, course, tmp_path, as_stored):
        assert pages.build(tmp_path / "html", course) == 4
        assert {path.name for path in (tmp_path / "html").iterdir()} == {
            "index.html",
            "00_a.html",
            "01_b.html",
            "02_c.html",
            "pages.css",
            "pages.js",
            "plotly.min.js",
        }
        first, middle, last, index = (
            soup((tmp_path / "html" / name).read_text(encoding="utf-8"))
            for name in ("00_a.html", "01_b.html", "02_c.html", "index.html")
        )
        assert [link["href"] for link in middle.select("[rel=prev]")] == ["00_a.html"] * 2
        assert [link["href"] for link in middle.select("[rel=next]")] == ["02_c.html"] * 2
        assert not first.select("[rel=prev]") and not last.select("[rel=next]")
        assert middle.select("main a[href='00_a.html#Size-%CE%B2']") and first.select(
            "main a[href='01_b.html#Two']"
        )
        assert first.select_one(".contents a")["href"] == "#Size-β" and first.title.text.startswith(
            "00 Start & begin"
        )
        assert [(item.a["href"], item.a.text) for item in index.select("li")][0] == (
            "00_a.html",
            "00 Start & begin",
        )
        assert "To begin ." in index.li.text or "To begin." in index.li.text
        assert not first.select("main img") and first.find("a", string="Open in Colab")

    @pytest.mark.parametrize("page", ["00_a.html", "index.html"])
    def test_landmarks_and_headings(self, course, tmp_path, as_stored, page):
        pages.build(tmp_path / "html", course)
        shown = soup((tmp_path / "html" / page).read_text(encoding="utf-8"))
        assert (
            shown.html["lang"] == "en" and len(shown.select("main")) == len(shown.select("h1")) == 1
        )
        names = [nav["aria-label"] for nav in shown.select("nav")]
        assert len(names) == len(set(names)) and shown.select_one("a.skip[href='#lesson']")

    def test_a_broken_link_leaves_the_old_pages(self, course, tmp_path, as_stored):
        pages.build(tmp_path / "html", course)
        before = {path: path.read_bytes() for path in (tmp_path / "html").iterdir()}
        write(course / "02_c.ipynb", "# 02 C", "[there](03_d.ipynb)")
        with pytest.raises(
            ValueError, match=r"^02_c.html: there is no 03_d.html, which a link names$"
        ):
            pages.build(tmp_path / "html", course)
        assert {path: path.read_bytes() for path in (tmp_path / "html").iterdir()} == before
        assert {path.name for path in tmp_path.iterdir()} == {"html", "notebooks"}

    def test_what_is_unchanged_is_not_run_again(self, course, tmp_path, as_stored):
        pages.build(tmp_path / "html", course)
        assert as_stored == ["00_a.ipynb", "01_b.ipynb", "02_c.ipynb"]
        pages.build(tmp_path / "html", course)
        assert len(as_stored) == 3
        write(course / "01_b.ipynb", "# 01 B\n\n**Purpose.** B.", "## Two", ">1 + 2")
        pages.build(tmp_path / "html", course)
        assert (
            as_stored[3:] == ["01_b.ipynb"]
            and "Two" in (tmp_path / "html" / "01_b.html").read_text()
        )
        write(course / "02_c.ipynb", "# 02 See", "text")  # its neighbours name it
        pages.build(tmp_path / "html", course)
        assert as_stored[4:] == ["00_a.ipynb", "01_b.ipynb", "02_c.ipynb"]
        assert "02 See →" in (tmp_path / "html" / "01_b.html").read_text(encoding="utf-8")

    def test_other_peoples_folders_are_left_alone(self, course, tmp_path, as_stored):
        (tmp_path / "mine").mkdir()
        pages.build(tmp_path / "mine", course)  # empty: it may be had
        for name in "index.html", "thesis.txt":
            folder = tmp_path / name.replace(".", "_")
            folder.mkdir()
            (folder / name).write_text("mine")
            with pytest.raises(ValueError, match="holds something else than pages of the course"):
                pages.build(folder, course)
            assert [path.name for path in folder.iterdir()] == [name]
        with pytest.raises(ValueError, match="holds something else"):
            pages.build(course / "00_a.ipynb", course)
        (tmp_path / "mine" / "notes.txt").write_text("mine")  # put beside our pages
        with pytest.raises(ValueError, match="holds something else"):
            pages.build(tmp_path / "mine", course)
        assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"

    def test_no_notebooks_and_no_title(self, course, tmp_path, as_stored):
        with pytest.raises(FileNotFoundError, match="no notebooks in .*nowhere"):
            pages.build(tmp_path / "html", tmp_path / "nowhere")
        write(course / "02_c.ipynb", "no title")
        with pytest.raises(ValueError, match="02_c.ipynb has no title"):
            pages.build(tmp_path / "html", course)

    def test_a_formula_that_cannot_be_shown_is_placed(self, course, tmp_path, as_stored):
        write(course / "02_c.ipynb", "# 02 C", r"$\nosuch$")
        with pytest.raises(
            ValueError, match=r"^02_c.ipynb: The pages cannot show the formula \\nosuch"
        ):
            pages.build(tmp_path / "html", course)

    def test_if_the_move_fails_the_old_pages_come_back(
        self, course, tmp_path, as_stored, monkeypatch
    ):
        pages.build(tmp_path / "html", course)
        real = pathlib.Path.rename

        def full(self, target):
            if self.name == "fresh":
                raise OSError("disk full")
            return real(self, target)

        monkeypatch.setattr(pathlib.Path, "rename", full)
        with pytest.raises(OSError, match="disk full"):
            pages.build(tmp_path / "html", course)
        assert (tmp_path / "html" / "index.html").exists()

    def test_from_the_shell(self, course, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(pages, "build", lambda dest, log: asked.append(dest) or 12)
        main(["html"])
        main(["html", str(tmp_path / "pages")])
        assert asked == [pathlib.Path("html"), tmp_path / "pages"]

    def test_from_the_shell_with_a_fault(self, monkeypatch):
        def fails(dest, log):
            raise RuntimeError("03_x.ipynb fails: ValueError: no")

        monkeypatch.setattr(pages, "build", fails)
        with pytest.raises(
            SystemExit, match=r"^03_x.ipynb fails: ValueError: no\. html is as it was\.$"
        ):
            main(["html"])


@pytest.mark.slow
class TestRun:
    def test_outputs_are_of_the_end(self, tmp_path):
        """What was shown in the first cell looks as the last cell left it, and so does what is
        shown twice.
        """
        write(
            tmp_path / "00_a.ipynb",
            "# A",
            ">import ipywidgets as w\nfrom wmlab.panels import show\ns = w.IntSlider(3, description='n')\nshow(s)",
            ">s.value = 7\nshow(s, '<i>again</i>')\nimport os, pathlib\npathlib.Path('left').touch()\n"
            "print(os.environ['WMLAB_SCALE'])",
        )
        (tmp_path / "work").mkdir()
        first, second = (
            cell.outputs for cell in run.run(tmp_path / "00_a.ipynb", tmp_path / "work").cells[1:3]
        )
        assert [soup(output.data["text/html"]).output.text for output in (first[0], second[0])] == [
            "7",
            "7",
        ]
        assert "again" in second[0].data["text/html"] and list(second[0].data) == ["text/html"]
        assert second[1].text == "class\n" and (tmp_path / "work" / "left").exists()

    def test_a_failing_notebook_is_named(self, course, tmp_path):
        write(course / "01_b.ipynb", "# B", ">1 / 0")
        with pytest.raises(
            RuntimeError, match="^01_b.ipynb fails: ZeroDivisionError: division by zero$"
        ):
            pages.build(tmp_path / "html", course)
        assert not (tmp_path / "html").exists()


def test_colours_of_the_pages_stand_out():
    css = (ROOT / "wmlab" / "_pages" / "pages.css").read_text(encoding="utf-8")
    themes = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", css)
    for theme in ({name: colours[number] for name, *colours in themes} for number in (0, 1)):
        pairs = [
            (ink, ground)
            for ground in ("ground", "panel")
            for ink in theme
            if ink in {"ink", "quiet", "link", "keyword", "string", "number", "name"}
        ] + [("on-chosen", "chosen")]
        assert len(pairs) == 15
        for ink, ground in pairs:
            assert Color(theme[ink]).contrast(theme[ground], method="wcag21") >= 4.5, (ink, ground)


def test_make_ignores_what_it_writes():
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"html/", ".html-*/"} <= set(lines)


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_make_html_runs_the_command():
    told = subprocess.run(
        ["make", "--dry-run", "html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert re.search(r"-m wmlab html$", told, re.MULTILINE)
