"""Sweeps: many recorded runs of one experiment, resumable; `python -m wmlab sweep` is the only way
to results.
"""

import functools
import itertools
import logging
import time

import keras

from wmlab import machine
from wmlab.battery import attacked, trials
from wmlab.datasets import SAMPLE, DataError, load
from wmlab.networks import check_takes, network
from wmlab.schemes import SCHEMES, NewLabel, Unmarked, scheme
from wmlab.schemes.innocents import INNOCENTS, public_keys
from wmlab.tools import dask_workers
from wmlab.tools.run_folder import Job, disk_is_full, shared
from wmlab.training import WATCHED, predict, recipe

log = logging.getLogger(__name__)

FLEET = 50  # networks trained at once: a killed sweep loses no more, and another one finds the rest
# runs that wait at the workers for the next to be free; those beyond are left for other sweeps to
# take
SPARE = 2
PATIENCE = 1  # seconds between two looks at the runs that other sweeps hold
UNMARKED = {"none": Unmarked, **INNOCENTS}
TRIED = 40  # batches that the estimate of the time is made from


class RunsFailed(RuntimeError):
    """Some runs of a sweep failed; the others are on file."""


def plan(schemes, alphas, betas, runs, classes=10, **settings):
    """The runs of a sweep, as (scheme, seed): every scheme at every (α, β), `runs` seeds each,
    seeds first.

    schemes: short names; "none" and the INNOCENTS, which bear no mark, are planned once a seed,
    whatever α and β. "new-any" is the new label with carriers of every class. settings: further
    fields of the schemes. Raises ValueError for an unknown scheme or no run at all.
    """

    def make(name, alpha, beta):
        if name in UNMARKED:
            return UNMARKED[name](classes)
        if name == "new-any":
            return NewLabel(alpha, beta, classes=classes, target=None, **settings)
        return scheme(name, alpha=alpha, beta=beta, classes=classes, **settings)

    unknown = set(schemes) - {*SCHEMES, *UNMARKED, "new-any"}
    if unknown or not schemes or runs < 1:
        raise ValueError(
            f"a sweep takes schemes of {', '.join([*SCHEMES, 'new-any', *INNOCENTS])} and at least one run; "
            f"this one has {', '.join(schemes) or 'none'} and {runs} runs"
        )
    marks = dict.fromkeys(
        make(name, alpha, beta) for name, alpha, beta in itertools.product(schemes, alphas, betas)
    )
    return [(mark, seed) for seed in range(runs) for mark in marks]


def sweep(
    experiment,
    dataset,
    marks,
    out,
    scale="paper",
    alpha=0.01,
    beta=0.0035,
    follow=None,
    scheduler=None,
    answers=False,
    attacks=(),
    **changes,
):
    """Run what `plan` planned and record each run when done; runs on file are left as they are.

    They run at the workers of a Dask `scheduler` if its address is given, as fleets on a GPU, in
    processes on a CPU with the cores for it, else here, one after the other, where a run that was
    interrupted goes on from its last epoch. alpha, beta: the keys an unmarked model is asked with,
    since it has none of its own. follow: function from a scheme's name to its `on_epoch`; with it
    they run here. answers: record what each run answers to the public keys, too. attacks: names of
    `battery.GROUPS`, to attack each run and record what is left of it. changes: fields of the
    recipe. Returns the paths written. Raises ValueError for settings that no run can have,
    DataError rather than call the small sample "paper" scale, RuntimeError for a scheduler that
    does not answer, OSError on a full disk, and RunsFailed once all others are done.
    """
    data = load(dataset, scale)
    if scale == "paper" and SAMPLE in data.source:
        raise DataError(
            f"A sweep at paper scale needs all of {dataset}: put {dataset}.npz in a folder and set WMLAB_DATA to it."
        )
    how = recipe(dataset, scale, **changes)
    check_takes(network(how.network, data.classes), data)
    if any(mark.classes != data.classes for mark, _ in marks):
        raise ValueError(
            f"{dataset} has {data.classes} classes: plan the runs with classes={data.classes}"
        )
    trials(attacks)  # before anything is trained
    measure = functools.partial(
        measured,
        judge=NewLabel(alpha, beta, classes=data.classes),
        answers=answers,
        attacks=attacks,
    )
    jobs = [
        Job(mark, seed, mark.settings(data, how, seed) | {"experiment": experiment})
        for mark, seed in marks
    ]
    with shared(out, jobs) as folder:
        place = "here" if follow else "workers" if scheduler else _place(data, how)
        if not folder.todo:
            log.info("%s: all %d runs are on file", experiment, len(folder.jobs))
        elif place == "fleets":
            _fleets(folder, data, how, measure)
        elif place == "workers":
            _at_workers(folder, data, how, measure, scale, scheduler)
        else:
            _here(folder, data, how, measure, follow)
    if folder.failures:
        raise RunsFailed(
            f"{len(folder.failures)} of {len(folder.todo)} runs failed, the first because of {folder.failures[0]}. "
            f"{out}/*.failed say more; the same command tries them again."
        )
    return folder.written


