"""A notebook that was run, as HTML: nbconvert's, with formulas as MathML and links to pages instead
of notebooks.
"""

import re
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

import bs4
import jinja2
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

BADGE = re.compile(r"!\[([^\]]*)\]\(https://colab\.research\.google\.com/assets/[^)]*\)")


class _Renderer(IPythonRenderer):
    def inline_math(self, body):
        return formula(body)

    def block_math(self, body):
        return formula(body, "block")


class _Exporter(HTMLExporter):
    @jinja2.pass_context
    def markdown2html(self, context, source):
        return to_html(source)


def formula(latex, display="inline"):
    """A formula as MathML, which browsers draw without a library; what was written stays as its
    alternative text.

    Raises:
        ValueError: it has a command that has no MathML.
    """
    drawn = convert(latex, display=display)
    if "\\" in drawn:
        raise ValueError(
            f"The pages cannot show the formula {latex}: write it with other commands."
        )
    drawn = re.sub(
        r'<mo( stretchy="false")?>&#x0007C;</mo>', "<mi>|</mi>", drawn
    )  # |K| is no "divides"
    drawn = re.sub(
        r'(<mo movablelimits="true")>(?=[A-Za-z])', r'\1 lspace="0" rspace="0">', drawn
    )  # Pr[…] is a function
    drawn = re.sub(
        r"(<mi>[a-z]{2,}</mi>)(?=<m[in]>)", r'\1<mspace width="0.17em"/>', drawn
    )  # so is ln 2
    return drawn.replace("<math ", f"<math alttext={quoteattr(latex)} ", 1)


def to_html(markdown):
    """Markdown of a notebook as HTML. The Colab badge, which would be fetched, becomes words."""
    return MarkdownWithMath(_Renderer(escape=False)).render(BADGE.sub(r"\1", markdown))


def body(notebook, path):
    """The cells of a notebook as HTML, and its sections: [(anchor, title)]. `path` is where the
    notebook is.
    """
    exporter = _Exporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True
    )
    try:
        rendered, _ = exporter.from_notebook_node(notebook)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    soup = bs4.BeautifulSoup(rendered, "html.parser")
    for link in soup.select("a[href]"):
        link["href"] = re.sub(r"^([^:/]+)\.ipynb(?=#|$)", r"\1.html", link["href"])
    for heading in soup.select("[id]"):  # as it reads, not as an address spells it
        heading["id"] = unquote(heading["id"])
    for link in soup.select("a.anchor-link"):
        link.attrs |= {"aria-label": f"Link to {link.parent.get_text().removesuffix('¶').strip()}"}
    for wide in soup.select(
        "table, pre, math[display=block]"
    ):  # scrolls in itself, also with the keyboard
        wide.wrap(soup.new_tag("div", attrs={"class": "wide", "tabindex": "0"}))
    sections = [
        (heading["id"], heading.get_text().removesuffix("¶")) for heading in soup.select("h2[id]")
    ]
    return str(soup), sections
