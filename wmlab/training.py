"""TrEmb's engine: train a network on images and keys, measured after every epoch; save and load."""

import contextlib
import dataclasses
import functools
import math
import pathlib
import time

import keras
import numpy as np
from tqdm.auto import tqdm

from wmlab import runtime
from wmlab.datasets import KNOWN
from wmlab.files import PROGRESS
from wmlab.keys import check_labels
from wmlab.networks import (
    anew,
    as_logits,
    check_size,
    check_takes,
    copied,
    last_line,
    network,
    whiten,
)
from wmlab.optimizers import Muon

WATCHED = 2000  # images a watched accuracy is taken over during training; the final ones use all
SHIFT = 2  # pixels by which an image is shifted at most
CONVERGED = 0.99  # accuracy on the embedded keys at which training "to convergence" ends


CHOICES = {  # what the fields of a Recipe that are words may say
    "schedule": ("constant", "cosine", "linear"),
    "until": ("steps", "converged"),
    "optimizer": ("adam", "muon"),
    "augmentation": ("none", "mirror and shift"),
    "dtype": ("float32", "bfloat16", "fastest"),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        network: its name, as in `networks.NETWORKS`; or a function that makes a Keras model with
            as many outputs as it is told, for a network of one's own.
        epochs, batch: whole numbers above 0.
        learning_rate: above 0; under "muon" that of the kernels of convolutions.
        schedule: of the learning rate over all epochs: "constant", or down to 0 by "cosine" or
            "linear".
        until: "steps", all epochs; or "converged", until the accuracy on the embedded keys is 0.99,
            `epochs` at most.
        optimizer: "adam" or "muon" (`optimizers.Muon`).
        smoothing: of labels, in [0, 1): the share that is spread over all labels.
        augmentation: "none"; or "mirror and shift": mirrored in every second epoch, and shifted by
            up to 2 pixels.
        dtype: what layers compute in: "float32", "bfloat16", or "fastest", which is bfloat16 on a
            processor or GPU that multiplies in it and float32 elsewhere. Weights are float32.

    Raises:
        ValueError: another value than these.
    """

    network: object
    epochs: int
    batch: int
    learning_rate: float = 1e-3
    schedule: str = "constant"
    until: str = "steps"
    optimizer: str = "adam"
    smoothing: float = 0.0
    augmentation: str = "none"
    dtype: str = "float32"

    def __post_init__(self):
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                words = ", ".join(map(repr, choices))
                raise ValueError(f"{field}={getattr(self, field)!r}: choose one of {words}")
        if self.epochs < 1 or self.batch < 1 or not self.learning_rate > 0:
            raise ValueError(f"epochs, batch and learning rate must be positive: {self}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(
                f"smoothing is {self.smoothing!r}, but must be a number from 0 to below 1"
            )


# Fast at full scale; the ideas are those of the CIFAR-10 speed runs (Page 2018; Jordan 2024)
FAST = Recipe(
    "fast_cnn",
    5,
    500,
    0.12,
    "linear",
    optimizer="muon",
    smoothing=0.2,
    augmentation="mirror and shift",
    dtype="fastest",
)
RECIPES = {
    "class": {"mnist": Recipe("mnist_cnn", 4, 64), "cifar": Recipe("cifar_cnn", 6, 64)},
    "paper": {
        "mnist": Recipe("mnist_cnn", 10, 128, schedule="cosine"),
        "cifar": FAST,
        "cifar100": dataclasses.replace(FAST, epochs=10),
    },
}
SLOW = Recipe("cifar_cnn", 20, 128, 2e-3, "cosine")  # of this network at the paper's scale


def recipe(dataset, scale=None, **changes):
    """The course's recipe for a data set by name, at the current scale or another, with changes.

    With until="converged" it is 100 epochs at most at a constant rate, since nobody knows before
    how many it takes. For another data set `changes` must have a network; the rest is as for MNIST.
    Raises ValueError if there is none.

    >>> recipe("mnist", "class", epochs=2).epochs
    2
    """
    if dataset not in KNOWN and "network" not in changes:
        raise ValueError(
            f"there is no recipe for {dataset!r}: pass model=, or a training.Recipe with a network "
            f"of your own, or choose one of {', '.join(KNOWN)}"
        )
    if changes.get("until") == "converged":
        changes = {"epochs": 100, "schedule": "constant"} | changes
    scale, family = runtime.scale(scale), "cifar" if dataset.startswith("cifar") else "mnist"
    slow = scale == "paper" and changes.get("network") == SLOW.network
    usual = RECIPES[scale].get(dataset, RECIPES[scale][family])
    return dataclasses.replace(SLOW if slow else usual, **changes)


def recipe_for(data, how=None, model=None):
    """A recipe, by default the course's for these data; of the layers of `model`, if one is given,
    untrained, in place of its network.
    """
    own = {} if model is None else {"network": functools.partial(anew, model)}
    return dataclasses.replace(how, **own) if how else recipe(data.name, **own)


def untrained(recipe, outputs, images):
    """The recipe's network before its first step; its whitening filters, if it has any, are
    computed from these images.
    """
    model = network(recipe.network, outputs)
    whiten(model, images)
    return model


def optimizer(recipe, images):
    """The recipe's optimiser for so many images an epoch, with its learning rates."""
    rate, steps = recipe.learning_rate, recipe.epochs * math.ceil(images / recipe.batch)
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    elif recipe.schedule == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    return Muon(rate, recipe.batch) if recipe.optimizer == "muon" else keras.optimizers.Adam(rate)


@contextlib.contextmanager
def computing_in(dtype):
    """Make layers inside this context compute in a Recipe's dtype.

    Yields what that is on this machine, "float32" or "bfloat16". Raises RuntimeError for "bfloat16"
    on a machine that does not multiply in it.
    """
    able = dtype != "float32" and runtime.multiplies_bfloat16()
    if dtype == "bfloat16" and not able:
        raise RuntimeError(
            f"{runtime.device()} does not multiply in bfloat16 with keras on "
            f"{keras.config.backend()}: take dtype='float32', or 'fastest', which takes bfloat16 "
            "only where it can"
        )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if able else before)
    try:
        yield "bfloat16" if able else "float32"
    finally:
        keras.config.set_dtype_policy(before)


