"""The house: which layer may import which, what is heavy, and what no module does. Each test lists
the offenders.
"""

import ast
import pathlib
import re
import sys
import tomllib

import wmlab

PACKAGE = pathlib.Path(__file__).parent.parent / "wmlab"
LAYERS = ("library", "show", "lessons", "tools")  # each may import those before it
# The library from left to right: a module imports from its left. Of two that stand together neither
# is left.
LIBRARY = (
    "files machine jax_process secret keys runtime datasets optimizers networks toy queries stats "
    "schema records attack_tables training service suspects verification schemes fleet zoo attacks "
    "filters battery exam"
).split()
ALSO = {
    "runtime": {"datasets"},
    "training": {"runtime"},
}  # the table that setup() shows says which data there are
LAZY = {"03_embedding": "sweeps"}  # the one lesson whose notebook runs a tool
HEAVY = {  # package: the layers that may load it when they are imported
    "keras": {"library", "lessons", "tools"},
    "tensorflow": set(),
    "jax": set(),
    "torch": set(),
    "plotly": {"show", "lessons", "tools"},
    "ipywidgets": {"show", "lessons", "tools"},
    "anywidget": {"show"},
}
WITHOUT_KERAS = (
    "secret keys datasets runtime toy queries stats records attack_tables suspects verification "
    "service".split()
)
IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage"}
# What is there wherever it is used: the kernel's, ipywidgets' own, the backends, Dask for sweeps,
# JupyterLab's server, nbconvert and what it brings for the pages, what `make stamp` needs, and what
# the shipped sample was made from.
UNDECLARED = set(
    "IPython bs4 dask distributed google jax jinja2 jupyter_server latex2mathml mlxtend nbclient "
    "nbconvert nbformat packaging psutil "
    "tensorflow torch traitlets".split()
)
TREES = {
    file.relative_to(PACKAGE): ast.parse(file.read_text(encoding="utf-8"))
    for file in sorted(PACKAGE.rglob("*.py"))
}


def home(file):
    """Layer and module of a file: ("library", "keys"), ("lessons", "pruning")."""
    first, *rest = file.with_suffix("").parts
    return (first, rest[0] if rest else "__init__") if first in LAYERS else ("library", first)


def imports(tree):
    """The dotted names of everything imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_once(tree):
    """What of a file runs when it is imported: its import statements outside functions."""
    return ast.Module(
        [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], []
    )


def targets(tree):
    """Where in wmlab a file's imports lead, as `home` says it."""
    for name in imports(tree):
        package, *rest = name.split(".")
        if package == "wmlab" and rest != ["__version__"]:
            assert rest, "import what you need of wmlab by name"
            first, *more = [*wmlab._HOME.get(rest[0], rest[0]).split("."), *rest[1:]]
            yield (
                (first, more[0] if more else "__init__") if first in LAYERS else ("library", first)
            )


def forbidden(layer, module, tree):
    """The targets that a module of a layer must not import."""
    for place, name in targets(tree):
        if place == layer == "library":
            allowed = (
                name == module
                or name in ALSO.get(module, ())
                or LIBRARY.index(name) < LIBRARY.index(module)
            )
        elif place == layer == "lessons":
            allowed = False  # never another lesson
        else:
            allowed = LAYERS.index(place) <= LAYERS.index(layer)
        if not allowed:
            yield f"{layer}/{module} imports {place}/{name}"


def test_arrows_between_layers_and_within_the_library():
    plumbing = {"__init__", "__main__", "_lab"}
    assert {home(file)[1] for file in TREES if home(file)[0] == "library"} - plumbing <= set(
        LIBRARY
    ), "give it a place"
    offenders = [
        arrow
        for file, tree in TREES.items()
        if home(file)[1] not in plumbing
        for arrow in forbidden(*home(file), tree)
    ]
    assert offenders == []


def test_a_forbidden_arrow_is_seen():
    for layer, module, code in [
        ("library", "secret", "from wmlab.keys import KeySet"),
        ("library", "secret", "from wmlab import make_keys"),
        ("library", "zoo", "def f():\n    from wmlab.show import panel"),
        ("show", "panel", "from wmlab.lessons import pruning"),
        ("lessons", "pruning", "from wmlab.lessons.fidelity import x"),
        ("lessons", "pruning", "from wmlab.tools import sweeps"),
    ]:
        assert len(list(forbidden(layer, module, ast.parse(code)))) == 1
    assert not list(
        forbidden(
            "lessons",
            "pruning",
            ast.parse("from wmlab import keys\nfrom wmlab.show import figures"),
        )
    )


def test_heavy_packages_are_loaded_where_they_may_be():
    offenders = []
    for file, tree in TREES.items():
        layer, module = home(file)
        loaded = {name.partition(".")[0] for name in imports(at_once(tree))}
        offenders += [
            f"{file}: {package}" for package in loaded & set(HEAVY) if layer not in HEAVY[package]
        ]
        if module in WITHOUT_KERAS and "keras" in loaded:
            offenders.append(f"{file}: keras")
    assert offenders == []


def test_imports_are_declared():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    names = [re.match(r"[\w.-]+", dependency).group() for dependency in project["dependencies"]]
    declared = {IMPORTED_AS.get(name, name) for name in names}
    used = {name.partition(".")[0] for tree in TREES.values() for name in imports(tree)}
    assert sorted(used - declared - UNDECLARED - set(sys.stdlib_module_names) - {"wmlab"}) == []
    assert sorted(declared - used) == [], "a base dependency that nothing imports"


def test_public_things_have_docstrings_and_nothing_prints_or_hushes():
    """No print outside the shell commands, no bare except, no warnings switched off."""
    offenders = []
    for file, tree in TREES.items():
        for node in tree.body:
            public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith(
                "_"
            )
            if public and not ast.get_docstring(node):
                offenders.append(f"{file}: {node.name} has no docstring")
        if not ast.get_docstring(tree):
            offenders.append(f"{file} has no docstring")
        for node in ast.walk(tree):
            call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if call == "print" and file.name != "__main__.py":
                offenders.append(f"{file}:{node.lineno} prints")
            if "warnings" in call and ("filter" in call or "catch" in call):
                offenders.append(f"{file}:{node.lineno} switches warnings off")
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                offenders.append(f"{file}:{node.lineno} has a bare except")
    assert offenders == []
