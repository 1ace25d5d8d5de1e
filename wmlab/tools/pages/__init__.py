"""`make html`: the course as pages that show their pictures without a kernel, in one folder that
needs no network.
"""

import hashlib
import pathlib
import shutil
import tempfile

import bs4
import jinja2
import nbformat

from wmlab.tools.pages.links import broken

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
COURSE = "Watermarking neural networks"
GENERATOR = "wmlab html"  # how a page of an earlier build is known
BESIDE = ("plotly.min.js", "pages.css", "pages.js")  # what the pages need


def build(dest, notebooks=ROOT / "notebooks", log=lambda line: None):
    """Write index.html, a page a notebook and what they need into the folder `dest`; return how
    many pages there are.

    Pages are written to the side and moved into place when all are right. A notebook that is as it
    was, as are wmlab and its data, is not run again. `log` is told, in a line each, what is done.

    Raises:
        ValueError: `dest` holds something else than pages; a link is broken; a formula or widget
        cannot be shown.
        RuntimeError: a notebook fails.
        OSError: there are no notebooks, or the disk is full.
    """
    dest, paths = pathlib.Path(dest).resolve(), sorted(pathlib.Path(notebooks).glob("[0-9]*.ipynb"))
    if not paths:
        raise FileNotFoundError(
            f"There are no notebooks in {notebooks}: make pages in a checkout of the repository."
        )
    if dest.exists() and not (dest.is_dir() and all(map(_ours, dest.iterdir()))):
        raise ValueError(
            f"{dest} holds something else than pages of the course: "
            "name a new folder, or empty it first."
        )
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".html-", dir=dest.parent) as side:
        fresh = pathlib.Path(side) / "fresh"
        fresh.mkdir()
        _write(fresh, dest, paths, log)
        complaints = broken(fresh)
        if complaints:
            raise ValueError("; ".join(complaints))
        _move(fresh, dest, pathlib.Path(side) / "before")
    return len(paths) + 1


def _write(fresh, dest, paths, log):
    from plotly.offline import get_plotlyjs

    lessons = [lesson(path) for path in paths]
    package = _digest(
        [*(ROOT / "wmlab").rglob("*.py"), HERE / "page.html.j2", *(ROOT / "data").rglob("*")],
        str(lessons),
    )
    for number, path in enumerate(paths):
        made_from, page = _digest([path], package), fresh / f"{path.stem}.html"
        if _made_from(dest / page.name) == made_from:
            shutil.copy(dest / page.name, page)
            continue
        log(f"{path.stem} ({number + 1} of {len(paths)})")
        page.write_text(_page(path, lessons, number, made_from), encoding="utf-8")
    (fresh / "index.html").write_text(
        _shell(lessons=lessons, title=COURSE, made_from=package), encoding="utf-8"
    )
    plotly, *others = BESIDE
    (fresh / plotly).write_text(get_plotlyjs(), encoding="utf-8")
    for name in others:
        shutil.copy(HERE / name, fresh)


def _page(path, lessons, number, made_from):
    from wmlab.tools.pages.body import body
    from wmlab.tools.pages.run import run

    with tempfile.TemporaryDirectory() as folder:  # what a notebook writes is no part of the course
        content, contents = body(run(path, folder), path)
    before, after = (
        lessons[number - 1] if number else None,
        lessons[number + 1] if number + 1 < len(lessons) else None,
    )
    return _shell(
        lesson=lessons[number],
        content=content,
        contents=contents,
        before=before,
        after=after,
        title=lessons[number]["title"],
        made_from=made_from,
    )


def _shell(**filling):
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        course=COURSE, generator=GENERATOR, **filling
    )


def lesson(path):
    """What an index says of a notebook: {page, title, purpose}, from its first cell.

    Raises:
        ValueError: its first cell has no title.
    """
    from wmlab.tools.pages.body import to_html

    first = bs4.BeautifulSoup(
        to_html(nbformat.read(path, as_version=4).cells[0].source), "html.parser"
    )
    if not first.h1:
        raise ValueError(
            f"{path.name} has no title: its first cell needs a line that begins with # and a space."
        )
    purpose = next((each.get_text(" ", strip=True) for each in first.select("h1 ~ p")), "")
    title = first.h1.get_text().removesuffix("¶")
    return dict(
        page=f"{path.stem}.html", title=title, purpose=purpose.removeprefix("Purpose.").strip()
    )


def _digest(files, start):
    """One digest of a text and of files, by name and content."""
    digest = hashlib.sha256(start.encode())
    for file in sorted(file for file in files if file.is_file()):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _made_from(page):
    """What a page of an earlier build was made from; None if it is none."""
    if not page.is_file():
        return None
    head = bs4.BeautifulSoup(
        page.read_text(encoding="utf-8", errors="replace")[:2000], "html.parser"
    )
    ours = head.find("meta", attrs={"name": "generator", "content": GENERATOR})
    return ours and ours.get("data-made-from")


def _ours(path):
    """Whether an earlier build wrote this."""
    return path.name in BESIDE or path.suffix == ".html" and _made_from(path) is not None


def _move(fresh, dest, before):
    if dest.exists():
        dest.rename(before)
    try:
        fresh.rename(dest)
    except OSError:
        if before.exists():
            before.rename(dest)
        raise
