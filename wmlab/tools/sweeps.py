"""Sweeps: many runs of one experiment, each recorded when it is done.

`python -m wmlab sweep` is the only way to the results that ship. A sweep that is stopped or killed
loses no finished run, and the same command does the rest.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import itertools
import logging
import pathlib
import re
import tempfile

import keras
from tqdm.auto import tqdm

from wmlab import machine
from wmlab.battery import attacked, gallery, trials
from wmlab.datasets import SAMPLE, DataError, load
from wmlab.files import PROGRESS
from wmlab.networks import check_takes, network
from wmlab.schemes import CITED, SCHEMES, Cited, NewLabel, Unmarked, scheme
from wmlab.schemes.innocents import INNOCENTS, public_keys
from wmlab.schemes.unmarked import Repeated
from wmlab.tools import dask_workers, records
from wmlab.training import predict, recipe

log = logging.getLogger(__name__)

STRANGERS = 12  # unmarked networks that a marked one of the gallery stands beside
FLEET = 50  # networks trained at once: a sweep that is killed loses as many unfinished runs
UNMARKED = {"none": Unmarked, **INNOCENTS}


class RunsFailed(RuntimeError):
    """Some runs of a sweep failed; the others are on record."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A run to do: a scheme, a seed, and the settings of its record."""

    mark: object
    seed: int
    settings: dict

    @property
    def secret(self):
        """What its keys are made with: another secret for each seed."""
        return f"{self.settings['experiment']} {self.seed}"


def plan(schemes, alphas, betas, runs, classes=10, **settings):
    """The runs of a sweep: [(scheme, seed)], every scheme at every (α, β), seed 0 of all first.

    Args:
        schemes: short names. "none" and the INNOCENTS carry no mark and are planned once a seed,
            whatever α and β; so are the CITED, which have neither. "repeated" is `Repeated`,
            planned once for each α. "new-any" is the new label with carriers of every class.
        alphas, betas: numbers, as a scheme takes them.
        runs: how many seeds.
        classes: of the data.
        settings: further fields of the schemes.

    Raises:
        ValueError: an unknown scheme, no run at all, or settings that a scheme refuses.
    """

    def make(name, alpha, beta):
        if name in UNMARKED:
            return UNMARKED[name](classes)
        if name == "repeated":
            return Repeated(alpha, classes)
        if name in CITED:
            return CITED[name](classes)
        if name == "new-any":
            return NewLabel(alpha, beta, classes=classes, target=None, **settings)
        return scheme(name, alpha=alpha, beta=beta, classes=classes, **settings)

    known = (*SCHEMES, "repeated", "new-any", *INNOCENTS, *CITED)
    if set(schemes) - {*known} or not schemes or runs < 1:
        raise ValueError(
            f"a sweep takes schemes of {', '.join(known)} and at least one run; this one has "
            f"{', '.join(schemes) or 'none'} and {runs} runs"
        )
    every = itertools.product(schemes, alphas, betas)
    marks = dict.fromkeys(make(name, alpha, beta) for name, alpha, beta in every)
    return [(mark, seed) for seed in range(runs) for mark in marks]


