"""Muon for the kernels of convolutions, an optimiser that Keras lacks."""

import keras
from keras import ops

# of the odd polynomial that pushes singular values towards 1 (Jordan 2024)
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(keras.optimizers.SGD):
    """Muon (Jordan 2024): the step of a kernel is its momentum, with all singular values pushed
    towards 1.

    learning_rate: of 4-d kernels, a number or a schedule. Before each step such a kernel is scaled
    to the norm √filters. batch: images in a step. Vectors and matrices take steps of Nesterov's
    momentum 0.85, at rates in a fixed ratio to the kernels': 0.053·batch and 8.3·10⁻⁴·batch where
    that is 0.24·√(batch / 2000). `keras.optimizers.Muon` leaves 4-d kernels to AdamW, which learns
    more slowly.
    """

    def __init__(self, learning_rate, batch):
        super().__init__(learning_rate, momentum=0.85, nesterov=True, name="muon")
        kernels = 0.24 * (batch / 2000) ** 0.5
        self.ratios = {1: 0.053 * batch / kernels, 2: 8.3e-4 * batch / kernels}

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) != 4:
            rate = learning_rate * self.ratios[len(variable.shape)]
            return super().update_step(gradient, variable, rate)
        moment = self.momentums[self._get_variable_index(variable)]
        self.assign(moment, 0.6 * moment + gradient)
        # a column for each filter
        step = ops.reshape(gradient + 0.6 * moment, (-1, variable.shape[-1]))
        step = step / (ops.norm(step) + 1e-7)
        first, third, fifth = NEWTON_SCHULZ
        for _ in range(3):
            square = ops.transpose(step) @ step
            one = ops.eye(variable.shape[-1])
            step = step @ (first * one + third * square + fifth * square @ square)
        norm = ops.sqrt(ops.sum(ops.square(variable))) + 1e-7
        scaled = variable * (variable.shape[-1] ** 0.5 / norm)
        self.assign(variable, scaled - learning_rate * ops.reshape(step, variable.shape))