@dataclasses.dataclass
class Run:
    """A trained network and how it came to be.

    Attributes:
        model: the keras model, logits out.
        keys: the embedded KeySet, None for an unmarked network.
        history: a dict an epoch: epoch, loss, clean_accuracy, fresh_key_accuracy,
            embedded_key_accuracy (shares in [0, 1], NaN without keys), seconds.
        seconds: training time, measuring included.
        dtype: what the layers computed in.
        device, versions: where it was trained, in words, and with what, {package: version}.
        settings: what decided it: the fields of scheme and recipe, seed, and facts on the data.
        results: what a scheme measured in the end, such as clean_accuracy and fresh_key_accuracy.
        advice: if few fresh keys hit, why, in a sentence.
        evidence: what the owner of a mark of `schemes.CITED` keeps, a `schemes.Evidence`.
    """

    model: object
    keys: object
    history: list
    seconds: float
    dtype: str = "float32"
    device: str = ""
    versions: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    results: dict = dataclasses.field(default_factory=dict)
    advice: str = ""
    evidence: object = None

    def __repr__(self):
        rates = ("clean_accuracy", "fresh_key_accuracy")
        shown = [f"{k} {self.results[k]:.3f}" for k in rates if self.results.get(k) is not None]
        return f"Run of {self.model.name}: {', '.join(shown)}. {self.advice}".rstrip()


def logits(model, images, batch=500):
    """Outputs of the model before softmax, if it has one: float32 (n, outputs). Images float32 in
    [0, 1], (n, h, w, channels). Raises ValueError for images of another size than the model takes.
    """
    return as_logits(forward(model, images, batch))


def forward(model, images, batch=500):
    """What comes out of the model, as it is. Arguments and errors as in `logits`."""
    if len(images):
        check_size(model, images.shape[1:])
    parts = [
        keras.ops.convert_to_numpy(model(images[i : i + batch], training=False))
        for i in range(0, len(images), batch)
    ]
    return np.concatenate(parts) if parts else np.empty((0, model.output_shape[-1]), np.float32)


def probabilities(model, images):
    """Softmax of `logits`: float64 (n, outputs), rows sum to 1."""
    z = logits(model, images).astype(np.float64)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def predict(model, images):
    """The label the model gives each image: int64 (n,); -1 where its outputs are no numbers."""
    outputs = logits(model, images)
    return np.where(np.isfinite(outputs).all(axis=1), outputs.argmax(axis=1), -1)


