"""Plumbing of the repository, for those who write notebooks: addresses and stored outputs."""

import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
CHECKED = "nbval-check-output"  # the tag of cells whose stored output is compared by the tests
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def repository(root=ROOT):
    """Return the repository's address, as pyproject.toml has it.

    Raises:
        FileNotFoundError: `root` is no checkout of the repository.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removesuffix("/").removesuffix(".git")


def stamped(text, address):
    """Return `text` with `address` in its Colab links and its pip and git commands.

    >>> stamped("pip install git+https://github.com/old/place", "https://github.com/new/home")
    'pip install git+https://github.com/new/home'
    """
    owner_and_name = address.removeprefix("https://github.com/")
    text = re.sub(
        r"(colab\.research\.google\.com/github/)[^/\s]+/[^/\s]+(/blob/)",
        rf"\g<1>{owner_and_name}\g<2>",
        text,
    )
    return re.sub(r"(git\+|git clone )https://[\w./-]+", rf"\g<1>{address}", text)


def badge(name, address):
    """Return the Colab badge of the notebook with file name `name`, in Markdown."""
    return stamped(
        f"[![Open in Colab]({BADGE})]"
        f"(https://colab.research.google.com/github/owner/name/blob/main/notebooks/{name})",
        address,
    )


def stamp(root=ROOT):
    """Write the repository's address into README.md and all notebooks; return the paths changed.

    A notebook gets its badge as the first line of its first cell, which is text.
    """
    address, changed = repository(root), []
    readme = root / "README.md"
    if readme.exists() and _write(readme, stamped(readme.read_text(encoding="utf-8"), address)):
        changed.append(readme)
    for path, notebook in _notebooks(root):
        for cell in notebook.cells:
            cell.source = stamped(cell.source, address)
        first = notebook.cells[0]
        text = re.sub(r"\A\[!\[[^\n]*\n*", "", first.source)
        first.source = f"{badge(path.name, address)}\n\n{text}"
        if _write(path, _text(notebook)):
            changed.append(path)
    return changed


def clean_notebooks(root=ROOT):
    """Strip what running leaves in the notebooks; return the paths changed.

    Outputs and counts stay in cells tagged nbval-check-output, and nowhere else: the tests compare
    those, and a tagged cell without its stored output would compare nothing.
    """
    changed = []
    for path, notebook in _notebooks(root):
        notebook.metadata = KERNEL
        for cell in notebook.cells:
            kept = {"tags", "jupyter", "slideshow"} & set(cell.metadata)
            cell.metadata = {name: cell.metadata[name] for name in sorted(kept)}
            if cell.cell_type == "code" and CHECKED not in cell.metadata.get("tags", []):
                cell.outputs, cell.execution_count = [], None
        if _write(path, _text(notebook)):
            changed.append(path)
    return changed


def _notebooks(root):
    import nbformat

    for path in sorted((root / "notebooks").glob("*.ipynb")):
        yield path, nbformat.read(path, as_version=4)


def _text(notebook):
    import nbformat

    return nbformat.writes(notebook) + "\n"


def _write(path, text):
    """Write `text` to `path` unless it is there already; return whether it was not."""
    if path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True
