"""Fleets: many networks with the same layers and number of outputs, trained together under jax.

One step moves every member: it is the step of one network, mapped over stacked weights. A member
becomes what `training.train` makes of it alone under jax, to 1e-4, with the same initial weights,
order of batches, dropout and learning rate.
"""

import dataclasses
import functools
import math
import random
import time

import keras
import numpy as np
from tqdm.auto import tqdm

from wmlab import runtime
from wmlab.files import PROGRESS
from wmlab.jax_process import on_jax
from wmlab.networks import check_takes, network
from wmlab.training import CONVERGED, WATCHED, Recipe, Run

STEPS = 10  # steps in one call of jax; a fleet can be stopped between two calls


def embed(data, members, recipe, rates=None):
    """TrEmb for many networks at once; a list of Runs as `Scheme.embed` makes them, in the order of
    the members.

    It runs in this process if keras runs on jax here, else in a child process.

    Args:
        data: a Dataset.
        members: list of (scheme, seed, secret), all with the same number of outputs. Memory must
            hold all of them: sweeps train at most 50 at once.
        recipe: a Recipe that `steps_alike`.
        rates: a learning rate for each member; by default the recipe's.

    Raises:
        ValueError: no members, different numbers of outputs, another recipe, or what `Scheme.embed`
            refuses.
        RuntimeError: the child process failed or died.
    """
    jobs = _jobs(data, members, recipe, rates)
    bar = tqdm(
        total=recipe.epochs,
        desc=f"fleet of {len(jobs)}",
        unit="epoch",
        mininterval=0,
        dynamic_ncols=True,
        file=PROGRESS,
    )
    with bar:

        def tell(epochs, shown):
            bar.set_postfix(shown, refresh=False)
            bar.update(epochs - bar.n)

        if keras.config.backend() == "jax":
            trained = _embed(data, jobs, tell)
        else:
            trained = on_jax(_embed, data, jobs, tell=tell)
    runs, (made, where) = [], trained
    for (mark, seed, _), job, (weights, history) in zip(members, jobs, made, strict=True):
        model = network(recipe.network, job.outputs)
        model.set_weights(weights)
        seconds = sum(epoch["seconds"] for epoch in history)
        run = Run(model, job.embedded, history, seconds, **where)
        run.settings = mark.settings(data, job.recipe, seed)
        run.results = mark._results(data, run, job.fresh)
        runs.append(run)
    return runs


def steps_alike(recipe):
    """Whether a fleet can follow the recipe: Adam on images as they are, in float32."""
    plain = Recipe(recipe.network, recipe.epochs, recipe.batch)
    same = ("optimizer", "smoothing", "augmentation", "dtype")
    return recipe.schedule in ("constant", "cosine") and all(
        getattr(recipe, field) == getattr(plain, field) for field in same
    )


@dataclasses.dataclass(frozen=True)
class _Job:
    """What one member is trained on. It has no scheme: the child process could not find the class
    of a notebook's own scheme.
    """

    outputs: int
    recipe: Recipe
    seed: int
    embedded: object  # a KeySet or None
    fresh: object  # a KeySet or None
    decoys: object  # (images, labels) or None

    @property
    def extra(self):
        """Images and labels beside those of the data: [(images, labels)] of keys and decoys."""
        keys = [(self.embedded.images, self.embedded.labels)] if self.embedded else []
        return keys + ([self.decoys] if self.decoys else [])


def _jobs(data, members, recipe, rates):
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
    jobs = []
    for (mark, seed, secret), rate in zip(
        members, rates or [recipe.learning_rate] * len(members), strict=True
    ):
        how = dataclasses.replace(recipe, learning_rate=rate)
        jobs.append(_Job(*outputs, how, seed, *mark._material(data, secret)))
    if recipe.until == "converged" and not all(job.embedded for job in jobs):
        raise ValueError(
            "training to convergence watches the embedded keys, and a member has none: use "
            "until='steps'"
        )
    return jobs


def _embed(data, jobs, tell):
    """Train all members: ([(weights, history)], their device and versions as a Run has them)."""
    runtime.plain_keras()  # here may be a child process, which read keras.json too
    device = f"{runtime.device()}, fleet of {len(jobs)}"
    made = _Fleet(data, jobs).train(tell)
    return made, {"device": device, "versions": runtime.versions()}


