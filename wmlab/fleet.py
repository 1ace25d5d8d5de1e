"""Fleet: many networks with the same layers and number of outputs, trained together under jax.

One step moves every member: the step of one network, mapped over stacked weights. Member by member
it is what `training.train` does alone under jax: same initial weights, order of batches, dropout
and rate.
"""

import concurrent.futures
import dataclasses
import functools
import math
import random
import time

import keras
import numpy as np
from tqdm.auto import tqdm

from wmlab import machine, runtime
from wmlab.jax_process import on_jax
from wmlab.networks import check_takes, network, patched
from wmlab.training import CONVERGED, WATCHED, Recipe, Run

ROOM = 0.5  # share of the free memory that a fleet may plan with
STEPS = 10  # in one call: between two calls it can be stopped
WAYS, SPLIT = (
    2,
    16,
)  # on a CPU so many networks and more train in two halves: while one waits for memory the other multiplies


def embed(data, members, recipe, rates=None):
    """TrEmb for many: a Run for each member, in their order, with its record, as `Scheme.embed`
    makes one.

    members: list of (scheme, seed, secret), all with the same number of outputs. rates: a learning
    rate for each member; by default the recipe's. Runs in this process if keras runs on jax, else
    in a child process that hands back arrays. Raises ValueError for no members, different outputs,
    or what `Scheme.embed` refuses; RuntimeError if the child died.
    """
    outputs = sorted({mark.outputs for mark, _, _ in members})
    if len(outputs) != 1:
        raise ValueError(
            f"a fleet has networks with one number of outputs; these have {outputs or 'no members'}"
        )
    check_takes(network(recipe.network, *outputs), data)
    if not steps_alike(recipe):
        raise ValueError(
            f"a fleet trains by Adam on images as they are, in float32: train {recipe} one by one"
        )
    recipes = [
        dataclasses.replace(recipe, learning_rate=rate)
        for rate in rates or [recipe.learning_rate] * len(members)
    ]
    jobs = [
        (*outputs, how, seed, *mark._material(data, name))
        for (mark, seed, name), how in zip(members, recipes, strict=True)
    ]
    if recipe.until == "converged" and not all(job[3] for job in jobs):
        raise ValueError(
            "training to convergence watches the embedded keys, and a member has none: use until='steps'"
        )
    with tqdm(
        total=recipe.epochs,
        desc=f"fleet of {len(jobs)}",
        unit="epoch",
        mininterval=0,
        dynamic_ncols=True,
    ) as line:

        def tell(epochs, shown):
            line.set_postfix(shown, refresh=False)
            line.update(epochs - line.n)

        made = (
            _embed(data, jobs, tell)
            if keras.config.backend() == "jax"
            else on_jax(_embed, data, jobs, tell=tell)
        )
    runs = []
    for (mark, _, _), (_, how, seed, keys, fresh, _), (weights, history, where) in zip(
        members, jobs, made, strict=True
    ):
        model = network(how.network, *outputs)
        model.set_weights(weights)
        run = Run(model, keys, history, sum(epoch["seconds"] for epoch in history), **where)
        run.settings = mark.settings(data, how, seed)
        run.results = mark._results(data, run, fresh)
        runs.append(run)
    return runs


def steps_alike(recipe):
    """Whether a fleet can follow the recipe: Adam on images as they are, in float32."""
    plain = Recipe(recipe.network, recipe.epochs, recipe.batch)
    same = ("optimizer", "smoothing", "augmentation", "dtype")
    return recipe.schedule in ("constant", "cosine") and all(
        getattr(recipe, field) == getattr(plain, field) for field in same
    )