def hit_rate(model, images, labels):
    """Share of images to which the model gives these labels, int (n,), or this one; NaN for no
    images. Raises ValueError for labels of another shape.
    """
    if not len(images):
        return math.nan
    if np.ndim(labels):
        labels = check_labels(labels, len(images))
    return float(np.mean(predict(model, images) == labels))


class Batches(keras.utils.PyDataset):
    """Batches in an order that depends on seed and epoch alone."""

    def __init__(self, images, labels, batch, seed, augmentation="none"):
        super().__init__()
        self.images, self.labels, self.batch = images, labels, batch
        self.seed, self.augmentation = seed, augmentation
        self.shuffle(0)

    def shuffle(self, epoch):
        self.epoch, n = epoch, len(self.images)
        self.order = np.random.default_rng([self.seed, epoch]).permutation(n)
        if self.augmentation != "none":
            # each image alternates with its mirror image
            half = np.random.default_rng([self.seed, 0, 1]).permutation(n) % 2
            self.mirrored = half == epoch % 2
            rng = np.random.default_rng([self.seed, epoch, 2])
            self.shifts = rng.integers(-SHIFT, SHIFT + 1, (n, 2))

    def __len__(self):
        return math.ceil(len(self.images) / self.batch)

    def __getitem__(self, i):
        chosen = self.order[i * self.batch : (i + 1) * self.batch]
        images = self.images[chosen]
        if self.augmentation != "none":
            images = moved(images, self.shifts[chosen], self.mirrored[chosen])
        return images, self.labels[chosen]

    def fit(self, model, epochs, callbacks=()):
        """Train a compiled model on these batches, once. (After a `fit` of arrays tensorflow waits
        about as long as it has trained.)
        """
        reorder = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, _: self.shuffle(epoch)
        )
        try:
            model.fit(
                self, epochs=epochs, shuffle=False, verbose=0, callbacks=[reorder, *callbacks]
            )
        finally:
            # tensorflow never lets go of the batches themselves
            self.images = self.labels = None


def moved(images, shifts, mirrored):
    """Images shifted by whole pixels, with reflected borders, and some mirrored left to right.

    images: (n, height, width, channels). shifts: int (n, 2), rows down and columns to the right,
    smaller than the image. mirrored: bool (n,).
    """

    def places(size, by):  # where each pixel of each image comes from
        at = np.abs(np.arange(size) - by[:, None])
        return size - 1 - np.abs(size - 1 - at)

    rows, columns = places(images.shape[1], shifts[:, 0]), places(images.shape[2], shifts[:, 1])
    columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


class _Watch(keras.callbacks.Callback):
    """What happens between two epochs: measure, show, and stop when it is enough."""

    def __init__(self, data, keys, fresh, recipe, line, on_epoch):
        super().__init__()
        self.recipe, self.line, self.on_epoch = recipe, line, on_epoch
        self.history, self.measured = [], {"clean_accuracy": (data.x_test, data.y_test)}
        for name, keyset in (("fresh_key_accuracy", fresh), ("embedded_key_accuracy", keys)):
            images, labels = (keyset.images, keyset.labels) if keyset else ((), ())
            self.measured[name] = images, labels
        self.shown = {"clean": "clean_accuracy"}
        if keys:
            self.shown["key"] = "fresh_key_accuracy" if fresh else "embedded_key_accuracy"

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        learnt = {id(weight) for weight in self.model.weights}
        for draws in self.model.variables:
            if id(draws) not in learnt:  # counts the draws of dropout or mirroring
                # so that they depend on seed and epoch alone, in a fleet too
                draws.assign(keras.ops.stack([draws[0], keras.ops.cast(epoch << 20, draws.dtype)]))

    def on_epoch_end(self, epoch, logs=None):
        rates = {
            name: hit_rate(self.model, images[:WATCHED], labels[:WATCHED])
            for name, (images, labels) in self.measured.items()
        }
        seconds = round(time.perf_counter() - self.started, 2)
        loss = float(logs["loss"])
        self.history.append({"epoch": epoch + 1, "loss": loss, **rates, "seconds": seconds})
        shown = {name: f"{rates[rate]:.3f}" for name, rate in self.shown.items()}
        self.line.set_postfix({"loss": f"{loss:.3f}"} | shown, refresh=False)
        self.line.update(1)
        if self.on_epoch:
            self.on_epoch(self.history)
        converged = rates["embedded_key_accuracy"] >= CONVERGED
        if self.recipe.until == "converged" and converged:
            self.model.stop_training = True


