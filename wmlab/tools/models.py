"""What ships as data beside the tables: the trained networks, and the points of the toy."""

import dataclasses
import pathlib

import keras
import numpy as np

from wmlab import zoo
from wmlab.datasets import load
from wmlab.files import writing
from wmlab.schemes import Adi, Blind, DeepMarks, Frontier, NewLabel, Uchida, Unmarked, WrongLabel
from wmlab.schemes.innocents import Reject
from wmlab.tools.records import record_of
from wmlab.training import recipe
from wmlab.zoo import ALICE, CAROL

REJECT = "what is no digit"


def build(folder):
    """Train every shipped model from the MNIST sample and save it with its record; models on file
    are made anew.

    `python -m wmlab models --out FOLDER` calls this. Returns the names.
    """
    data, how, folder = load("mnist", "class"), recipe("mnist", "class"), pathlib.Path(folder)
    fresh = {"alpha": 0.1, "beta": 0.01}
    fixed = fresh | {"kind": "fixed", "decoys": 600}
    plan = {  # name: scheme, secret, seed, what it is
        "unmarked_0": (Unmarked(), None, 0, "an innocent network"),
        "unmarked_1": (Unmarked(), None, 1, "an innocent network"),
        "unmarked_2": (Unmarked(), None, 2, "an innocent network"),
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
        zoo.keep(run, name, folder, **record_of(run), about=about, secret=secret)
    return [*plan, *_gallery(data, folder / "gallery")]


USERS = (3, 8, 14, 21, 27)  # whose copies of a network with DeepMarks ship


def _gallery(data, folder):
    """The smaller networks of lesson 11, each with its owner's evidence; returns the names."""
    how = dataclasses.replace(recipe("mnist", "class"), network="small_cnn", epochs=8)
    plan = {  # name: scheme, seed, what it is
        "unmarked": (Unmarked(), 20, "an innocent network"),
        "uchida": (Uchida(), 21, "64 bits in the weights"),
        "adi": (Adi(), 22, "100 mosaics with labels from the secret"),
        "frontier": (Frontier(), 23, "100 images beside the boundary"),
        "blind": (Blind(), 24, "100 images with a hidden logo"),
    }
    for user in USERS:
        about = f"the copy of user {user}, by whose code word it is told"
        plan[f"deepmarks_{user}"] = (DeepMarks(user=user), 30 + user, about)
    start = None  # what a mark is put into
    for name, (scheme, seed, about) in plan.items():
        secret = ALICE if start else None
        more = dict(start=start) if getattr(scheme, "tuned", False) else {}
        run = scheme.embed(data, secret, how, seed=seed, **more)
        start = start or run.model
        zoo.keep(run, name, folder, about=about, secret=secret)
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
    data = load("mnist", "class")
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
    with writing(path) as part:
        np.savez_compressed(part, points=points.astype(np.float32), labels=labels.astype(np.uint8))
    return model.evaluate(x[unseen], labels, verbose=0)[1]
