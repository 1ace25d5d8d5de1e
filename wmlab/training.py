"""TrEmb's engine: train a network on images and keys, watched epoch by epoch, resumable, saved in Keras' own format."""
import dataclasses
import json
import math
import pathlib
import shutil
import time

import keras
import numpy as np
from tqdm.auto import tqdm

from wmlab import runtime
from wmlab.datasets import KNOWN
from wmlab.networks import check_takes, network

WATCHED = 2000  # images a watched accuracy is taken over during training; the final ones use all
CONVERGED = 0.99  # accuracy on the embedded keys at which training "to convergence" ends


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train: the network's name, epochs, batch size, Adam's learning rate, and when to stop.

    decay: cosine decay of the learning rate to 0 over all epochs. until: "steps", all epochs; or "converged", as soon
    as the accuracy on the embedded keys is 0.99, `epochs` at most.
    """

    network: str
    epochs: int
    batch: int
    learning_rate: float = 1e-3
    decay: bool = False
    until: str = "steps"

    def __post_init__(self):
        if self.until not in ("steps", "converged"):
            raise ValueError(f"until={self.until!r}: choose 'steps' or 'converged'")
        if self.epochs < 1 or self.batch < 1 or not self.learning_rate > 0:
            raise ValueError(f"epochs, batch and learning rate must be positive: {self}")


RECIPES = {
    "class": {"mnist": Recipe("mnist_cnn", 4, 64), "cifar": Recipe("cifar_cnn", 6, 64)},
    "paper": {"mnist": Recipe("mnist_cnn", 10, 128, decay=True), "cifar": Recipe("cifar_cnn", 20, 128, 2e-3, decay=True)},
}


def recipe(dataset, scale=None, **changes):
    """The course's recipe for a data set by name, at the current scale or another, with some fields changed.

    To convergence (until="converged") it runs 100 epochs at most, at a constant rate, as the number is not known before.
    Raises ValueError for a data set that has none.

    >>> recipe("mnist", "class", epochs=2)
    Recipe(network='mnist_cnn', epochs=2, batch=64, learning_rate=0.001, decay=False, until='steps')
    """
    if dataset not in KNOWN:
        raise ValueError(f"there is no recipe for {dataset!r}: pass a training.Recipe, or choose one of {', '.join(KNOWN)}")
    if changes.get("until") == "converged":
        changes = {"epochs": 100, "decay": False} | changes
    family = "cifar" if dataset.startswith("cifar") else "mnist"
    return dataclasses.replace(RECIPES[runtime.scale(scale)][family], **changes)


@dataclasses.dataclass
class Run:
    """A trained model and how it came to be.

    model: the keras model, logits out. keys: the embedded KeySet, None for an unmarked model.
    history: a dict an epoch: epoch, loss, clean_accuracy, fresh_key_accuracy, embedded_key_accuracy, seconds.
    seconds: training time, watching included. record: settings and results, as in `records`.
    """

    model: object
    keys: object
    history: list
    seconds: float
    record: dict = dataclasses.field(default_factory=dict)


def logits(model, images, batch=500):
    """Outputs of the model before softmax: float32 (n, outputs). Images float32 in [0, 1], (n, h, w, channels)."""
    parts = [keras.ops.convert_to_numpy(model(images[i : i + batch], training=False)) for i in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.empty((0, model.output_shape[-1]), np.float32)


def probabilities(model, images):
    """Softmax of `logits`: float64 (n, outputs), rows sum to 1."""
    z = logits(model, images).astype(np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def predict(model, images):
    """The label the model gives each image: int64 (n,)."""
    return logits(model, images).argmax(axis=1)


def hit_rate(model, images, labels):
    """Share of images to which the model gives these labels; NaN for no images."""
    return float(np.mean(predict(model, images) == labels)) if len(images) else math.nan


class _Batches(keras.utils.PyDataset):
    """Batches in an order that depends on seed and epoch alone, so that a resumed run sees what it would have seen."""

    def __init__(self, images, labels, batch, seed):
        super().__init__()
        self.images, self.labels, self.batch, self.seed = images, labels, batch, seed
        self.shuffle(0)

    def shuffle(self, epoch):
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))

    def __len__(self):
        return math.ceil(len(self.images) / self.batch)

    def __getitem__(self, i):
        chosen = self.order[i * self.batch : (i + 1) * self.batch]
        return self.images[chosen], self.labels[chosen]


class _Watch(keras.callbacks.Callback):
    """Shuffles, measures, tells and stops: what happens between two epochs."""

    def __init__(self, batches, data, keys, fresh, recipe, line, on_epoch, backup):
        super().__init__()
        self.batches, self.data, self.keys, self.fresh, self.recipe = batches, data, keys, fresh, recipe
        self.line, self.on_epoch, self.backup, self.history = line, on_epoch, backup, []

    @property
    def left(self):
        """Number of epochs still to train."""
        converged = self.recipe.until == "converged" and self.history and self.history[-1]["embedded_key_accuracy"] >= CONVERGED
        return 0 if converged else self.recipe.epochs - len(self.history)

    def restore(self):
        """Go on from the last finished epoch, if it is on file."""
        self.model.optimizer.build(self.model.trainable_variables)
        self.state = [*self.model.variables, *self.model.optimizer.variables]
        if self.backup and self.backup.exists():
            with np.load(self.backup, allow_pickle=False) as kept:
                self.history = json.loads(str(kept["history"]))
                for number, variable in enumerate(self.state):
                    variable.assign(kept[str(number)])

    def _save(self):
        # in one file, moved into place: Keras' BackupAndRestore writes two, and a run killed in between them goes on wrongly
        values = {str(number): keras.ops.convert_to_numpy(variable.value) for number, variable in enumerate(self.state)}
        with runtime.writing(self.backup) as part:
            np.savez(part, history=json.dumps(self.history), **values)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        self.batches.shuffle(epoch)
        learnt = {id(weight) for weight in self.model.weights}
        for draws in self.model.variables:  # what is not learnt counts the draws of dropout and mirroring: no backup has it
            if id(draws) not in learnt:
                draws.assign(keras.ops.stack([draws[0], keras.ops.cast(epoch << 20, draws.dtype)]))
        if self.line.n != epoch:
            self.line.update(epoch - self.line.n)

    def on_epoch_end(self, epoch, logs=None):
        rates = {"clean_accuracy": hit_rate(self.model, self.data.x_test[:WATCHED], self.data.y_test[:WATCHED])}
        for name, keys in (("fresh_key_accuracy", self.fresh), ("embedded_key_accuracy", self.keys)):
            rates[name] = hit_rate(self.model, keys.images[:WATCHED], keys.labels[:WATCHED]) if keys else math.nan
        seconds = time.perf_counter() - self.started
        self.history.append({"epoch": epoch + 1, "loss": float(logs["loss"]), **rates, "seconds": round(seconds, 2)})
        shown = {"loss": f"{logs['loss']:.3f}", "clean": f"{rates['clean_accuracy']:.3f}"}
        if self.keys:
            shown["key"] = f"{rates['fresh_key_accuracy' if self.fresh else 'embedded_key_accuracy']:.3f}"
        self.line.set_postfix(shown, refresh=False)
        self.line.update(1)
        if self.on_epoch:
            self.on_epoch(self.history)
        if self.backup:
            self._save()
        if not self.left:
            self.model.stop_training = True


def train(data, outputs, recipe, *, keys=None, fresh=None, decoys=None, seed=0, name="", on_epoch=None, backup=None, model=None):
    """Train a network from scratch on the images of `data` and, if given, on keys and decoys.

    data: a Dataset. outputs: number of labels of the network. keys: KeySet to embed; fresh: KeySet only watched.
    decoys: (images, labels) trained on beside them. seed: of initial weights, dropout and order of batches.
    on_epoch: called with the history after each epoch. backup: a folder; interrupted training, called again with the
    same arguments, goes on from its last epoch. model: train this one (compiled anew) instead of a new network.
    Returns a Run. Raises ValueError if training "to convergence" has no keys to converge on, or images do not fit.
    """
    if recipe.until == "converged" and not keys:
        raise ValueError("training to convergence watches the embedded keys, and there are none: use until='steps'")
    keras.utils.set_random_seed(seed)
    model = network(recipe.network, outputs) if model is None else model
    check_takes(model, data)
    extra = ([(keys.images, keys.labels)] if keys else []) + ([decoys] if decoys else [])
    images = np.concatenate([data.x_train, *(x for x, _ in extra)])
    labels = np.concatenate([data.y_train, *(y for _, y in extra)])
    batches = _Batches(images, labels, recipe.batch, seed)
    rate = recipe.learning_rate
    if recipe.decay:
        rate = keras.optimizers.schedules.CosineDecay(rate, recipe.epochs * len(batches))
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with tqdm(total=recipe.epochs, desc=name or recipe.network, unit="epoch", mininterval=0, dynamic_ncols=True) as line:
        watch = _Watch(batches, data, keys, fresh, recipe, line, on_epoch, backup and pathlib.Path(backup) / "epoch.npz")
        watch.set_model(model)
        watch.restore()
        try:
            if watch.left:
                model.fit(batches, epochs=recipe.epochs, initial_epoch=len(watch.history), shuffle=False, verbose=0,
                          callbacks=[watch])
        finally:
            batches.images = batches.labels = None  # tensorflow never lets go of the batches themselves
    if backup:
        shutil.rmtree(backup)
    return Run(model, keys, watch.history, sum(epoch["seconds"] for epoch in watch.history))


def save(model, path):
    """Save a model as `.keras`, without its optimizer; the old file survives a failure. Returns the path."""
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"{path.name} must end in .keras: models are saved in Keras' own format")
    bare = model.__class__.from_config(model.get_config())  # not compiled, so no optimizer triples the file
    bare.set_weights(model.get_weights())
    path.parent.mkdir(parents=True, exist_ok=True)
    with runtime.writing(path) as part:
        bare.save(part)
    return path


def load(path, model=None):
    """A model from a `.keras` file, in safe mode: no code in the file runs.

    model: an untrained network of the same layers; it then gets the weights, and nothing else of the file is used, so
    that a file written by a newer Keras can be read. Raises ValueError, naming the file, if it is no such model.
    """
    try:
        if model is None:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        model.load_weights(path)
        return model
    except MemoryError:
        raise
    except Exception as error:  # a flipped bit can surface as anything, from zlib.error to NotImplementedError
        what = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path} cannot be read as a Keras model ({what}): make or copy it anew") from error
