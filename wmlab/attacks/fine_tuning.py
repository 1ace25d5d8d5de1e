"""Fine-tuning: train the stolen model on, on images without keys, and see whether it forgets the
mark.
"""

import dataclasses

import keras
import numpy as np

from wmlab.attacks.base import (
    Tuning,
    check_labels_fit,
    copied,
    fit,
    hard_loss,
    output_layer,
    seeded,
    with_weights,
)
from wmlab.networks import leaves
from wmlab.training import Batches, forward, predict

MODES = {  # name: (tune all layers, start the last one anew)
    "FTAL": (True, False),
    "FTLL": (False, False),
    "RTAL": (True, True),
    "RTLL": (False, True),
}


def halves(data, seed=0):
    """The paper's setting, that of Zhang et al. 2018: half of the test set tunes, the other half
    judges.

    Returns a Dataset: x_train is the first half of the test images, chosen by the seed, x_test the
    second. The owner's training images are in neither.
    """
    order = np.random.default_rng(seed).permutation(len(data.x_test))
    tune, judge = np.split(order, [len(order) // 2])
    return dataclasses.replace(
        data,
        x_train=data.x_test[tune],
        y_train=data.y_test[tune],
        x_test=data.x_test[judge],
        y_test=data.y_test[judge],
        source=f"half of the test images tune, half judge: {data.source}",
    )


def fine_tune(model, data, mode="FTAL", tuning=None, seed=0):
    """Fine-tune on data.x_train (Adi et al. 2018; Zhang et al. 2018; the paper's Table 1).

    mode: "FTAL" all layers, "FTLL" the last layer only, "RTAL" all layers after the last one was
    started anew, "RTLL" the last layer only, started anew. All outputs stay, one for Δ included;
    with it started anew nothing teaches Δ.
    tuning: a `Tuning`: epochs, batch size, optimiser and learning rate; the rate decides most.
    Returns a model; raises ValueError for another mode or data that do not fit.
    """
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")
    check_labels_fit(model, data)
    everything, anew = MODES[mode]
    last = output_layer(model)
    seeded(seed)
    tuned = copied(model, skip=[last] if anew else [])
    trained, images = tuned, data.x_train
    if not everything:
        last = output_layer(tuned)
        for layer in leaves(tuned):
            layer.trainable = layer is last  # a frozen batch norm keeps its statistics too
        if tuned.layers[-1] is last and not _draws(tuned):
            trained, images = _last_alone(tuned, images)
    fit(trained, images, data.y_train, tuning or Tuning(), hard_loss(), seed)
    return with_weights(model, tuned)


def _draws(model):
    """Whether a layer draws random numbers while it is trained, as dropout and mirroring do."""
    weights = {id(weight) for weight in model.weights}
    return any(id(variable) not in weights for variable in model.variables)


def _last_alone(model, images):
    """The model's last layer as a model of its own, and what the layers before it make of the
    images. Trained on that, it learns what it would in the model with all other layers frozen, and
    the other layers compute each image once instead of once an epoch.
    """
    last = model.layers[-1]
    features = forward(keras.Model(model.inputs[0], last.input), images)
    return keras.Sequential([keras.Input(features.shape[1:]), last]), features


class _Still(keras.Model):
    """The model as it answers: no dropout, batch norm with the statistics it has."""

    def __init__(self, model):
        super().__init__(
            name="still"
        )  # a scope's name must not start with the underscore of the class
        self.model = model

    def call(self, images):
        return self.model(images, training=False)


class _Squares(keras.optimizers.Optimizer):
    """Moves nothing: adds up the squares of the gradients it is given."""

    def build(self, variables):
        super().build(variables)
        self.squares = self.add_optimizer_variables(variables, "square")

    def update_step(self, gradient, variable, learning_rate):
        square = self.squares[self._get_variable_index(variable)]
        self.assign_add(square, keras.ops.square(gradient))


def fisher(model, images, labels):
    """Diagonal of the empirical Fisher information: mean over images of the squared gradient of log
    p(label | image).

    images (n, height, width, channels), labels (n,). Returns one array for each of
    `model.trainable_variables`.
    """
    still, squares = _Still(copied(model)), _Squares(learning_rate=1.0, name="squares")
    still.compile(squares, hard_loss())
    Batches(images, labels, 1, 0).fit(still, 1)
    return [keras.ops.convert_to_numpy(square) / len(images) for square in squares.squares]


class _Elastic(keras.regularizers.Regularizer):  # a subclass, on which keras 3.13 insists
    """λ/2 Σ F (w - w*)²: what it costs a tensor to leave where it was."""

    def __init__(self, start, stiffness):
        self.start, self.stiffness = start, stiffness

    def __call__(self, weight):
        return 0.5 * keras.ops.sum(self.stiffness * keras.ops.square(weight - self.start))


def refit(
    model,
    data,
    unlabelled=None,
    *,
    learning_rate=0.1,
    decay=0.7,
    elastic=1.0,
    epochs=8,
    batch=64,
    seed=0,
    measured_on=500,
):
    """In the manner of REFIT (Chen et al. 2021): a large rate that decays, elastic weight
    consolidation, unlabelled images.

    The rate moves the weights far from where keys were learnt, and falls by the factor `decay` in
    (0, 1] each epoch. The penalty λ/2 Σ F (w - w*)² (Kirkpatrick et al. 2017) holds those that
    matter on Bob's images: `elastic` is λ ≥ 0, F the diagonal Fisher information on the first
    `measured_on` of them, divided by its maximum. λF is cut at 1/rate, above which a step of
    gradient descent would overshoot.
    unlabelled: images (n, height, width, channels) that Bob has no labels for; the stolen model
    gives them. Plain stochastic gradient descent. Rate, decay and λ are ours. Returns a model;
    raises ValueError for settings outside these ranges, or data that do not fit.
    """
    if not 0 < decay <= 1 or not elastic >= 0 or measured_on < 1:
        raise ValueError(
            f"decay is {decay}, elastic {elastic}, measured_on {measured_on}: decay lies above 0 "
            "and not above 1, elastic is 0 or more, and the Fisher information needs an image"
        )
    Tuning(epochs, batch, learning_rate)  # checks them
    check_labels_fit(model, data)
    images, labels = data.x_train, data.y_train
    importance = fisher(model, images[:measured_on], labels[:measured_on])
    if unlabelled is not None and len(unlabelled):
        images, labels = (
            np.concatenate([images, unlabelled]),
            np.concatenate([labels, predict(model, unlabelled)]),
        )
    seeded(seed)
    tuned = copied(model)
    largest = max(float(values.max()) for values in importance) or 1.0
    for variable, values in zip(tuned.trainable_variables, importance, strict=True):
        stiffness = np.minimum(elastic * values / largest, 1 / learning_rate)
        variable.regularizer = _Elastic(keras.ops.convert_to_numpy(variable), stiffness)
    steps = -(-len(images) // batch)
    rate = keras.optimizers.schedules.ExponentialDecay(learning_rate, steps, decay, staircase=True)
    descent = Tuning(epochs, batch, rate, keras.optimizers.SGD)
    fit(tuned, images, labels, descent, hard_loss(), seed)
    return with_weights(model, tuned)
