"""Attacks on the new label itself: Bob finds an output that no image needs, and cuts it off."""

import numpy as np

from wmlab.attacks.base import copied, output_layer
from wmlab.networks import check_classifier, check_takes
from wmlab.suspects import LocalSuspect
from wmlab.training import logits, predict

NEVER = -1e9  # a logit that never wins; finite, so that it can be saved and averaged


def _label(model, data, label):
    """The label to attack, the last by default. Raises ValueError if there is no such label, or if
    it is a class of Bob's data.
    """
    check_classifier(model)
    outputs = model.output_shape[-1]
    if label is None:
        if data is not None and outputs <= data.classes:
            raise ValueError(
                f"{model.name} has {outputs} outputs for {data.classes} classes: there is no "
                "extra output to attack"
            )
        return outputs - 1
    if label not in range(outputs):
        raise ValueError(
            f"label is {label!r}, but the outputs of {model.name} count from 0 to {outputs - 1}"
        )
    if data is not None and label < data.classes:
        raise ValueError(
            f"label {label} is one of the {data.classes} classes: without it Bob has nothing to "
            "sell"
        )
    return int(label)


def drop_output(model, data, label=None, seed=0):
    """Delete an output: the model has one label less, and all other weights stay (ours; the paper
    does not consider it).

    Keys then get the label they would have had without Δ. Clean accuracy cannot fall, because an
    answer Δ to a clean image was wrong anyway. label: the output, by default the last. data: its
    number of classes tells which outputs are extra; no image is used. seed: not used.
    Returns a model; raises ValueError if there is no extra output, if `label` is one of the
    classes, or if the last layer is not dense.
    """
    label = _label(model, data, label)
    return copied(model, np.delete(np.arange(model.output_shape[-1]), label))


def mask_output(model, data, label=None, seed=0):
    """Mask an output: its logit is always -10⁹. The model keeps all its outputs, and the softmax
    over the others sums to 1.

    Arguments, result and errors as in `drop_output`.
    """
    return _shifted(model, _label(model, data, label), kernel=0, bias=NEVER)


def lower_bias(model, data, by, label=None, seed=0):
    """Lower the bias of an output, so that Δ must win by more. Clean accuracy cannot fall.

    by: how much the logit falls, 0 or more. Other arguments, result and errors as in
    `drop_output`.
    """
    if not 0 <= by < np.inf:
        raise ValueError(f"by is {by}, but must be 0 or more: it is how far the logit falls")
    return _shifted(model, _label(model, data, label), kernel=1, bias=-by)


def _shifted(model, label, kernel, bias):
    """A copy whose output `label` has its weights times `kernel`, and `bias` added to its bias."""
    changed = copied(model)
    weights = output_layer(changed).get_weights()
    if len(weights) != 2:
        raise ValueError(f"the output layer of {model.name} has no bias: drop the output instead")
    weights[0][:, label] *= kernel
    weights[1][label] = weights[1][label] * kernel + bias
    output_layer(changed).set_weights(weights)
    return changed


class SecondBest(LocalSuspect):
    """Sells the labels of a model, but the second best label where the best is `label`, by default
    the last. The model stays as it is.

    model, price, queries, cost: as in `LocalSuspect`. Raises ValueError for a label that the model
    does not have.
    """

    def __init__(self, model, label=None, price=0.01):
        super().__init__(model, price)
        self.label = _label(model, None, label)

    def ask(self, images):
        """Labels of the images, as in `LocalSuspect.ask`, but never `label`."""
        best = super().ask(images)
        second = np.argsort(logits(self.model, images), axis=1)[:, -2]
        return np.where(best == self.label, second, best)


def answer_rates(model, data):
    """Share of Bob's training images that get each label: float (outputs,). They sum to 1."""
    check_takes(model, data)
    outputs = model.output_shape[-1]
    labels = predict(model, data.x_train)
    return np.bincount(labels[labels >= 0], minlength=outputs) / len(data.x_train)


def unused_outputs(model, data):
    """The labels that no training image of Bob's gets: int (k,). So Bob finds Δ."""
    return np.flatnonzero(answer_rates(model, data) == 0)