class _Fleet:
    """The step of one network, mapped over many. A state is (trained weights, other variables,
    optimizer's variables), each a list.
    """

    def __init__(self, data, jobs):
        import jax

        self.jax, self.data, self.jobs, self.recipe = jax, data, jobs, jobs[0].recipe
        self.model = network(self.recipe.network, jobs[0].outputs)
        self.optimizer = keras.optimizers.Adam(self.recipe.learning_rate)
        self.optimizer.build(self.model.trainable_variables)
        paths = [variable.path for variable in self.optimizer.variables]
        self.rate_at = next(i for i, path in enumerate(paths) if "learning_rate" in path)
        # Variables that are no weights count the draws of dropout and mirroring.
        weights = {id(weight) for weight in self.model.weights}
        others = self.model.non_trainable_variables
        self.draws = [i for i, variable in enumerate(others) if id(variable) not in weights]
        self.step = jax.jit(self._steps, static_argnames="masked", donate_argnums=0)
        self.answer = jax.jit(jax.vmap(self._answer))
        self.answer_alike = jax.jit(jax.vmap(self._answer, in_axes=(0, 0, None)))
        self.table = self._table()

    def _table(self):
        """Images and labels of the data, then those that each member has beside them."""
        parts = [(self.data.x_train, self.data.y_train)]
        for job in self.jobs:
            parts += job.extra
        images, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
        return self.jax.numpy.asarray(images), self.jax.numpy.asarray(labels, "int32")

    def _step(self, state, table, chosen, rate, active, masked):
        """One network's step on the `chosen` rows of the table, and its loss. If masked, a network
        that is not active stays as it is.
        """
        weights, others, memory = state
        images, labels = (values[chosen] for values in table)

        def loss(weights):
            logits, changed = self.model.stateless_call(weights, others, images, training=True)
            each = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            return keras.ops.mean(each), changed

        (value, others), slope = self.jax.value_and_grad(loss, has_aux=True)(weights)
        memory = [rate if i == self.rate_at else variable for i, variable in enumerate(memory)]
        weights, memory = self.optimizer.stateless_apply(memory, slope, weights)
        moved = (weights, others, memory), value
        if not masked:
            return moved
        choose = functools.partial(self.jax.numpy.where, active)
        return self.jax.tree.map(choose, moved, (state, 0.0))

    def _steps(self, states, table, chosen, rates, active, count, masked):
        """The first `count` of so many steps (steps, members, …) of every member; the states, and
        the losses summed.
        """
        step = functools.partial(self._step, masked=masked)
        step = self.jax.vmap(step, in_axes=(0, None, 0, 0, 0))

        def move(i, before):
            states, losses = step(before[0], table, chosen[i], rates[i], active[i])
            return states, before[1] + losses

        start = states, self.jax.numpy.zeros(rates.shape[1])
        return self.jax.lax.fori_loop(0, count, move, start)

    def _answer(self, weights, others, images):
        return self.model.stateless_call(weights, others, images, training=False)[0].argmax(axis=-1)

    def _start(self):
        """The states of all untrained members, each as its seed makes it alone."""
        states = []
        for job in self.jobs:
            random.seed(job.seed)  # keras' set_random_seed would import TensorFlow even on jax
            model = network(self.recipe.network, job.outputs)
            parts = (
                model.trainable_variables,
                model.non_trainable_variables,
                self.optimizer.variables,
            )
            states.append(tuple([np.asarray(v.value) for v in part] for part in parts))
        return self.jax.tree.map(lambda *all: self.jax.numpy.asarray(np.stack(all)), *states)

    def _orders(self, epoch):
        """The rows of the table that each member goes through in this epoch, in its own order."""
        n, orders, before = len(self.data.x_train), [], 0
        for job in self.jobs:
            count = sum(len(labels) for _, labels in job.extra)
            order = np.random.default_rng([job.seed, epoch]).permutation(n + count)
            order = order.astype(np.int32)
            orders.append(np.where(order < n, order, order + before))
            before += count
        return orders

    def train(self, tell):
        """Train all members; [(weights, history)]."""
        states, running = self._start(), np.ones(len(self.jobs), bool)
        histories = [[] for _ in self.jobs]
        for epoch in range(self.recipe.epochs):
            started = time.perf_counter()
            states, losses = self._epoch(states, epoch, running)
            watched = self._watch(states)
            seconds = round((time.perf_counter() - started) / len(self.jobs), 3)
            for row in np.flatnonzero(running):
                first = {"epoch": epoch + 1, "loss": float(losses[row])}
                histories[row].append({**first, **watched[row], "seconds": seconds})
            if self.recipe.until == "converged":
                last = [history[-1]["embedded_key_accuracy"] for history in histories]
                running &= np.array(last) < CONVERGED
            tell(epoch + 1 if running.any() else self.recipe.epochs, self._shown(watched))
            if not running.any():
                break
        # in numpy, since jax would compile anew for every row that is taken
        learnt, others, _ = self.jax.tree.map(np.asarray, states)
        variables = self.model.trainable_variables + self.model.non_trainable_variables
        stacks = {id(v): stack for v, stack in zip(variables, [*learnt, *others], strict=True)}
        stacks = [stacks[id(weight)] for weight in self.model.weights]
        return [([stack[row] for stack in stacks], told) for row, told in enumerate(histories)]

    def _epoch(self, states, epoch, running):
        """One epoch of all members: (states, mean losses). Whole batches step by step, then the
        rest of each: members with as long a rest step together.
        """
        batch, orders = self.recipe.batch, self._orders(epoch)
        weights, others, memory = states
        for i in self.draws:
            others[i] = others[i].at[:, 1].set(epoch << 20)
        states = weights, others, memory
        sizes = np.array([len(order) for order in orders])
        whole, rest = sizes // batch, sizes % batch
        active = running & (np.arange(whole.max())[:, None] < whole)
        chosen = np.stack([np.resize(order, (len(active), batch)) for order in orders], axis=1)
        rates = self._rates(epoch, np.arange(len(active))[:, None], sizes)
        summed = []
        for first in range(0, len(active), STEPS):
            part = slice(first, first + STEPS)
            states, losses = self._move(states, chosen[part], rates[part], active[part])
            summed.append(losses)
        total = np.zeros(len(self.jobs)) + sum(map(np.asarray, summed)) * batch
        for length in np.unique(rest[(rest > 0) & running]):
            # whether they run or not, since another number of rows would be compiled anew
            rows = np.flatnonzero(rest == length)
            chosen = np.stack([orders[row][-length:] for row in rows])[None]
            rates = self._rates(epoch, whole, sizes)[:, rows]
            some = self.jax.tree.map(lambda stack, rows=rows: stack[rows], states)
            moved, losses = self._move(some, chosen, rates, running[None, rows])
            states = self.jax.tree.map(
                lambda stack, new, rows=rows: stack.at[rows].set(new), states, moved
            )
            total[rows] += np.asarray(losses) * length
        return states, total / sizes

    def _move(self, states, chosen, rates, active):
        """Some steps (steps, members, …), padded to STEPS, since another number would be compiled
        anew; the states, and the losses summed.
        """
        moves = (np.resize(part, (STEPS, *part.shape[1:])) for part in (chosen, rates, active))
        return self.step(states, self.table, *moves, len(rates), masked=not active.all())

    def _rates(self, epoch, i, sizes):
        """Learning rates of all members at steps i of an epoch, float32 (steps, members): constant,
        or as keras' CosineDecay.
        """
        rates = np.array([job.recipe.learning_rate for job in self.jobs])
        if self.recipe.schedule == "cosine":
            done = (epoch + i / -(-sizes // self.recipe.batch)) / self.recipe.epochs
            rates = rates * 0.5 * (1 + np.cos(np.pi * done))
        steps = np.broadcast_shapes(np.shape(i), (1, len(sizes)))
        return np.broadcast_to(rates.astype(np.float32), steps)

    def _watch(self, states):
        """What `training.train` watches after each epoch, a dict for every member."""
        right = self._labels(states, self.data.x_test[:WATCHED]) == self.data.y_test[:WATCHED]
        watched = {
            "clean_accuracy": right.mean(axis=1).tolist(),
            "fresh_key_accuracy": self._hits(states, [job.fresh for job in self.jobs]),
            "embedded_key_accuracy": self._hits(states, [job.embedded for job in self.jobs]),
        }
        return [dict(zip(watched, row, strict=True)) for row in zip(*watched.values(), strict=True)]

    def _hits(self, states, every):
        """Hit rate of each member on its own keys, NaN where it has none."""
        images = [keys.images[:WATCHED] if keys else self.data.x_test[:0] for keys in every]
        longest = max(map(len, images))
        if not longest:
            return [math.nan] * len(images)
        padded = np.zeros((len(images), longest, *self.data.x_test.shape[1:]), np.float32)
        for row, own in zip(padded, images, strict=True):
            row[: len(own)] = own
        hits = []
        for row, own, keys in zip(self._labels(states, padded), images, every, strict=True):
            n = len(own)
            hits.append(float(np.mean(row[:n] == keys.labels[:n])) if n else math.nan)
        return hits

    def _shown(self, watched):
        """What the progress bar says of the members: their mean accuracies."""
        shown = {"clean": f"{np.mean([each['clean_accuracy'] for each in watched]):.3f}"}
        if any(job.fresh for job in self.jobs):
            shown["key"] = f"{np.nanmean([each['fresh_key_accuracy'] for each in watched]):.3f}"
        return shown

    def _labels(self, states, images, batch=500):
        """Answers of every member (members, n), to the same images (n, …) or to its own (members,
        n, …).
        """
        own = images.ndim - self.data.x_test.ndim
        parts = np.split(images, range(batch, images.shape[own], batch), axis=own)
        answer = self.answer if own else self.answer_alike
        answers = [np.asarray(answer(states[0], states[1], part)) for part in parts]
        return np.concatenate(answers, axis=1)
