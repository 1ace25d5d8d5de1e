"""Sweeps: many recorded runs of one experiment, resumable; `python -m wmlab sweep` is the only way to results."""
import itertools
import logging
import pathlib

from wmlab import records
from wmlab.datasets import SAMPLE, DataError, load
from wmlab.schemes import FRESH, SCHEMES, NewLabel, Unmarked, scheme
from wmlab.training import hit_rate, recipe

log = logging.getLogger(__name__)


def plan(schemes, alphas, betas, runs, classes=10, **settings):
    """The runs of a sweep, as (scheme, seed): every scheme at every (α, β), `runs` seeds each, seeds first.

    schemes: short names; "none" is planned once a seed, whatever α and β. "new-any" is the new label with carriers of
    every class. settings: further fields of the schemes. Raises ValueError for an unknown scheme or no run at all.
    """
    def make(name, alpha, beta):
        if name == "none":
            return Unmarked(classes)
        if name == "new-any":
            return NewLabel(alpha, beta, classes=classes, target=None, **settings)
        return scheme(name, alpha=alpha, beta=beta, classes=classes, **settings)

    unknown = set(schemes) - set(SCHEMES) - {"new-any"}
    if unknown or not schemes or runs < 1:
        raise ValueError(f"a sweep takes schemes of {', '.join(SCHEMES)}, new-any and at least one run; "
                         f"this one has {', '.join(schemes) or 'none'} and {runs} runs")
    marks = dict.fromkeys(make(name, alpha, beta) for name, alpha, beta in itertools.product(schemes, alphas, betas))
    return [(mark, seed) for seed in range(runs) for mark in marks]


def sweep(experiment, dataset, marks, out, scale="paper", alpha=0.01, beta=0.0035, follow=None, **changes):
    """Run what `plan` planned, one after the other, and record each when done; runs on file are left as they are.

    Interrupted in the middle of a run, the same call goes on from its last epoch. alpha, beta: the keys an unmarked
    model is asked with, since it has none of its own. follow: function from a scheme's name to its `on_epoch`. changes:
    fields of the recipe. Returns the paths written; raises DataError rather than call the small sample "paper" scale.
    """
    data, out = load(dataset, scale), pathlib.Path(out)
    if scale == "paper" and SAMPLE in data.source:
        raise DataError(f"A sweep at paper scale needs all of {dataset}: put {dataset}.npz in a folder and set WMLAB_DATA to it.")
    how = recipe(dataset, scale, **changes)
    written = []
    for number, (mark, seed) in enumerate(marks, 1):
        about = mark.settings(data, how, seed) | {"experiment": experiment}
        if records.done(about, out):
            continue
        log.info("run %d of %d: %s, seed %d", number, len(marks), mark.name, seed)
        secret = f"{experiment} {seed}"
        run = mark.embed(data, secret, how, seed=seed, backup=out / "part" / records.name(about),
                         on_epoch=follow and follow(mark.name))
        judge = NewLabel(alpha, beta, classes=data.classes) if isinstance(mark, Unmarked) else mark
        verdict = judge.verify(run.model, data.x_test, data.y_test, secret)
        noisy = judge.keys(*judge.carriers(data.x_test, data.y_test, FRESH), "anyone", "noise")  # under their true labels
        run.record |= {"experiment": experiment, "decision": verdict.decision, "queries": verdict.queries,
                       "noisy_accuracy": hit_rate(run.model, noisy.images, noisy.carrier_labels)}
        written.append(records.write(run.record, out))
    return written