def _embed(data, jobs, tell):
    """Train the members in as many fleets as the memory asks for; [(weights, history, device and
    versions)]. A job is (outputs, recipe, seed, embedded keys, fresh keys, decoys): no scheme,
    since a notebook's own is unknown to a child.
    """
    fleet = _Fleet(data, jobs[0][1], jobs[0][0])
    fleet.ways = ways = WAYS if fleet.on_cpu and len(jobs) >= SPLIT else 1
    versions = runtime.versions()
    with concurrent.futures.ThreadPoolExecutor(ways) as pool:
        try:
            size = pool.submit(
                fleet.fits, jobs[: math.ceil(len(jobs) / ways)], ROOM / ways
            )  # compiles meanwhile
            states = [fleet.start(job) for job in jobs]
            parts = [
                slice(first, first + size.result()) for first in range(0, len(jobs), size.result())
            ]
            tells = [lambda *said: None] * (len(parts) - 1) + [tell]
            trained = list(
                pool.map(
                    fleet.train,
                    [jobs[part] for part in parts],
                    [states[part] for part in parts],
                    tells,
                )
            )
        finally:
            fleet.stopped = (
                True  # all are done, or one failed or was interrupted and the others have to end
            )
    return [
        (*member, {"device": f"{runtime.device()}, fleet of {len(members)}", "versions": versions})
        for members in trained
        for member in members
    ]


