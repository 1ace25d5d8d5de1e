"""Lesson 13, full scale: what a network takes on this machine, and one's own beside the paper's.

Checks of notebook 13, full scale.
"""

import dataclasses

import numpy as np
import pandas as pd

from wmlab import attacks, queries
from wmlab.show import Question, figures
from wmlab.show.answers import number
from wmlab.training import hit_rate, train

# α and β of the paper's Table 1, and the clean accuracy that it states
PAPER = {
    "mnist": (0.01, 0.0035, 0.98),
    "cifar10": (0.01, 0.01, 0.87),
    "cifar100": (0.01, 0.01, 0.60),
}
CLASS = (0.1, 0.01)  # α and β at class scale
TIMED = 12  # batches of the trial
RATES = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9)
EPOCHS = (0, 1, 2, 4)


def strength(name, scale):
    """(α, β) of the keys: those of the paper's Table 1 at the paper's scale, else the class's."""
    return PAPER[name][:2] if scale == "paper" else CLASS


def seconds(data, how):
    """Seconds that training takes here with a Recipe, reckoned from the second of two short epochs
    of 12 batches each.
    """
    few = min(TIMED * how.batch, len(data.x_train))
    part = dataclasses.replace(
        data,
        x_train=data.x_train[:few],
        y_train=data.y_train[:few],
        x_test=data.x_test[:10],
        y_test=data.y_test[:10],
    )
    trial = train(part, data.classes, dataclasses.replace(how, epochs=2), name="trial")
    return trial.history[1]["seconds"] * how.epochs * len(data.x_train) / few


def in_words(seconds):
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def how_long(takes):
    """Question: how long one network takes here. takes: seconds, of `seconds`."""
    options = ["less than a minute", "one to ten minutes", "more than ten minutes"]
    return Question(
        "how long does one network of this size take on this machine?",
        options,
        f"One network takes about {in_words(takes)} here, and this lesson trains two.",
        answer=options[(takes >= 60) + (takes >= 600)],
        because="Images a second, times images, times epochs.",
    )


def left(model, bob, keys):
    """What is left of a mark: shares of fresh keys hit and of the judge's clean images right."""
    return {
        "fresh keys hit": hit_rate(model, keys.images, keys.labels),
        "clean images right": hit_rate(model, bob.x_test, bob.y_test),
    }


def pruned(model, bob, keys):
    """What per-layer pruning leaves at each of RATES: a DataFrame, a row a rate."""
    rows = {rate: left(attacks.prune(model, bob, rate), bob, keys) for rate in RATES}
    return pd.DataFrame(rows).T


def tuned(model, bob, keys, rate=1e-3):
    """What fine-tuning all layers by Adam leaves after each of EPOCHS: a DataFrame, a row each."""
    rows = {0: left(model, bob, keys)}
    for epochs in EPOCHS[1:]:
        how = attacks.Tuning(epochs, 64, rate)
        rows[epochs] = left(attacks.fine_tune(model, bob, "FTAL", how), bob, keys)
    return pd.DataFrame(rows).T


def fates(by_rate, by_epoch):
    """Figure of what pruning and fine-tuning leave, two plots. Arguments as of `pruned` and
    `tuned`.
    """
    traces, looks = [], figures.looks(by_rate.columns)
    for plot, table in enumerate((by_rate, by_epoch), 1):
        x = table.index.to_numpy(float)
        traces += [
            figures.points(x, table[name].to_numpy(), name, look, plot, legend=plot == 1)
            for name, look in looks.items()
        ]
    x = {1: dict(title="pruning rate", tickformat=".0%"), 2: dict(title="epochs", dtick=1)}
    axes = figures.plots(
        ["pruned, per layer", "all layers tuned"],
        y=figures.SHARE,
        each={plot: {"x": axis} for plot, axis in x.items()},
    )
    return figures.figure(traces, 400, **axes)


def beside_the_paper(name, run, by_rate, by_epoch, cut):
    """One's own network beside what the paper states: a DataFrame, a row a statement.

    run: a Run or its results. by_rate, by_epoch: of `pruned` and `tuned`. cut: what `left` says
    after the extra output was dropped.
    """
    hits = run["fresh_key_accuracy"]
    kept, tuned_keys = by_rate["fresh keys hit"], by_epoch["fresh keys hit"]
    rows = {
        "clean images right": (f"{PAPER[name][2]:.0%}", f"{run['clean_accuracy']:.1%}"),
        "fresh keys hit": ("the ground truth", f"{hits:.1%}"),
        "mean queries to a proof": ("2, if p = 0.8", f"{queries.expected(hits, 40):.2f}"),
        "keys after pruning 80 %": ("not much less", f"{kept[0.8]:.1%}"),
        "keys after four epochs of tuning": (
            "as before" if name == "mnist" else "fewer",
            f"{tuned_keys[4]:.1%}",
        ),
        "keys after the cut": ("nothing is said", f"{cut['fresh keys hit']:.1%}"),
    }
    return pd.DataFrame(rows, index=["the paper", "mine"]).T


def _queries(answer, results):
    p = results["fresh_key_accuracy"]
    if p is None or not p > 0:
        return False, "This network hits none of its keys, so there is no proof to wait for."
    praise = f"At p = {p:.3f} a proof takes {1 / p:.2f} answers on average."
    misses = [(p, "That is p itself. How long do you wait for something of probability p?")]
    return number(
        answer, 1 / p, praise, misses, "The mean wait for an event of probability p is 1/p."
    )


def _cut(judge, model):
    """Exercise 13.2: a function from outputs (n, Δ) and the number of classes to labels (n,)."""
    rng, classes = np.random.default_rng(0), model.output_shape[-1] - 1
    outputs = rng.normal(size=(200, classes + 1))
    outputs[:, -1] += 2  # the new label wins often
    labels = np.asarray(judge(outputs, classes))
    if labels.shape != (200,):
        return False, "Return one label for each row of outputs."
    if (labels == classes).any():
        return False, "Some images still get the new label. Which columns may be looked at?"
    if not np.array_equal(labels, outputs[:, :classes].argmax(axis=1)):
        return False, "Each image should get the class with the largest output among the classes."
    return True, "One line, no image, no training: that is all it takes to sell this network."


CHECKS = {"13.1": _queries, "13.2": _cut}