def train(
    data,
    outputs,
    recipe,
    *,
    keys=None,
    fresh=None,
    decoys=None,
    seed=0,
    name="",
    on_epoch=None,
    model=None,
):
    """Train a network from scratch on the images of `data` and, if given, on keys and decoys.

    Args:
        data: a Dataset.
        outputs: number of labels of the network.
        recipe: a Recipe.
        keys: KeySet to embed.
        fresh: KeySet that is only watched.
        decoys: (images, labels) to train on as well.
        seed: of initial weights, dropout and the order of batches.
        name: what the progress line says.
        on_epoch: called with the history after each epoch.
        model: train this one, which gives logits (compiled anew), instead of a new network.

    Returns:
        A Run.

    Raises:
        ValueError: training "to convergence" has no keys to converge on, or images do not fit.
    """
    if recipe.until == "converged" and not keys:
        raise ValueError(
            "training to convergence watches the embedded keys, and there are none: use "
            "until='steps'"
        )
    keras.utils.set_random_seed(seed)
    given = model
    with computing_in(recipe.dtype) as dtype:
        model = untrained(recipe, outputs, data.x_train) if given is None else given
    check_takes(model, data)
    history = _fit(model, data, recipe, keys, fresh, decoys, seed, name, on_epoch)
    if given is None and dtype != "float32":  # a saved model would go on computing in it
        trained = model.get_weights()
        model = network(recipe.network, outputs)
        model.set_weights(trained)
    seconds = sum(epoch["seconds"] for epoch in history)
    return Run(model, keys, history, seconds, dtype, runtime.device(), runtime.versions())


def _fit(model, data, recipe, keys, fresh, decoys, seed, name, on_epoch):
    """Compile and train the model itself; return the history."""
    extra = ([(keys.images, keys.labels)] if keys else []) + ([decoys] if decoys else [])
    images = np.concatenate([data.x_train, *(x for x, _ in extra)])
    labels = np.concatenate([data.y_train, *(y for _, y in extra)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if recipe.smoothing:
        labels = np.eye(model.output_shape[-1], dtype=np.float32)[labels]
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.smoothing
        )
    batches = Batches(images, labels, recipe.batch, seed, recipe.augmentation)
    model.compile(optimizer(recipe, len(images)), loss)
    line = tqdm(
        total=recipe.epochs,
        desc=name or "training",
        unit="epoch",
        mininterval=0,
        dynamic_ncols=True,
        file=PROGRESS,
    )
    with line:
        watch = _Watch(data, keys, fresh, recipe, line, on_epoch)
        batches.fit(model, recipe.epochs, [watch])
    return watch.history


def save(model, path):
    """Save a model as `.keras` without its optimizer; return the path.

    The file is written to the side and moved into place: after a failure the old one is as it was.
    Raises ValueError for another suffix, OSError on a full disk.
    """
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"{path.name} must end in .keras: models are saved in Keras' own format")
    bare = copied(model)  # without an optimizer, which would make the file three times as large
    with runtime.writing(path) as part:
        bare.save(part)
    return path


def load(path, model=None):
    """A model from a `.keras` file. Code in the file does not run.

    model: an untrained network of the same layers, to load the weights into. Nothing else of the
    file is then used, so a file of a newer Keras can be read. Raises ValueError, naming the file,
    if it is no such model.
    """
    if pathlib.Path(path).suffix != ".keras":
        raise ValueError(f"{path} is no .keras file: load it in Keras, and save it as one")
    try:
        if model is None:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        model.load_weights(path)
        return model
    except MemoryError:
        raise
    # a flipped bit can raise anything, from zlib.error to NotImplementedError
    except Exception as error:
        if "`Lambda` layer" in str(error):
            says = last_line(error)
        elif "register_keras_serializable" in str(error) or "Could not locate" in str(error):
            says = (
                "it has a layer that Keras does not know: import the module that defines it first"
            )
        else:
            says = f"{last_line(error)}: make or copy it anew"
        raise ValueError(f"{path} cannot be read as a Keras model ({says})") from error
