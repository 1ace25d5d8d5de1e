"""The trained networks that ship with the course, in data/models/: each a `.keras` file beside its
record.
"""

import collections.abc
import json
import pathlib

import pandas as pd

from wmlab import runtime
from wmlab.networks import network
from wmlab.training import load

# Secrets that are public here, as everything in a course is.
ALICE, CAROL = "Alice keeps this to herself", "Carol keeps another one"


class Models(collections.abc.Mapping):
    """The shipped models by name. `models()["new_label"]` loads one; shown on its own it is a table
    of all records.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __iter__(self):
        return iter(sorted(path.stem for path in self.folder.glob("[!.]*.keras")))

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, name):
        record = self.record(name)
        return load(self._path(name, ".keras"), network(record["network"], record["outputs"]))

    def record(self, name):
        """Settings and results of a model: a dict; `about` says what it is, `secret` what its keys
        come from.
        """
        return json.loads(self._path(name, ".json").read_text())

    def table(self):
        """A pandas table, one row a model."""
        columns = [
            "about",
            "outputs",
            "clean_accuracy",
            "fresh_key_accuracy",
            "embedded_key_accuracy",
            "secret",
        ]
        table = pd.DataFrame([self.record(name) for name in self], index=list(self))[columns]
        # its "keys" are junk that it rejects, which marks nothing and is nobody's secret
        table.loc[table.index == "reject_class", columns[3:]] = None
        return table

    def _repr_html_(self):
        return self.table().to_html(float_format="{:.3f}".format, na_rep="")

    def _path(self, name, suffix):
        path = self.folder / f"{name}{suffix}"
        if not path.exists():
            raise ValueError(f"no shipped model {name!r}: there are {', '.join(self) or 'none'}")
        return path


def models():
    """The trained networks that ship with the course: a mapping from names to keras models, loaded
    when asked for.
    """
    return Models(runtime.data_dir() / "models")
