"""`import wmlab` is quick and loads no framework, lessons without keras load none, and every public
name is there.
"""

import json

import pytest

import wmlab

HEAVY = ("keras", "tensorflow", "jax", "torch", "plotly", "ipywidgets", "pandas", "scipy", "numpy")
# In this order in one process: what each statement has loaded when it is done.
STATEMENTS = {
    "import wmlab, wmlab.jax_process": set(),
    "import numpy": {"numpy"},  # so the list is not blind
    "from wmlab import datasets, keys, queries, records, runtime, secret, suspects, toy": None,
    "wmlab.setup(keras=False)": None,
    "from wmlab.lessons import boundary_twist, expected_queries, fine_tuning, key_samples": None,
    "boundary_twist.maps()": None,
    "boundary_twist.bands({'strength': boundary_twist.averaged('strength', (1,), seeds=1)})": None,
    "expected_queries.race(), expected_queries.running_mean(), expected_queries.batch()": None,
    "expected_queries.compare(), expected_queries.notice()": None,
    "key_samples.look('s'), key_samples.noise('s')": None,
    "game = key_samples.Game('s'); game.guess('left')": None,
    "key_samples.curves(key_samples.sights('s', game.guesses))": None,
    "from wmlab.lessons import claims; claims.forest(claims.table())": None,
}


def test_lessons_without_keras_load_no_framework(python):
    code = "import json, sys\nloaded = {}\n"
    seen = f"[name for name in {HEAVY} if name in sys.modules]"
    for statement in STATEMENTS:
        code += f"{statement}\nloaded[{statement!r}] = {seen}\n"
    done = python(f"{code}print(json.dumps(loaded))")
    assert done.returncode == 0, done.stderr
    for statement, loaded in json.loads(done.stdout.splitlines()[-1]).items():
        wanted = STATEMENTS[statement]
        assert wanted is None or set(loaded) == wanted, statement
        assert not {"keras", "tensorflow", "jax", "torch"} & set(loaded), statement


def test_public_names_resolve():
    for name in wmlab.__all__:
        assert name in dir(wmlab)
        assert getattr(wmlab, name).__module__.startswith(f"wmlab.{wmlab._HOME[name]}")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        wmlab.nonsense  # noqa: B018
