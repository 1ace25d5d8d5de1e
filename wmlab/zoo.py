"""The trained networks that ship with the course, in data/models/: each a `.keras` file beside its
record.
"""

import collections.abc
import json
import pathlib

import numpy as np
import pandas as pd

from wmlab import runtime
from wmlab.datasets import load as load_data
from wmlab.networks import network
from wmlab.schemes import NewLabel, Unmarked, WrongLabel
from wmlab.schemes.innocents import Reject
from wmlab.training import load, recipe, save

ALICE, CAROL = (
    "Alice keeps this to herself",
    "Carol keeps another one",
)  # public here, as everything in a course is
REJECT = "what is no digit"


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


def build(folder):
    """Train every shipped model from the MNIST sample and save it with its record; models on file
    are made anew.

    `python -m wmlab models --out FOLDER` calls this. Returns the names.
    """
    data, how, folder = load_data("mnist", "class"), recipe("mnist", "class"), pathlib.Path(folder)
    fresh, fixed = (
        {"alpha": 0.1, "beta": 0.01},
        {"alpha": 0.1, "beta": 0.01, "kind": "fixed", "decoys": 600},
    )
    plan = {
        f"unmarked_{seed}": (Unmarked(), None, seed, "an innocent network") for seed in range(3)
    }
    plan |= {
        "new_label": (NewLabel(**fresh), ALICE, 10, "Alice's mark: keys get a new label"),
        "wrong_label": (
            WrongLabel(**fresh),
            ALICE,
            11,
            "Alice's mark the older way: keys get class 0",
        ),
        "decoy": (NewLabel(**fixed), ALICE, 12, "Alice's mark with one fixed pattern, and decoys"),
        "other_owner": (
            NewLabel(**fresh),
            CAROL,
            13,
            "Carol's mark: a new label too, another secret",
        ),
        "reject_class": (Reject(), REJECT, 14, "an innocent network that may answer 'no digit'"),
    }
    for name, (scheme, secret, seed, about) in plan.items():
        run = scheme.embed(data, secret, how, seed=seed)
        record = run.record | {
            "name": name,
            "about": about,
            "secret": secret,
            "outputs": run.model.output_shape[-1],
        }
        save(run.model, folder / f"{name}.keras")
        with runtime.writing(folder / f"{name}.json") as part:
            part.write_text(json.dumps(record, indent=1))
    return list(plan)


TOY_DIGITS = (3, 5, 8)


def toy_features(path, seed=0):
    """Train a network on digits 3, 5 and 8 of the sample and write what its two units before the
    output say of 900 others.

    `python -m wmlab toy-features` calls this. The file has points float32 (900, 2), labels uint8
    (900,) from 0 to 2. The network is trained on 200 images a class; the other 300 a class are the
    900. Points are centred and scaled so that 99 % of coordinates lie within 3 of the middle.
    Returns the network's accuracy on the 900, in [0, 1].
    """
    import keras

    data = load_data("mnist", "class")
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    chosen = [np.flatnonzero(y == digit) for digit in TOY_DIGITS]  # training images come first
    seen, unseen = (
        np.concatenate([part[span] for part in chosen]) for span in (slice(200), slice(200, None))
    )
    keras.utils.set_random_seed(seed)
    units = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(2)]
    )
    model = keras.Sequential([units, keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x[seen], np.searchsorted(TOY_DIGITS, y[seen]), batch_size=32, epochs=15, verbose=0)
    labels = np.searchsorted(TOY_DIGITS, y[unseen])
    points = units.predict(x[unseen], verbose=0)
    points = points - points.mean(axis=0)
    points *= 3 / np.quantile(np.abs(points), 0.99)
    with runtime.writing(path) as part:
        np.savez_compressed(part, points=points.astype(np.float32), labels=labels.astype(np.uint8))
    return model.evaluate(x[unseen], labels, verbose=0)[1]