def measured(run, job, data, judge, answers=False, attacks=()):
    """The record of a trained run, with what Ver says of it and how many images under mere noise it
    still gets right.

    judge: the scheme whose keys question a model that has none of its own. answers: ask the judge's
    public keys, too.
    attacks: groups of `battery`, launched at the run.
    """
    record = run.record | {"experiment": job.about["experiment"]}
    if answers:
        record["answers"] = (
            f"{judge.beta}: {' '.join(map(str, predict(run.model, public_keys(judge, data).images)))}"
        )
    judge = judge if isinstance(job.mark, Unmarked) else job.mark
    if attacks:
        record["attacks"] = attacked(run.model, judge, data, job.secret, job.seed, attacks)
    verdict = judge.verify(run.model, data.x_test, data.y_test, job.secret)
    return record | {
        "decision": verdict.decision,
        "queries": verdict.queries,
        "noisy_accuracy": judge.noisy_accuracy(run.model, data),
    }


def _place(data, how):
    """Where to train: in "fleets", at "workers", which are processes of this machine, or "here", in
    this process.
    """
    if machine.is_installed("jax") and (
        how.network == "dense" or machine.gpu("jax")
    ):  # a fleet runs on jax
        from wmlab import fleet

        if fleet.steps_alike(how):
            return "fleets"
    return (
        "workers"
        if dask_workers.processes(data) > 1 and not machine.gpu(keras.config.backend())
        else "here"
    )


def _here(folder, data, how, measure, follow):
    """One after the other."""
    _announce(folder, "one after the other", lambda: _pace(data, how))
    for job in folder.claims():
        if job is None:
            time.sleep(PATIENCE)
            continue
        with folder.attempt(job):
            on_epoch = follow and follow(job.mark.name)
            folder.write(
                _train(data, job, how, measure, backup=folder.backup(job), on_epoch=on_epoch)
            )


def _fleets(folder, data, how, measure):
    """Together, as many as have the same number of outputs."""
    from wmlab import fleet

    def train(jobs):
        try:
            runs = fleet.embed(data, [(job.mark, job.seed, job.secret) for job in jobs], how)
        except Exception as error:
            if len(jobs) > 1 and not disk_is_full(
                error
            ):  # one of them is at fault, or they are too many: halves will tell
                train(jobs[: len(jobs) // 2])
                train(jobs[len(jobs) // 2 :])
            else:
                with folder.attempt(jobs[0]):
                    raise
            return
        for job, run in zip(jobs, runs, strict=True):
            with folder.attempt(job):
                folder.write(measure(run, job, data))

    _announce(folder, "in fleets")
    folder.todo.sort(key=lambda job: job.mark.outputs)
    jobs = []
    for job in folder.claims():
        if jobs and (job is None or len(jobs) == FLEET or job.mark.outputs != jobs[0].mark.outputs):
            train(jobs)
            jobs = []
        elif job is None:
            time.sleep(PATIENCE)
        if job:
            jobs.append(job)


def _at_workers(folder, data, how, measure, scale, scheduler):
    """At Dask workers, one at a time each."""
    with dask_workers.hired(
        scheduler, min(dask_workers.processes(data), len(folder.todo))
    ) as client:
        flying, landed = {}, dask_workers.distributed().as_completed(loop=client.loop)
        send = functools.partial(dask_workers.submit, client, keras.config.backend(), data, scale)

        def land():
            future = next(landed)
            with folder.attempt(flying.pop(future)):
                folder.write(future.result())

        workers = len(client.nthreads())
        _announce(
            folder,
            f"by the {workers} workers of {scheduler}" if scheduler else f"in {workers} processes",
            lambda: send(functools.partial(_pace, how=how), priority=1).result(),
            workers,
        )
        try:
            for job in folder.claims():
                if job is None and not flying:
                    time.sleep(PATIENCE)
                while flying and (job is None or len(flying) >= len(client.nthreads()) + SPARE):
                    land()
                if job:
                    future = send(functools.partial(_train, job=job, how=how, measure=measure))
                    flying[future] = job
                    landed.add(future)
        finally:
            client.cancel(list(flying))


def _train(data, job, how, measure, **options):
    return measure(job.mark.embed(data, job.secret, how, seed=job.seed, **options), job, data)


def _pace(data, how):
    """Seconds that it takes to build a network, to train it on one image and to have it label one;
    of a few batches.
    """
    moments = [time.perf_counter()]
    model = network(how.network, data.classes)
    model.compile(
        keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    images, labels = (values[: TRIED * how.batch] for values in (data.x_train, data.y_train))
    for work in [
        lambda: model.fit(images, labels, how.batch, verbose=0),
        lambda: predict(model, images),
    ]:
        for _ in range(2):  # the first time it is built
            work()
            moments.append(time.perf_counter())
    first, train, _, label = (later - earlier for earlier, later in itertools.pairwise(moments))
    return max(0, first - train), train / len(images), label / len(images)


def _announce(folder, where, pace=None, workers=1):
    """Log what there is to do and, with a function that measures the pace, how long it will take."""
    if not log.isEnabledFor(logging.INFO):
        return  # nobody waits for an estimate
    needed, runs = "", [job.about for job in folder.todo]
    if pace:
        try:
            build, train, label = pace()
            seconds = sum(
                build
                + run["epochs"] * (run["n_train"] * (1 + run["alpha"]) + run["decoys"]) * train
                + (run["epochs"] * 3 * min(WATCHED, run["n_test"]) + 4 * run["n_test"]) * label
                for run in runs
            )
            needed = f", about {_words(seconds / workers)}"
        except Exception as error:  # the runs will tell what is wrong, and record it
            needed = f", for a time that could not be measured ({type(error).__name__})"
    log.info(
        "%s: %d runs, %d of them on file; %d to do %s%s",
        runs[0]["experiment"],
        len(folder.jobs),
        len(folder.jobs) - len(runs),
        len(runs),
        where,
        needed,
    )


def _words(seconds):
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds > 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
