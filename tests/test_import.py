"""`import wmlab` is quick and loads no framework, and still every public name is there."""
import time

import pytest

import wmlab

HEAVY = ("keras", "tensorflow", "jax", "torch", "plotly", "ipywidgets", "pandas", "scipy", "numpy")
WITHOUT_KERAS = ("checks", "datasets", "figures", "keys", "panels", "panels.p01", "panels.p02", "panels.p05",
                 "panels.p05_batch", "panels.p05_cost", "panels.p07_records", "panels.p08", "panels.p08_map", "queries", "records",
                 "runtime", "secret", "suspects", "toy")
BUILT = {
    "p07_records": "tables = p07_records.recorded()\np07_records.figure4(tables)\np07_records.frontier(tables)",
    "p01": "p01.maps()\np01.bands({'strength': p01.averaged('strength', (0, 1), seeds=2)})",
    "p05": "from wmlab.panels import p05_batch, p05_cost\np05.race()\np05.settle()\np05_batch.batch()\np05_batch.compare()\n"
           "p05_cost.notice()",
    "p02": "p02.look('s')\np02.noise('s')\ngame = p02.Game('s')\ngame.guess('left')\np02.curves(p02.sights('s', game.guesses))",
}


def loaded_after(python, statement):
    """Return which heavy packages a fresh Python has loaded after `statement`."""
    done = python(f"{statement}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_is_quick(python):
    def seconds():
        start = time.perf_counter()
        python("import wmlab")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(7)) < 0.3  # Python's own start included


def test_import_loads_nothing_heavy(python):
    assert loaded_after(python, "import wmlab") == []
    assert loaded_after(python, "import numpy") == ["numpy"]  # so the list above is not blind


@pytest.mark.parametrize("module", WITHOUT_KERAS)
def test_lessons_without_keras_can_use(python, module):
    assert not {"keras", "tensorflow", "jax"} & set(loaded_after(python, f"import wmlab.{module}"))


@pytest.mark.parametrize("panels", list(BUILT))
def test_panels_are_built_without_keras(python, panels):
    setup = f"import wmlab\nwmlab.setup(keras=False)\nfrom wmlab.panels import {panels}"
    loaded = loaded_after(python, f"{setup}\n{BUILT[panels]}")
    assert "ipywidgets" in loaded and not {"keras", "tensorflow", "jax", "torch"} & set(loaded)


@pytest.mark.parametrize("name", wmlab.__all__)
def test_public_name_resolves(name):
    assert name in dir(wmlab)
    assert getattr(wmlab, name).__module__.startswith(f"wmlab.{wmlab._HOME[name]}")


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        wmlab.nonsense  # noqa: B018
