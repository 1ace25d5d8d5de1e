"""Extraction: train a copy from a suspect's answers. The weights of the stolen model never leave
its owner's house.
"""

import keras
import numpy as np

from wmlab.attacks.base import Tuning, fit, seeded
from wmlab.suspects import LocalSuspect, ask
from wmlab.training import optimizer, probabilities, untrained
from wmlab.training import recipe as course_recipe

ANSWERS = ("labels", "scores", "scores without the last")


class ScoreSuspect(LocalSuspect):
    """A LocalSuspect that sells probabilities too: `scores(images)` float64 (n, outputs), each row
    one paid query.
    """

    def scores(self, images):
        """Probabilities of all outputs, rows that sum to 1."""
        self.queries += len(images)
        return probabilities(self.model, images)


def bought(suspect, images, answers="labels", classes=1):
    """What a suspect says of images, as targets to train on: float32 (n, outputs), rows that sum to
    1.

    answers: "labels", 1 for the label and 0 for the rest, as many outputs as labels were seen but
    at least `classes`; "scores", probabilities; "scores without the last", those of all outputs but
    the last, scaled to sum to 1. Raises ValueError for other answers, or scores of a suspect that
    sells labels only; SuspectError as `ask` does.
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
    """A copy of the model behind a suspect, trained from scratch on its answers to data.x_train
    (Tramèr et al. 2016).

    suspect: anything that sells labels; a keras model stands for itself. Every image is one query.
    answers: see `bought`.
    data: a Dataset; its labels are not used, its number of classes is. recipe: a `training.Recipe`,
    by default the course's. Returns a model with as many outputs as answers; raises what `bought`
    raises.
    """
    recipe = recipe or course_recipe(data.name)
    suspect = suspect if hasattr(suspect, "ask") else ScoreSuspect(suspect)
    targets = bought(suspect, data.x_train, answers, data.classes)
    seeded(seed)
    copy = untrained(recipe, targets.shape[1], data.x_train)
    how = Tuning(
        recipe.epochs, recipe.batch, recipe.learning_rate, lambda _: optimizer(recipe, len(targets))
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.smoothing)
    return fit(copy, data.x_train, targets, how, loss)
