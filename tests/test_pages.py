"""The course as pages: twins of widgets, formulas, links, and what a build leaves on the disk."""

import json
import pathlib
import re
import xml.etree.ElementTree as ET

import bs4
import ipywidgets as widgets
import nbformat
import numpy as np
import pytest
from coloraide import Color
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from wmlab.__main__ import main
from wmlab.show import Panel, Question
from wmlab.show.picture import Picture
from wmlab.tools import pages
from wmlab.tools.pages import body, run, twins
from wmlab.tools.pages.links import broken

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def soup(markup):
    return bs4.BeautifulSoup(markup, "html.parser")


def line(**trace):
    return {"data": [{"type": "scatter", "y": np.arange(3.0), **trace}], "layout": {}}


@pytest.fixture
def panel():
    """A panel with a control of every kind, whose one line is the slope times 0 to 4."""

    def picture(slope, count, **_):
        x = np.arange(count)
        figure = line(x=x, y=slope * x, name="unmarked")
        figure["layout"] = {"title": "a line", "height": 380}
        return figure, f"The line ends at <b>{slope * x[-1]:g}</b> < 9 & so on."

    two = [("one", 1), ("two", 2)]
    return Panel(
        picture,
        presets={"Steep": {"slope": 2}},
        slope=widgets.FloatSlider(0.5, min=0, max=2, step=0.25, description="slope"),
        count=widgets.IntSlider(5, min=2, max=9, description="points"),
        beta=widgets.SelectionSlider(
            options=[("tiny", 0.001), ("large", 1)], value=1, description="β"
        ),
        label=widgets.ToggleButtons(options=["new", "wrong"], value="wrong", description="label"),
        kind=widgets.Dropdown(options=two, value=2, description="kind"),
    )


