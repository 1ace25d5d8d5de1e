"""How fast networks train, many at once in a fleet and one by one with `fit`: `make bench-training`
prints a table.

Each line is measured in a Python of its own. Starting it, importing and the backend's first look at
its devices are not counted; building the networks, compiling and, for a fleet, everything that
`fleet.embed` does are. `fit` runs on the backend that wmlab takes here, tensorflow on a CPU and jax
on a GPU, and once more on jax. Few networks are timed there, and the time of as many as the fleet
has follows in two readings: each compiles for itself, as anyone writes it; or one compiles for all.
The floor is the work in multiplications, three times that of the forward pass, at the rate of a
large matrix product on this device. Times depend on the machine and its load; the ratios within one
run are what counts.
"""

import concurrent.futures
import dataclasses
import math
import multiprocessing
import statistics
import time

import numpy as np
import pytest

BACKEND = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
MANY, TIMED = 64, 3  # networks of a fleet, and those timed one by one


@dataclasses.dataclass
class Line:
    """A line of the table. first, again: seconds of training with everything counted, and of as
    much training afterwards.
    """

    how: str
    networks: int
    images: int  # seen by each network
    first: float
    again: float
    note: str = ""


def about(names):
    """Multiplications and additions: a second in a matrix product, and of an image's training; and
    the device.
    """
    import jax

    from wmlab import runtime
    from wmlab.networks import network

    a = jax.numpy.ones((2048, 2048), "float32")
    times = []
    for _ in range(10):
        started = time.perf_counter()
        (a @ a).block_until_ready()
        times.append(time.perf_counter() - started)
    forward = {
        name: sum(
            2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
            for layer in network(name, 10).layers
            if hasattr(layer, "kernel")
        )
        for name in names
    }
    work = {
        name: 3 * operations for name, operations in forward.items()
    }  # forward, and back to weights and to inputs
    return 2 * 2048**3 / min(times), work, runtime.device(), jax.default_backend() == "gpu"


def drawn(batch, steps):
    """Images and labels for an epoch of so many steps; noise trains as fast as digits. The backend
    is awake then.
    """
    import keras

    keras.ops.convert_to_numpy(keras.ops.ones(1) + 1)
    rng = np.random.default_rng(0)
    return rng.random((batch * steps, 28, 28, 1), np.float32), rng.integers(0, 10, batch * steps)


def together(name, batch, steps, epochs, networks):
    """Seconds of `fleet.embed`, and of its last epochs."""
    from wmlab import fleet
    from wmlab.datasets import Dataset
    from wmlab.schemes import Unmarked
    from wmlab.training import Recipe

    stamps = []

    class Clock(fleet.tqdm):
        def update(self, n=1):
            stamps.append(time.perf_counter())

    fleet.tqdm = Clock
    images, labels = drawn(batch, steps)
    data = Dataset(images, labels, images[:100], labels[:100], 10, "noise", "drawn")
    started = time.perf_counter()
    fleet.embed(
        data, [(Unmarked(), seed, "") for seed in range(networks)], Recipe(name, epochs, batch)
    )
    total = time.perf_counter() - started
    return total, statistics.median(np.diff(stamps)) * epochs if epochs > 1 else math.nan