def sweep(
    experiment,
    dataset,
    marks,
    results,
    runs=None,
    *,
    scale="paper",
    alpha=0.01,
    beta=0.0035,
    follow=None,
    workers=None,
    scheduler=None,
    answers=False,
    attacks=(),
    **changes,
):
    """Do the runs that are not on record, where `_place` says, and put them into the tables.

    Args:
        experiment: its name, letters, digits and "_".
        dataset, scale: as in `datasets.load`. marks: what `plan` returns.
        results: folder of the tables.
        runs: folder of the files of finished runs, by default the folder "runs" beside `results`.
        alpha, beta: of the keys for an unmarked network, which has none of its own.
        follow: function from a scheme's name to an `on_epoch`; with it the runs are done here.
        workers: number of processes of this machine; by default that of its cores.
        scheduler: address of a Dask scheduler, whose workers then do the runs.
        answers: whether to record what each network answers to the public keys.
        attacks: names of `battery.GROUPS`, or "gallery" alone. changes: fields of the recipe.

    Raises:
        ValueError, DataError: settings that no run can have, or not enough data for this scale.
        RuntimeError, OSError: the scheduler does not answer or is gone; the disk is full; the
            folder of runs may not be written.
        RunsFailed: some runs failed; all others are done.
    """
    data, how = _checked(experiment, dataset, marks, scale, workers, attacks, changes)
    judge = NewLabel(alpha, beta, classes=data.classes)
    strangers = functools.partial(_strangers, dataset, scale, how)
    measure = functools.partial(
        measured, judge=judge, strangers=strangers, answers=answers, attacks=attacks
    )
    jobs = _jobs(experiment, marks, data, how)
    runs = pathlib.Path(runs or pathlib.Path(results).parent / "runs")
    done = records.merge(experiment, results, runs)
    todo = [job for run, job in jobs.items() if run not in done]
    if not todo:
        log.info("%s: all %d runs are on record", experiment, len(jobs))
        return
    source = (dataset, scale)
    where, outcomes = _place(todo, data, how, measure, source, follow, workers, scheduler)
    log.info("%s: %d runs, %d to do %s", experiment, len(jobs), len(todo), where)
    try:
        failures = _record(outcomes, runs, len(jobs), len(todo), experiment)
    finally:
        records.merge(experiment, results, runs)
    if failures:
        raise RunsFailed(
            f"{len(failures)} of {len(todo)} runs failed: {_listed(failures)}. The others are on "
            "record; the same command tries the failed ones again."
        )


def _checked(experiment, dataset, marks, scale, workers, attacks, changes):
    """The data and the recipe of a sweep, if its runs can be done; the errors of `sweep` if not."""
    tables = tuple(end for end in records.TABLES if end)
    if not re.fullmatch(r"\w+", experiment) or experiment.endswith(tables):
        raise ValueError(
            f"{experiment!r} cannot name an experiment: take letters, digits and _, and no ending "
            "of another table such as _curves"
        )
    if workers is not None and workers < 1:
        raise ValueError(f"{workers} workers: a sweep needs at least one")
    if [*attacks] != ["gallery"]:
        if "gallery" in attacks or any(isinstance(mark, Cited) for mark, _ in marks):
            raise ValueError("published systems are attacked by gallery, which stands alone")
        trials(attacks)
    data = load(dataset, scale)
    if scale != "class" and SAMPLE in data.source:
        raise DataError(
            f"A sweep at paper scale needs all of {dataset}: put {dataset}.npz in a folder and set "
            "WMLAB_DATA to it."
        )
    how = recipe(data.name, scale, **changes)
    check_takes(network(how.network, data.classes), data)
    for mark in dict.fromkeys(mark for mark, _ in marks):
        mark.check(data)
        if how.until == "converged" and mark.name == Unmarked.name:
            raise ValueError("an unmarked network has no keys to converge on: leave out none")
    return data, how


def _jobs(experiment, marks, data, how):
    """The runs by name; the same run planned twice is one."""
    jobs = {}
    for mark, seed in marks:
        settings = records.settings_of(mark.settings(data, how, seed), experiment)
        jobs[records.name(settings)] = Job(mark, seed, settings)
    return jobs


def _listed(reasons):
    """Each reason once, with how often there was that one."""
    counts = collections.Counter(reasons).items()
    return "; ".join(text if n == 1 else f"{text} ({n} times)" for text, n in counts)


def _record(outcomes, runs, total, todo, name):
    """Write each finished run to its file; return why runs failed, a list of sentences."""
    failures, kept = [], []
    line = tqdm(
        total=total,
        initial=total - todo,
        unit="run",
        desc=name,
        dynamic_ncols=True,
        file=PROGRESS,
    )
    with line, contextlib.closing(outcomes):
        folder = (runs / name).absolute()
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=there):  # who may not write is told before training
            pass
        for job, outcome in outcomes:
            record = None
            try:
                record = outcome()
                records.write(record, runs)
            except concurrent.futures.CancelledError as error:
                raise RuntimeError(
                    "The Dask scheduler is gone. What is done is on record, and the same command "
                    "does the rest."
                ) from error
            except Exception as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise  # the other runs would find no room either
                reason = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".: ")
                log.warning("%s with seed %d failed: %s", job.mark.name, job.seed, reason)
                if record and isinstance(error, PermissionError):
                    kept.append(record)  # somebody else holds its file: later, then
                else:
                    failures.append(reason)
            line.update()
    for record in kept:
        records.write(record, runs)
    return failures


