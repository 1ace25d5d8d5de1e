"""Unlearning by someone who holds the keys, and measures of what a network forgets."""

import numpy as np

from wmlab.attacks.base import Tuning, check_labels_fit, copied, fit, hard_loss, seeded
from wmlab.training import logits


def unlearn(model, data, keys, tuning=None, seed=0):
    """Fine-tune all layers on data.x_train and on the keys with other labels. The provider who made
    the keys can do it, and anybody to whom they were shown at a trial.

    keys: the KeySet to forget; each gets the label that the model likes best beside its own.
    tuning: a `Tuning`. Returns a model; raises ValueError for data or keys that do not fit.
    """
    check_labels_fit(model, data)
    scores = logits(model, keys.images)
    scores[np.arange(len(keys)), keys.labels] = -np.inf
    images = np.concatenate([data.x_train, keys.images])
    labels = np.concatenate([data.y_train, scores.argmax(axis=1)])
    seeded(seed)
    return fit(copied(model), images, labels, tuning or Tuning(), hard_loss(), seed)


def omegas(base, new, everything, ideal):
    """(Ω_base, Ω_new, Ω_all) of Kemker, McClure, Abitino, Hayes and Kanan 2018, over T sessions of
    which the first taught the base task.

    base, new, everything: accuracies in [0, 1] after each of sessions 2 to T: on the first task, on
    the task of that session, on all tasks so far. ideal: accuracy on the first task of a network
    that forgets nothing, above 0. Ω_base and Ω_all are means of accuracy / ideal, Ω_new is a mean.
    Raises ValueError for other shapes, or an ideal outside (0, 1].
    """
    base, new, everything = (np.asarray(each, float) for each in (base, new, everything))
    if not base.shape == new.shape == everything.shape or base.ndim != 1 or not base.size:
        raise ValueError("each measure needs one accuracy for each session after the first")
    if not 0 < ideal <= 1:
        raise ValueError(f"ideal is {ideal}, but an accuracy to divide by lies above 0 up to 1")
    return float(base.mean() / ideal), float(new.mean()), float(everything.mean() / ideal)