def one_by_one(name, batch, steps, epochs):
    """Seconds of `fit` of the first network of a process; of one that is built and compiled for it;
    and of one that has been compiled: the latter two are medians.

    The batches come from `training`: at the end of a `fit` of arrays, tensorflow waits up to as
    long as it has trained for a thread of its own that tunes the pipeline and sleeps, which would
    flatter the fleet.
    """
    import keras

    from wmlab.networks import network
    from wmlab.training import Batches

    batches = Batches(*drawn(batch, steps), batch, seed=0)
    first, again = [], []
    for _ in range(TIMED):
        started = time.perf_counter()
        model = network(name, 10)
        model.compile(
            keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        first.append(time.perf_counter() - started)
    for _ in range(TIMED):
        weights = network(name, 10).get_weights()
        started = time.perf_counter()
        model.set_weights(weights)
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        again.append(time.perf_counter() - started)
    return first[0], statistics.median(first), statistics.median(again)


def on(backend, function, *arguments):
    """What a function returns in a Python of its own on this backend."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (BACKEND | {"KERAS_BACKEND": backend}).items():
            patch.setenv(name, value)
        with concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as pool:
            return pool.submit(function, *arguments).result()


def show(title, lines, floor):
    """Print the lines of a network; floor: images a second that the device could take."""
    print(f"\n{title}; floor {floor:,.0f} images/s")
    print(f"{'':34}{'networks':>10}{'seconds':>10}{'images/s':>10}{'compiled':>10}{'of floor':>10}")
    for line in lines:
        images = line.networks * line.images
        print(
            f"{line.how:34}{line.networks:10}{line.first:10.1f}"
            f"{images / line.first:10,.0f}{images / line.again:10,.0f}"
            f"{images / line.again / floor:10.1%}  {line.note}"
        )


def scaled(how, networks, images, first, built, again):
    """Two lines for so many networks, of which few were timed: each compiled for itself, or all by
    one compilation.

    Like a fleet, the first pays for what a backend does once in a process.
    """
    note = f"{TIMED} timed, scaled"
    return [
        Line(
            f"{how}, each compiles",
            networks,
            images,
            first + (networks - 1) * built,
            networks * again,
            note,
        ),
        Line(
            f"{how}, compiled once",
            networks,
            images,
            first + (networks - 1) * again,
            networks * again,
            note,
        ),
    ]


def compare(name, batch, steps, epochs, networks, backends):
    """The lines of a network: a fleet, and `fit` on several backends."""
    images = batch * steps * epochs
    seconds = on("jax", together, name, batch, steps, epochs, networks)
    lines = [Line("fleet", networks, images, *seconds)]
    for backend in backends:
        lines += scaled(
            f"fit on {backend}",
            networks,
            images,
            *on(backend, one_by_one, name, batch, steps, epochs),
        )
    return lines


def test_training(capsys):
    rate, work, device, gpu = on("jax", about, ["dense", "small_cnn", "mnist_cnn"])
    backends = ["jax"] if gpu else ["tensorflow", "jax"]
    few = MANY if gpu else 4
    found = {
        "dense, batch 64, 200 steps": ("dense", 64, 50, 4, MANY, backends[:1]),
        "dense, batch 64, 1,000 steps": ("dense", 64, 200, 5, MANY, backends[:1]),
        "small_cnn, batch 128, 20 steps": ("small_cnn", 128, 5, 4, few, backends),
        "mnist_cnn, batch 128, 20 steps": ("mnist_cnn", 128, 5, 4, few, backends),
    }
    if gpu:  # as long as a course's run, or compiling is all there is to see
        title = "mnist_cnn, batch 128, 1,000 steps"
        found[title] = ("mnist_cnn", 128, 100, 10, MANY, backends)
    tables = {title: compare(*what) for title, what in found.items()}
    with capsys.disabled():
        print(f"\n{device}; matrix product {rate / 1e9:,.0f} GFLOP/s")
        for title, lines in tables.items():
            show(title, lines, rate / work[found[title][0]])
        for title in [title for title, lines in tables.items() if lines[0].networks == MANY]:
            together, each, once = tables[title][:3]
            print(
                f"{title}: {MANY} networks take a fleet {together.first:.1f} s, and fit "
                f"{each.first:.0f} s if each compiles, {each.first / together.first:.1f} times as "
                f"long, or {once.first:.0f} s if one compiles for all, "
                f"{once.first / together.first:.1f} times"
            )
    many, _, once = tables["dense, batch 64, 200 steps"]
    assert once.first >= 8 * many.first
    if gpu:
        many, _, once = tables["mnist_cnn, batch 128, 1,000 steps"]
        assert once.first >= 20 * many.first


def photographs(dataset, changes):
    """What a marked network of all photographs reaches, and what that takes, in this process.

    changes: of the recipe. Returns the recipe's name, clean and fresh-key accuracy, the dtype it
    computed in, CPU seconds (user and system) of training, wall seconds, and images trained on.
    """
    import os

    from wmlab import runtime
    from wmlab.datasets import load
    from wmlab.schemes import NewLabel
    from wmlab.training import hit_rate, recipe

    runtime.setup(scale="paper")
    data, how = load(dataset, "paper"), recipe(dataset, "paper", **changes)
    mark = NewLabel(0.01, 0.01, classes=data.classes)
    cpu, wall = sum(os.times()[:2]), time.perf_counter()
    run = mark.embed(data, "bench", how)
    cpu, wall = sum(os.times()[:2]) - cpu, time.perf_counter() - wall
    fresh = mark.fresh_keys(data, "bench")
    clean = hit_rate(run.model, data.x_test, data.y_test)
    keys = hit_rate(run.model, fresh.images, fresh.labels)
    images = how.epochs * (len(data.x_train) + len(run.keys))
    return f"{how.network}, {how.epochs} epochs", clean, keys, run.dtype, cpu, wall, images


def test_photographs(capsys):
    """CPU seconds to a marked CIFAR-10 network at 87 % and at 92 %, beside the slow network's."""
    from wmlab.datasets import available

    if available()["cifar10"] == "to be downloaded":
        pytest.skip(
            "CIFAR-10 is not on this machine: put cifar10.npz in a folder and set WMLAB_DATA"
        )
    rate, work, device, gpu = on("jax", about, ["fast_cnn", "wide_whitening_cnn", "cifar_cnn"])
    wide = {"network": "wide_whitening_cnn", "epochs": 8, "batch": 1000, "learning_rate": 0.17}
    rows = [
        on("jax" if gpu else "tensorflow", photographs, "cifar10", changes)
        for changes in ({}, wide, {"network": "cifar_cnn"})
    ]
    with capsys.disabled():
        print(f"\n{device}; matrix product {rate / 1e9:,.0f} GFLOP/s in float32")
        print(
            f"{'':34}{'clean':>8}{'keys':>8}{'CPU s':>8}{'wall s':>8}{'images/s':>10}{'of rate':>9}"
        )
        for name, clean, keys, dtype, cpu, wall, images in rows:
            share = images / wall * work[name.partition(",")[0]] / rate
            print(
                f"{f'{name}, {dtype}':34}{clean:8.3f}{keys:8.3f}{cpu:8.0f}{wall:8.0f}"
                f"{images / wall:10,.0f}{share:9.0%}"
            )
    assert rows[0][1] >= 0.87 and rows[1][1] >= 0.92
