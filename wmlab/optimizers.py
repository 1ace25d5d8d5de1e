"""Optimisers by name, and the one that Keras lacks: Muon for kernels of convolutions."""

import keras
from keras import ops

NEWTON_SCHULZ = (
    3.4445,
    -4.7750,
    2.0315,
)  # coefficients of the polynomial that pushes singular values towards 1 (Jordan 2024)


class Muon(keras.optimizers.SGD):
    """Muon (Jordan 2024): a kernel's step is its momentum with all singular values pushed towards
    1.

    learning_rate: of 4-d kernels, a number or a schedule; those are normed to √filters before each
    step. Vectors and matrices take steps of Nesterov's momentum 0.85 at rates that keep their ratio
    to it: 0.053·batch and 8.3·10⁻⁴·batch where the kernels' is 0.24·√(batch / 2000).
    `keras.optimizers.Muon` hands 4-d kernels to AdamW, which is slower to learn.
    """

    def __init__(self, learning_rate, batch):
        super().__init__(learning_rate, momentum=0.85, nesterov=True, name="muon")
        kernels = 0.24 * (batch / 2000) ** 0.5
        self.ratios = {1: 0.053 * batch / kernels, 2: 8.3e-4 * batch / kernels}

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) != 4:
            return super().update_step(
                gradient, variable, learning_rate * self.ratios[len(variable.shape)]
            )
        moment = self.momentums[self._get_variable_index(variable)]
        self.assign(moment, 0.6 * moment + gradient)
        step = ops.reshape(
            gradient + 0.6 * moment, (-1, variable.shape[-1])
        )  # a column for each filter
        step = step / (ops.norm(step) + 1e-7)
        first, third, fifth = NEWTON_SCHULZ
        for _ in range(3):
            square = ops.transpose(step) @ step
            step = step @ (
                first * ops.eye(variable.shape[-1]) + third * square + fifth * square @ square
            )
        normed = variable * (
            variable.shape[-1] ** 0.5 / (ops.sqrt(ops.sum(ops.square(variable))) + 1e-7)
        )
        self.assign(variable, normed - learning_rate * ops.reshape(step, variable.shape))