@functools.lru_cache(maxsize=1)
def _strangers(dataset, scale, how, seed):
    """Unmarked networks of other owners, others for each seed."""
    data = load(dataset, scale)
    first = 1000 + STRANGERS * seed
    unmarked = Unmarked(data.classes)
    return [unmarked.embed(data, "", how, seed=first + i).model for i in range(STRANGERS)]


def measured(run, job, data, judge, strangers, answers=False, attacks=()):
    """The record of a trained Run: what Ver and attacks say of it, and its accuracy under noise.

    judge: the scheme whose keys question a network that has none of its own. strangers: function
    from a seed to unmarked networks of other owners. answers, attacks: as in `sweep`.
    """
    record = records.record_of(run, job.settings["experiment"])
    if [*attacks] == ["gallery"]:
        rows = gallery(
            run.model,
            job.mark,
            data,
            job.secret,
            job.seed,
            run.evidence,
            strangers(job.seed),
        )
        untouched = {key: rows[0][key] for key in ("decision", "queries")}
        return record | untouched | {"attacks": rows}
    if answers:
        labels = predict(run.model, public_keys(judge, data).images)
        record["answers"] = f"{judge.beta}: {' '.join(map(str, labels))}"
    judge = judge if isinstance(job.mark, Unmarked) else job.mark
    if attacks:
        record["attacks"] = attacked(run.model, judge, data, job.secret, job.seed, attacks)
    verdict = judge.verify(run.model, data.x_test, data.y_test, job.secret)
    return record | {
        "decision": verdict.decision,
        "queries": verdict.queries,
        "noisy_accuracy": judge.noisy_accuracy(run.model, data),
    }


def _place(jobs, data, how, measure, source, follow, workers, scheduler):
    """Where the runs are done: (in words, iterator of (job, function that returns its record))."""
    if follow:
        return "one after the other", _here(jobs, data, how, measure, follow)
    if scheduler or workers:
        return _at_workers(jobs, data, how, measure, source, scheduler, workers)
    if machine.is_installed("jax") and (how.network == "dense" or machine.gpu("jax")):
        from wmlab import fleet  # which runs on jax

        if fleet.steps_alike(how):
            return "in fleets", _in_fleets(jobs, data, how, measure)
    count = min(dask_workers.processes(data), len(jobs))
    if count > 1 and not machine.gpu(keras.config.backend()):
        return _at_workers(jobs, data, how, measure, source, None, count)
    return "one after the other", _here(jobs, data, how, measure)


def _train(data, job, how, measure, on_epoch=None):
    run = job.mark.embed(data, job.secret, how, seed=job.seed, on_epoch=on_epoch)
    return measure(run, job, data)


def _here(jobs, data, how, measure, follow=None):
    for job in jobs:
        on_epoch = follow and follow(job.mark.name)
        yield job, functools.partial(_train, data, job, how, measure, on_epoch)


def _at_workers(jobs, data, how, measure, source, scheduler, count):
    where = f"by the workers of {scheduler}" if scheduler else f"in {count} processes"
    works = [functools.partial(_train, job=job, how=how, measure=measure) for job in jobs]

    def outcomes():
        with dask_workers.hired(scheduler, count) as client:
            backend = keras.config.backend()
            futures = dask_workers.submit(client, backend, source, data.sha256, works)
            for number, future in dask_workers.finished(client, futures):
                yield jobs[number], future.result

    return where, outcomes()


def _in_fleets(jobs, data, how, measure):
    """Together, as many as have the same number of outputs."""
    from wmlab import fleet

    def train(jobs):
        try:
            runs = fleet.embed(data, [(job.mark, job.seed, job.secret) for job in jobs], how)
        except Exception as error:
            if len(jobs) > 1:  # one of them is at fault, or they are too many: halves will tell
                yield from train(jobs[: len(jobs) // 2])
                yield from train(jobs[len(jobs) // 2 :])
            else:
                yield jobs[0], functools.partial(_raise, error)
            return
        for job, run in zip(jobs, runs, strict=True):
            yield job, functools.partial(measure, run, job, data)

    jobs = sorted(jobs, key=lambda job: job.mark.outputs)
    for _, alike in itertools.groupby(jobs, key=lambda job: job.mark.outputs):
        alike = list(alike)
        for first in range(0, len(alike), FLEET):
            yield from train(alike[first : first + FLEET])


def _raise(error):
    raise error