class TestTwins:
    def test_a_figure_has_the_numbers_of_now_and_its_caption_as_words(self, panel):
        panel.set(slope=1.25, count=4)
        page = soup(twins.twin(panel.widget))
        written = json.loads(page.figure.script.string)
        assert written["data"][0]["x"] == [0, 1, 2, 3]
        assert written["data"][0]["y"] == [0, 1.25, 2.5, 3.75]
        assert written["layout"]["title"] == "a line"
        (place,) = page.select("[role=img]")
        assert place["aria-label"] == "The line ends at 3.75 < 9 & so on."
        assert page.figcaption.b.text == "3.75" and page.text.count("The line ends") == 1
        assert "height:380px" in place["style"]

    @settings(max_examples=20)
    @given(
        shapes.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e9, 1e9)),
        shapes.arrays(np.uint8, shapes.array_shapes(min_dims=2, max_dims=2, max_side=6)),
        st.text() | st.just("</script><b>"),
    )
    def test_any_numbers_and_any_words(self, y, grid, words):
        figure = line(y=y, name=words)
        figure["data"].append({"type": "heatmap", "z": grid})
        page = soup(twins.twin(Picture(figure)))
        one, two = json.loads(page.figure.script.string)["data"]
        assert np.array_equal(one["y"], y) and np.array_equal(two["z"], grid)
        assert one["name"] == words
        assert len(page.find_all(True)) == 3  # figure, place and data: no word became a tag

    def test_a_figure_without_a_caption_is_described(self):
        figure = line(name="new label")
        figure["data"] += [line(name="unmarked")["data"][0], line(name="new label")["data"][0]]
        figure["layout"] = {
            "title": {"text": "<b>accuracy</b>"},
            "yaxis": {"title": "share"},
            "xaxis": {"title": {"text": "epoch"}},
            "annotations": [{"text": "on<br>top"}],
        }
        for shown, says in [
            (figure, "accuracy. epoch; share. on top. Shows new label, unmarked"),
            (line(), "Picture"),
        ]:
            place = soup(twins.twin(Picture(shown))).select_one("[role=img]")
            assert place["aria-label"] == says

    def test_the_title_of_the_next_figure_is_no_caption(self):
        box = widgets.VBox([Picture(line()), widgets.HTML("<b>Next</b>"), Picture(line())])
        page = soup(twins.twin(box))
        inside = [tag.name for tag in page.div.find_all(True, recursive=False)]
        assert not page.select("figcaption") and inside == ["figure", "div", "figure"]

    def test_controls_show_where_they_stand(self, panel):
        panel.set(slope=1.25, beta=0.001, label="new", kind=1)
        page = soup(twins.twin(panel.widget))
        says = {tag.get_text(" ", strip=True): tag.input for tag in page.select("label.control")}
        assert {"slope 1.25", "points 5", "β tiny"} == set(says)
        bar = says["slope 1.25"]
        assert (float(bar["min"]), float(bar["max"]), float(bar["value"])) == (0, 2, 1.25)
        assert (says["β tiny"]["value"], says["β tiny"]["max"]) == ("0", "1")
        pressed = {button.text: button["aria-pressed"] for button in page.select("button")}
        # and no preset, which does nothing
        assert pressed == {"new": "true", "wrong": "false", "one": "true", "two": "false"}
        assert [group["aria-label"] for group in page.select("[role=group]")] == ["label", "kind"]
        assert all(tag.has_attr("disabled") for tag in page.select("input, button"))

    def test_a_question_unfolds(self, panel, monkeypatch):
        question = Question("What <b>happens</b>?", ["this", "that"], panel, because="Because.")
        hidden = soup(twins.twin(question.widget))
        assert not hidden.select("figure") and "Choose first" in hidden.details.text
        monkeypatch.setenv("WMLAB_WATCH", "1")  # as run.py has it
        question.reveal()
        page = soup(twins.twin(question.widget))
        assert page.select_one("details:not([open]) figure") and "Because." in page.details.text
        outside = page.section.text.replace(page.details.text, "")
        assert "predict first" in page.details.text and "What happens?" in outside
        pressed = [each["aria-pressed"] for each in page.select("section > .control button")]
        assert pressed == ["false", "false"]

    def test_others(self):
        with pytest.raises(TypeError, match="^Text has no twin for the pages"):
            twins.twin(widgets.VBox([widgets.Text()]))
        assert twins.twin(widgets.VBox([widgets.HBox(), widgets.HTML(), widgets.Button()])) == ""
        bar = widgets.FloatProgress(1.5, min=1, max=2, description="training")
        bar = soup(twins.twin(bar)).progress
        assert (float(bar["value"]), bar["aria-label"]) == (0.5, "training")
        assert soup(twins.twin(widgets.HTML("<img src='data:,' alt='x'>"))).img


def test_formulas_as_mathml():
    for latex, reads in [
        (r"\lvert K\rvert", "|K|"),
        (r"(1-p)^k < |K|", "(1−p)k<|K|"),
        (r"\lceil 1/p \rceil", "⌈1/p⌉"),
        (r"\hat F_W", "F^W"),
        (r"\Pr[\text{done first}]", "Pr[done\xa0first]"),
        (r"\sqrt n\, d / s", "nd/s"),
        (r"D_1 \subset D", "D1⊂D"),
    ]:
        tree = ET.fromstring(body.formula(latex))
        assert "".join(tree.itertext()) == reads and tree.get("alttext") == latex
    tree = ET.fromstring(body.formula(r"k < |K|"))
    operators = [each.text for each in tree.iter() if each.tag.endswith("}mo")]
    assert operators == ["<"], "bars are none"
    with pytest.raises(ValueError, match=r"cannot show the formula \\nosuch\{x\}"):
        body.formula(r"\nosuch{x}")


def test_all_formulas_of_the_course_are_shown():
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        shown = soup("".join(map(body.to_html, cells)))
        written = sum(len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.DOTALL)) for text in cells)
        assert len(shown.select("math")) == written and "$" not in shown.text, path.name
        for math in shown.select("math"):
            ET.fromstring(str(math))


