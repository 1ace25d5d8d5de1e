"""The trained networks that ship with the course, in data/models/: for each a `.keras` file and its
record.
"""

import collections.abc
import json
import pathlib

import pandas as pd

from wmlab import runtime
from wmlab.networks import network
from wmlab.training import load

# In a course secrets are public.
ALICE, CAROL = "Alice keeps this to herself", "Carol keeps another one"


class Models(collections.abc.Mapping):
    """The shipped models by name: `models()["new_label"]` loads one. A notebook shows the mapping
    as a table of all records. Raises ValueError for another name.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __iter__(self):
        for path in sorted(self.folder.glob("[!.]*.keras")):
            about = path.with_suffix(".json")
            # a copy such as "unmarked_0 (1).keras" is no second model
            name = json.loads(about.read_text())["name"] if about.exists() else path.stem
            if name == path.stem or not self.folder.joinpath(f"{name}.keras").exists():
                yield path.stem

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, name):
        record = self.record(name)
        return load(self._path(name, ".keras"), network(record["network"], record["outputs"]))

    def record(self, name):
        """Settings and results of a model: a dict. `about` describes it, `secret` made its keys."""
        return json.loads(self._path(name, ".json").read_text())

    def table(self):
        """A DataFrame with a row for each model."""
        keys = ["fresh_key_accuracy", "embedded_key_accuracy", "secret"]
        columns = ["about", "outputs", "clean_accuracy", *keys]
        table = pd.DataFrame([self.record(name) for name in self], index=list(self))[columns]
        # this network rejects junk images, which stand in its record as keys but mark nothing
        table.loc[table.index == "reject_class", keys] = None
        return table

    def _repr_html_(self):
        return self.table().to_html(float_format="{:.3f}".format, na_rep="")

    def _path(self, name, suffix):
        path = self.folder / f"{name}{suffix}"
        if not path.exists():
            raise ValueError(f"no shipped model {name!r}: there are {', '.join(self) or 'none'}")
        return path


def models():
    """The networks that ship with the course: a `Models`, from names to keras models."""
    return Models(runtime.data_dir() / "models")
