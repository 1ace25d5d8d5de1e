"""The layers of the package: who imports whom, what is heavy, and what no module does."""
import ast
import pathlib
import re
import sys
import tomllib

import pytest

import wmlab

PACKAGE = pathlib.Path(__file__).parent.parent / "wmlab"

# A module imports from rows above it, or from the left in its own row.
ROWS = (
    ("_files", "_machine", "_child", "_downloads", "runtime", "secret", "keys", "datasets", "toy", "queries", "_schema", "records",
     "_claims", "_workers"),
    ("networks", "training", "_service", "suspects", "verification", "schemes", "zoo", "attacks", "filters", "campaign", "referee",
     "fleet", "sweeps"),
    ("figures",),
    ("checks", "panels", "_pages"),
)
MATHS, MODELS, PICTURES, PANELS = range(len(ROWS))
PLUMBING = ("__init__", "__main__", "_house", "_lab", "_bundle", "_start")  # above all rows; no lesson uses it
ALSO = {
    # The table that setup() shows says which data are found.
    "runtime": {"datasets"},
}
HEAVY = {  # package: the rows that may load it
    "keras": {MODELS}, "tensorflow": {MODELS}, "jax": {MODELS}, "torch": {MODELS},
    "plotly": {PICTURES, PANELS}, "ipywidgets": {PANELS}, "anywidget": {PANELS},
}
STARTS_KERAS = ("_machine", "runtime")  # inside functions
IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage"}
# What is there wherever it is used: the kernel's, ipywidgets' own, the backends, Dask for sweeps that ask for it,
# JupyterLab's server, nbconvert and what it brings for the pages, what `make stamp` and `python -m wmlab bundle` need, and
# what the shipped sample was made from, which only the tests make anew.
UNDECLARED = {"IPython", "bs4", "dask", "distributed", "google", "jax", "jinja2", "jupyter_server", "latex2mathml", "mlxtend",
              "nbclient", "nbconvert", "nbformat", "packaging", "tensorflow", "torch", "traitlets"}

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))


def module_of(file):
    """Return the name in the table: the module's, or that of the subpackage it is in."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def place(module):
    """Return the row and column of a module in the table."""
    return next((row, names.index(module)) for row, names in enumerate(ROWS) if module in names)


def imports(tree):
    """Yield the dotted name of everything imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(tree):
    """Yield the modules of wmlab that a file imports, by their names in the table."""
    for name in imports(tree):
        package, _, rest = name.partition(".")
        first = rest.partition(".")[0]
        if package == "wmlab" and first != "__version__":
            # `import wmlab` would reach every module at once, past this test.
            yield wmlab._HOME.get(first, first) or "wmlab itself"


def violations(module, tree):
    """Return what `module` imports from wmlab though its place in the table does not allow it."""
    row, column = place(module)
    allowed = {module, *sum(ROWS[:row], ()), *ROWS[row][:column], *ALSO.get(module, ())}
    return sorted(set(own_imports(tree)) - allowed)


@every_file
def test_module_has_a_place(file):
    assert module_of(file) in {*PLUMBING, *sum(ROWS, ())}, "give it a place in ROWS"


@every_file
def test_imports_go_up_or_left(file):
    if module_of(file) not in PLUMBING:
        assert violations(module_of(file), TREES[file]) == []


@pytest.mark.parametrize(("module", "code", "found"), [
    ("secret", "from wmlab.keys import KeySet", ["keys"]),
    ("secret", "from wmlab import keys", ["keys"]),
    ("secret", "from wmlab import make_keys", ["keys"]),
    ("secret", "def f():\n    import wmlab.schemes.base", ["schemes"]),
    ("secret", "import wmlab", ["wmlab itself"]),
    ("figures", "from wmlab import records, sweeps; from wmlab.figures import blank", []),
    ("figures", "from wmlab.panels import show", ["panels"]),
])
def test_a_violation_is_seen(module, code, found):
    assert violations(module, ast.parse(code)) == found


@every_file
def test_heavy_packages_stay_in_their_rows(file):
    module, tree = module_of(file), TREES[file]
    if module in PLUMBING:
        rows, tree = set(), ast.Module([node for node in tree.body if is_import(node)], [])
    elif module in STARTS_KERAS:
        rows, tree = {place(module)[0]}, ast.Module([node for node in tree.body if is_import(node)], [])
    else:
        rows = {place(module)[0]}
    loaded = {name.partition(".")[0] for name in imports(tree)}
    assert sorted(package for package in loaded & set(HEAVY) if not rows & HEAVY[package]) == []


def is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))


@every_file
def test_imports_are_declared(file):
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = (re.match(r"[\w.-]+", dependency).group() for dependency in project["dependencies"])
    declared = {IMPORTED_AS.get(name, name) for name in names}
    used = {name.partition(".")[0] for name in imports(TREES[file])}
    assert sorted(used - declared - UNDECLARED - set(sys.stdlib_module_names) - {"wmlab"}) == []


@every_file
def test_is_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 250


@every_file
def test_public_things_have_docstrings(file):
    definitions = [
        node for node in TREES[file].body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    assert [node.name for node in definitions if not ast.get_docstring(node)] == []
    assert ast.get_docstring(TREES[file])


@every_file
def test_does_not_print_or_hush(file):
    """No print outside the shell commands, no bare except, no warnings switched off."""
    calls = {ast.unparse(node.func) for node in ast.walk(TREES[file]) if isinstance(node, ast.Call)}
    if module_of(file) != "__main__":
        assert "print" not in calls
    assert not any("warnings" in call and ("filter" in call or "catch" in call) for call in calls)
    handlers = [node for node in ast.walk(TREES[file]) if isinstance(node, ast.ExceptHandler)]
    assert all(handler.type is not None for handler in handlers)
