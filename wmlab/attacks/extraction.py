"""Extraction: train a copy of a model from its answers, without its weights."""

import keras
import numpy as np

from wmlab.attacks.base import Tuning, fit, seeded
from wmlab.datasets import KNOWN
from wmlab.networks import check_takes
from wmlab.suspects import LocalSuspect, ask
from wmlab.training import optimizer, probabilities, recipe_for, untrained

ANSWERS = ("labels", "scores", "scores without the last")


class ScoreSuspect(LocalSuspect):
    """A LocalSuspect that sells probabilities too; each row of `scores(images)` is a paid query."""

    def scores(self, images):
        """Probabilities of all outputs: float64 (n, outputs), rows that sum to 1."""
        self.queries += len(images)
        return probabilities(self.model, images)


def bought(suspect, images, answers="labels", classes=1):
    """The answers of a suspect as targets to train on: float32 (n, outputs), rows that sum to 1.

    answers: "labels", one-hot, with an output for each label seen, at least `classes`; "scores",
    probabilities; "scores without the last", probabilities of all outputs but the last, scaled to
    sum to 1. Raises ValueError for other answers, or for scores of a suspect that sells labels
    only; SuspectError as `ask` does.
    """
    if answers not in ANSWERS:
        raise ValueError(f"unknown answers {answers!r}: choose one of {', '.join(ANSWERS)}")
    if answers == "labels":
        labels = ask(suspect, images)
        return np.eye(max(classes, labels.max() + 1), dtype=np.float32)[labels]
    if not hasattr(suspect, "scores"):
        raise ValueError(
            f"a {type(suspect).__name__} sells labels only: scores need a suspect with "
            "scores(images), such as "
            "ScoreSuspect(model)"
        )
    scores = suspect.scores(images)
    if answers == "scores without the last":
        scores = scores[:, :-1] / scores[:, :-1].sum(axis=1, keepdims=True).clip(1e-12)
    return scores.astype(np.float32)


def extract(suspect, data, answers="labels", recipe=None, seed=0):
    """A copy of a suspect, trained from scratch on its answers to data.x_train (Tramèr 2016).

    suspect: anything that sells labels, or a keras model. Every image is one query. data: a
    Dataset, whose labels are not used. answers: as in `bought`. recipe: a `training.Recipe`, by
    default the course's; on data of one's own with the layers of the suspect, if it is a keras
    model. Returns a model with as many outputs as `bought` finds; raises what `bought` raises.
    """
    known = recipe or data.name in KNOWN or hasattr(suspect, "ask")
    recipe = recipe_for(data, recipe, None if known else suspect)
    suspect = suspect if hasattr(suspect, "ask") else ScoreSuspect(suspect)
    targets = bought(suspect, data.x_train, answers, data.classes)
    seeded(seed)
    copy = untrained(recipe, targets.shape[1], data.x_train)
    check_takes(copy, data)
    made = optimizer(recipe, len(targets))
    how = Tuning(recipe.epochs, recipe.batch, recipe.learning_rate, lambda _: made)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.smoothing)
    return fit(copy, data.x_train, targets, how, loss, seed)