class _Fleet:
    """The step of one network, mapped over many. A state is (trained weights, other variables,
    optimizer's variables).
    """

    def __init__(self, data, recipe, outputs):
        import jax

        self.jax, self.data, self.recipe, self.outputs = jax, data, recipe, outputs
        self.on_cpu, model = jax.default_backend() == "cpu", network(recipe.network, outputs)
        self.model = patched(model) if self.on_cpu else model
        self.ways, self.stopped = 1, False
        self.optimizer = keras.optimizers.Adam(recipe.learning_rate)
        self.optimizer.build(self.model.trainable_variables)
        self.rate_at = next(
            i
            for i, variable in enumerate(self.optimizer.variables)
            if "learning_rate" in variable.path
        )
        learnt = {id(weight) for weight in self.model.weights}
        # what is not learnt counts the draws of dropout and mirroring
        self.draws = [
            i
            for i, variable in enumerate(self.model.non_trainable_variables)
            if id(variable) not in learnt
        ]
        self.step = jax.jit(self._steps, static_argnames="masked", donate_argnums=0)
        self.answer = jax.jit(jax.vmap(self._answer))
        self.answer_alike = jax.jit(jax.vmap(self._answer, in_axes=(0, 0, None)))

    def _step(self, state, table, chosen, rate, active, masked):
        """One network's step on the `chosen` rows of the table of images and labels, and its loss;
        masked: if it is active.
        """
        weights, others, memory = state
        images, labels = (values[chosen] for values in table)

        def loss(weights):
            logits, changed = self.model.stateless_call(weights, others, images, training=True)
            return keras.ops.mean(
                keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            ), changed

        (value, others), slope = self.jax.value_and_grad(loss, has_aux=True)(weights)
        memory = [rate if i == self.rate_at else variable for i, variable in enumerate(memory)]
        weights, memory = self.optimizer.stateless_apply(memory, slope, weights)
        moved, stays = ((weights, others, memory), value), (state, 0.0)
        return (
            self.jax.tree.map(lambda new, old: self.jax.numpy.where(active, new, old), moved, stays)
            if masked
            else moved
        )

    def _steps(self, states, table, chosen, rates, active, count, masked):
        """The first `count` of so many steps (steps, members, …) of every member, and its losses
        summed.
        """
        step = self.jax.vmap(
            functools.partial(self._step, masked=masked), in_axes=(0, None, 0, 0, 0)
        )

        def move(i, before):
            states, losses = step(before[0], table, chosen[i], rates[i], active[i])
            return states, before[1] + losses

        return self.jax.lax.fori_loop(
            0, count, move, (states, self.jax.numpy.zeros(rates.shape[1]))
        )

    def _answer(self, weights, others, images):
        return self.model.stateless_call(weights, others, images, training=False)[0].argmax(axis=-1)

    def fits(self, jobs, room):
        """How many members the free memory takes: by what the compiled step of all of them asks
        for, and their images.
        """
        steps = {
            (len(self.data.x_train) + sum(len(labels) for _, labels in _own(job)))
            // self.recipe.batch
            for job in jobs
        }
        n, like = len(jobs), self.jax.ShapeDtypeStruct
        states = tuple(
            [like((n, *v.shape), v.value.dtype) for v in variables]
            for variables in self._variables(self.model)
        )
        moves = (
            np.zeros((STEPS, n, self.recipe.batch), "i4"),
            np.zeros((STEPS, n), "f4"),
            np.zeros((STEPS, n), bool),
        )
        # what is compiled here is not compiled again if all of them fit
        plan = (
            self.step.lower(states, self._table(jobs), *moves, STEPS, masked=len(steps) > 1)
            .compile()
            .memory_analysis()
        )
        images = max(sum(keys.images.nbytes for keys in job[3:5] if keys) for job in jobs)
        each = (plan.temp_size_in_bytes + plan.output_size_in_bytes) / len(jobs) + 2 * images
        return max(
            1, min(n, int(room * machine.free_memory(self.jax.devices()[0].memory_stats()) / each))
        )

    def start(self, job):
        """The state of an untrained member, as its seed makes it alone, in arrays of numpy."""
        random.seed(
            job[2]
        )  # of keras' seeds; its own set_random_seed would import TensorFlow even on jax
        model = network(self.recipe.network, self.outputs)
        return tuple(
            [np.asarray(v.value) for v in variables] for variables in self._variables(model)
        )

    def _variables(self, model):
        return model.trainable_variables, model.non_trainable_variables, self.optimizer.variables

    def _table(self, jobs):
        """Images and labels of the data, and after them each member's own: its keys and decoys."""
        parts = [
            (self.data.x_train, self.data.y_train),
            *(part for job in jobs for part in _own(job)),
        ]
        images, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
        return self.jax.numpy.asarray(images), self.jax.numpy.asarray(labels, "int32")

    def _orders(self, jobs, epoch):
        """The rows of the table that each member goes through in this epoch, in its own order."""
        n, orders, before = len(self.data.x_train), [], 0
        for job in jobs:
            count = sum(len(labels) for _, labels in _own(job))
            order = np.random.default_rng([job[2], epoch]).permutation(n + count).astype(np.int32)
            orders.append(np.where(order < n, order, order + before))
            before += count
        return orders

    def train(self, jobs, states, tell):
        """Train these members together, from their states on; [(weights, history)]."""
        states = self.jax.tree.map(lambda *parts: self.jax.numpy.asarray(np.stack(parts)), *states)
        table, histories, running = self._table(jobs), [[] for _ in jobs], np.ones(len(jobs), bool)
        for epoch in range(self.recipe.epochs):
            started = time.perf_counter()
            states, losses = self._epoch(states, table, jobs, epoch, running)
            rates = self._watch(states, jobs)
            seconds = round((time.perf_counter() - started) / len(jobs) / self.ways, 3)
            for row in np.flatnonzero(running):
                histories[row].append(
                    {
                        "epoch": epoch + 1,
                        "loss": float(losses[row]),
                        **rates[row],
                        "seconds": seconds,
                    }
                )
            if self.recipe.until == "converged":
                running &= [
                    history[-1]["embedded_key_accuracy"] < CONVERGED for history in histories
                ]
            shown = {"clean": f"{np.mean([r['clean_accuracy'] for r in rates]):.3f}"}
            if any(job[4] for job in jobs):
                shown["key"] = f"{np.nanmean([r['fresh_key_accuracy'] for r in rates]):.3f}"
            tell(epoch + 1 if running.any() else self.recipe.epochs, shown)
            if not running.any():
                break
        states = self.jax.tree.map(
            np.asarray, states
        )  # jax would compile the taking of every row anew
        variables = self.model.trainable_variables + self.model.non_trainable_variables
        stacks = {
            id(variable): stack
            for variable, stack in zip(variables, [*states[0], *states[1]], strict=True)
        }
        return [
            ([stacks[id(weight)][row] for weight in self.model.weights], history)
            for row, history in enumerate(histories)
        ]

    def _epoch(self, states, table, jobs, epoch, running):
        """Whole batches of all members step by step, then the rest of each: members whose rest is
        as long step together.
        """
        batch, orders = self.recipe.batch, self._orders(jobs, epoch)
        weights, others, memory = states
        for i in self.draws:
            others[i] = others[i].at[:, 1].set(epoch << 20)
        states = weights, others, memory
        sizes = np.array([len(order) for order in orders])
        whole, rest = sizes // batch, sizes % batch
        active, summed = running & (np.arange(whole.max())[:, None] < whole), []
        chosen = np.stack([np.resize(order, (len(active), batch)) for order in orders], axis=1)
        rates = np.broadcast_to(
            self._rates(jobs, epoch, np.arange(len(active))[:, None], sizes), active.shape
        )
        for first in range(0, len(active), STEPS):
            if self.stopped:
                raise concurrent.futures.CancelledError
            states, losses = self._move(
                states, table, *(part[first : first + STEPS] for part in (chosen, rates, active))
            )
            summed.append(losses)
        total = np.zeros(len(jobs)) + sum(map(np.asarray, summed)) * batch
        for length in np.unique(rest[(rest > 0) & running]):
            rows = np.flatnonzero(rest == length)
            active = running[
                None, rows
            ]  # as many rows whoever still runs: another number would be compiled anew
            chosen, rates = (
                np.stack([orders[row][-length:] for row in rows]),
                self._rates(jobs, epoch, whole, sizes)[rows],
            )
            some = self.jax.tree.map(lambda stack, rows=rows: stack[rows], states)
            moved, losses = self._move(some, table, chosen[None], rates[None], active)
            states = self.jax.tree.map(
                lambda stack, new, rows=rows: stack.at[rows].set(new), states, moved
            )
            total[rows] += np.asarray(losses) * length
        return states, total / sizes

    def _move(self, states, table, chosen, rates, active):
        """Some steps (steps, members, …), padded to STEPS, since another number would be compiled
        anew; their losses summed.
        """
        moves = (np.resize(part, (STEPS, *part.shape[1:])) for part in (chosen, rates, active))
        return self.step(states, table, *moves, len(rates), masked=not active.all())

    def _rates(self, jobs, epoch, i, sizes):
        """Learning rate of each member at step i of an epoch: as keras' CosineDecay, or constant."""
        rates = np.array([job[1].learning_rate for job in jobs])
        if self.recipe.schedule == "cosine":
            rates = (
                rates
                * 0.5
                * (
                    1
                    + np.cos(
                        np.pi * (epoch + i / -(-sizes // self.recipe.batch)) / self.recipe.epochs
                    )
                )
            )
        return rates.astype(np.float32)

    def _watch(self, states, jobs):
        """What `training.train` watches after each epoch, of every member."""
        shares = {
            "clean_accuracy": (
                self._labels(states, self.data.x_test[:WATCHED]) == self.data.y_test[:WATCHED]
            ).mean(axis=1)
        }
        for name, at in (("fresh_key_accuracy", 4), ("embedded_key_accuracy", 3)):
            keys = [job[at].images[:WATCHED] if job[at] else self.data.x_test[:0] for job in jobs]
            longest = max(map(len, keys))
            padded = np.stack(
                [
                    np.concatenate([k, np.zeros((longest - len(k), *k.shape[1:]), np.float32)])
                    for k in keys
                ]
            )
            labels = self._labels(states, padded) if longest else np.empty((len(jobs), 0))
            shares[name] = [
                float(np.mean(row[: len(k)] == job[at].labels[: len(k)])) if len(k) else math.nan
                for row, k, job in zip(labels, keys, jobs, strict=True)
            ]
        return [
            {name: float(share[row]) for name, share in shares.items()} for row in range(len(jobs))
        ]

    def _labels(self, states, images, batch=500):
        """Answers of every member (members, n), to the same images (n, …) or to its own (members,
        n, …).
        """
        own = images.ndim - self.data.x_test.ndim
        parts = np.split(images, range(batch, images.shape[own], batch), axis=own)
        answer = self.answer if own else self.answer_alike
        return np.concatenate(
            [np.asarray(answer(states[0], states[1], part)) for part in parts], axis=1
        )


def _own(job):
    """A member's own images and labels: [(images, labels)] of its keys and of its decoys."""
    return ([(job[3].images, job[3].labels)] if job[3] else []) + ([job[5]] if job[5] else [])
