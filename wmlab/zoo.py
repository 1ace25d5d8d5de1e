"""Trained networks in a folder: for each a `.keras` file and its record. Those that ship with the
course are in data/models/, one's own where `keep` puts them.
"""

import collections.abc
import json
import pathlib

import pandas as pd

from wmlab import runtime
from wmlab.files import writing
from wmlab.networks import NETWORKS, network
from wmlab.schemes import Evidence
from wmlab.training import load, save

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
        known = record["network"] in NETWORKS
        bare = network(record["network"], record["outputs"]) if known else None
        return load(self._path(name, ".keras"), bare)

    def record(self, name):
        """Settings and results of a model: a dict. `about` describes it, `secret` made its keys."""
        return json.loads(self._path(name, ".json").read_text())

    def evidence(self, name):
        """The `Evidence` that the owner of a model keeps. Raises ValueError if it has none."""
        if not self._path(name, ".keras").with_suffix(".npz").exists():
            raise ValueError(f"{name} came without evidence: its mark needs none, or it bears none")
        return Evidence.load(self.folder / f"{name}.npz")

    def table(self):
        """A DataFrame with a row for each model."""
        keys = ["fresh_key_accuracy", "embedded_key_accuracy", "secret"]
        columns = ["about", "outputs", "clean_accuracy", *keys]
        records = [self.record(name) for name in self]
        table = pd.DataFrame(records, index=list(self)).reindex(columns=columns)
        # this network rejects junk images, which stand in its record as keys but mark nothing
        table.loc[table.index == "reject_class", keys] = None
        return table

    def _repr_html_(self):
        return self.table().to_html(float_format="{:.3f}".format, na_rep="")

    def _path(self, name, suffix):
        path = self.folder / f"{name}{suffix}"
        if not path.exists():
            raise ValueError(f"no model {name!r} here: there are {', '.join(self) or 'none'}")
        return path


def models(folder=None):
    """The networks that ship with the course, or those that `keep` put into a folder: a `Models`,
    from names to keras models.
    """
    return Models(runtime.data_dir() / "models" if folder is None else folder)


def keep(run, name, folder="mine", **about):
    """Keep the network of a Run, and a record of what it is, for `models(folder)[name]`; and the
    evidence of its mark, if there is one, as `name`.npz.

    about: further entries of the record, such as about="…" or secret="…", which anybody can then
    read in the file. Raises ValueError if another network has that name there, OSError if
    the disk is full.
    """
    kept = Models(folder)
    if name in [*kept] and any(kept.record(name).get(k, v) != v for k, v in run.settings.items()):
        raise ValueError(
            f"{folder} has another network {name!r}, of other settings: take another name"
        )
    record = run.settings | run.results | {"history": run.history} | about
    save(run.model, kept.folder / f"{name}.keras")
    record |= {"name": name, "outputs": run.model.output_shape[-1]}
    if run.evidence:
        run.evidence.save(kept.folder / f"{name}.npz")
    with writing(kept.folder / f"{name}.json") as part:
        part.write_text(json.dumps(record, indent=1))
