"""What authors and instructors do: write the repository's address into the notebooks, strip stored
outputs, give out copies without solutions, and read what a class hands in.
"""

import json
import pathlib
import re
import subprocess
import tomllib

from wmlab.files import writing
from wmlab.lessons import HANDED_IN

ROOT = pathlib.Path(__file__).resolve().parents[2]
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
CHECKED = "nbval-check-output"  # the tag of cells whose stored output is compared by the tests
SOLUTION = re.compile(r"<details>\n<summary>Solution</summary>\n.*?</details>\n?", flags=re.DOTALL)
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
    return project["urls"]["Repository"]


def remote(root=ROOT):
    """Return the address of git's remote `origin` as browsers and pip take it, without a user name
    or password; None if there is no such remote, or it is not on GitHub.
    """
    command = ["git", "-C", root, "config", "--get", "remote.origin.url"]
    try:
        address = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:  # no git
        return None
    found = re.search(r"(?:^|@|//)github\.com[:/]([\w.-]+)/([\w.-]+?)(\.git)?/?$", address)
    return found and f"https://github.com/{found[1]}/{found[2]}"


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
    """Write the repository's address into pyproject.toml, README.md and all notebooks; return the
    paths changed. The address is that of git's remote, if there is one, or else stays as it is.

    A notebook gets its badge as the first line of its first cell, which is text.
    """
    address, changed = remote(root) or repository(root), []
    for path in root / "pyproject.toml", root / "README.md":
        text = stamped(path.read_text(encoding="utf-8"), address)
        text = re.sub(r'^Repository = ".*"', f'Repository = "{address}"', text, flags=re.M)
        if _write(path, text):
            changed.append(path)
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


def without_solutions(dest, root=ROOT):
    """Write the notebooks into the folder `dest` without their folded solutions, hints stay;
    return the paths written.

    Raises:
        FileExistsError: a notebook of that name is there already; nothing is written then.
    """
    dest = pathlib.Path(dest)
    there = [path.name for path, _ in _notebooks(root) if (dest / path.name).exists()]
    if there:
        raise FileExistsError(f"{dest} has {', '.join(there)} already: choose an empty folder")
    dest.mkdir(parents=True, exist_ok=True)
    written = []
    for path, notebook in _notebooks(root):
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = SOLUTION.sub("", cell.source).rstrip()
        written.append(dest / path.name)
        with writing(written[-1]) as part:
            part.write_text(_text(notebook), encoding="utf-8")
    return written


def grades(folder):
    """What a class handed in: a list of (name, {exercise: {"right", "tries", "answer"}},
    predictions, set of student's numbers).

    Looks for the lines of `wmlab.my_answers` in all files of the folder: texts, tables, notebooks.
    Several lines of one name are put together, later files over earlier ones.

    Raises:
        NotADirectoryError: `folder` is none.
        ValueError: a line that cannot be read, with its file.
    """
    folder, found = pathlib.Path(folder), {}
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: put what your class handed in into one")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            lines = [text.partition(HANDED_IN)[2] for text in _texts(path) if HANDED_IN in text]
            for line in lines:
                handed, _ = json.JSONDecoder().raw_decode(line)
                hers = found.setdefault(handed["name"], ({}, [], set()))
                exercises, predictions, students = hers
                exercises.update(handed["exercises"])
                students |= {*handed["student"]}
                predictions += [each for each in handed["predictions"] if each not in predictions]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path.name} has a line of answers that cannot be read ({error}): ask for the "
                "whole line, as wmlab.my_answers shows it"
            ) from error
    return [(name, *handed) for name, handed in sorted(found.items())]


def _texts(path):
    """The lines of a text file, or the lines of a notebook's outputs."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".ipynb":
        return text.splitlines()
    cells = json.loads(text)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    plain = ["".join(output.get("data", {}).get("text/plain", "")) for output in outputs]
    return [line for text in plain for line in text.splitlines()]


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
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")
    return True
