"""wmlab: what the notebooks of the course call. The ideas are in the notebooks, the plumbing is
here.

Names resolve on first use, so that `import wmlab` is quick and loads no framework.
"""

import importlib

__version__ = "0.1.0"

_HOME = {  # public name: the module it lives in
    "setup": "runtime",
    "doctor": "runtime",
    "Secret": "secret",
    "Commitment": "secret",
    "KeySet": "keys",
    "make_keys": "keys",
    "Dataset": "datasets",
    "DataError": "datasets",
    "load": "datasets",
    "LocalSuspect": "suspects",
    "RemoteSuspect": "suspects",
    "serve": "suspects",
    "Verdict": "verification",
    "NewLabel": "schemes",
    "WrongLabel": "schemes",
    "scheme": "schemes",
    "models": "zoo",
    "my_answers": "lessons",
    "judge_attack": "exam",
    "judge_scheme": "exam",
}
__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next use does not come here again
    return value


def __dir__():
    return sorted({*globals(), *_HOME})