def test_links(tmp_path):
    a, folder = tmp_path / "course" / "a.html", tmp_path / "course"
    folder.mkdir()
    good = (
        "<h1 id='top'>A</h1><a href='b.html#größe'>b</a><a href='#top'>up</a><a href='#'>up</a>"
        "<a href='https://doi.org/10.1/x'>doi</a><img src='data:,'><script src='x.js'></script>"
    )
    a.write_text(good)
    (folder / "b.html").write_text(
        "<h2 id='größe'>B</h2><a href='a.html'>a</a><a href='b.html#gr%C3%B6%C3%9Fe'>here</a>"
    )
    (folder / "x.js").touch()
    (tmp_path / "secret.html").touch()
    assert broken(folder) == []
    elsewhere = "https://example.com/x.png"
    for markup, complaint in [
        ("<a href='c.html'>", "there is no c.html"),
        ("<a href='b.html#no'>", "there is no section no in b.html"),
        ("<a href='#no'>", "there is no section no in a.html"),
        ("<img src='no.png'>", "there is no no.png"),
        (f"<img src='{elsewhere}'>", f"{elsewhere} would be fetched"),
        ("<script src='//cdn.example.com/x.js'></script>", "//cdn.example.com/x.js would be fet"),
        ("<link rel='stylesheet' href='https://example.com/x.css'>", "would be fetched"),
        ("<a href='https:/example.com'>", "https:/example.com is no address"),
        ("<a href='htps://example.com'>", "no address"),
        ("<a href='https://exa mple.com/'>", "no address"),
        ("<a href='javascript:alert(1)'>", "no address"),
        ("<a href='../secret.html'>", "there is no ../secret.html"),
    ]:
        a.write_text(good + markup)
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
        for page in first, index:  # landmarks
            assert page.html["lang"] == "en"
            assert len(page.select("main")) == len(page.select("h1")) == 1
            names = [nav["aria-label"] for nav in page.select("nav")]
            assert len(names) == len(set(names)) and page.select_one("a.skip[href='#lesson']")

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

    def test_from_the_shell(self, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(pages, "build", lambda dest, log: asked.append(dest) or 12)
        main(["html"])
        main(["html", str(tmp_path / "pages")])
        assert asked == [pathlib.Path("html"), tmp_path / "pages"]

        def fails(dest, log):
            raise RuntimeError("03_x.ipynb fails: ValueError: no")

        monkeypatch.setattr(pages, "build", fails)
        fault = r"^03_x.ipynb fails: ValueError: no\. html is as it was\.$"
        with pytest.raises(SystemExit, match=fault):
            main(["html"])


class TestRun:
    def test_outputs_are_of_the_end(self, tmp_path):
        """What was shown in the first cell looks as the last cell left it, and so does what is
        shown twice.
        """
        write(
            tmp_path / "00_a.ipynb",
            "# A",
            ">import os, pathlib, ipywidgets\nfrom wmlab.show import show\n"
            "s = ipywidgets.IntSlider(3, description='n')\nshow(s)",
            ">s.value = 7\nshow(s, '<i>again</i>')\npathlib.Path('left').touch()\n"
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
        assert "again" in second[1].data["text/html"] and list(second[0].data) == ["text/html"]
        assert second[2].text == "class\n" and (tmp_path / "work" / "left").exists()

    def test_a_failing_notebook_is_named(self, course, tmp_path):
        write(course / "01_b.ipynb", "# B", ">1 / 0")
        with pytest.raises(
            RuntimeError, match="^01_b.ipynb fails: ZeroDivisionError: division by zero$"
        ):
            pages.build(tmp_path / "html", course)
        assert not (tmp_path / "html").exists()


def test_colours_of_the_pages_stand_out():
    css = (pathlib.Path(pages.__file__).with_name("pages.css")).read_text(encoding="utf-8")
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


def test_git_ignores_what_make_html_writes():
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"html/", ".html-*/"} <= set(lines)
