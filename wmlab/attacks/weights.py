"""Coarser weights: fewer bits for each, or noise on all. No images are needed."""

import keras
import numpy as np

from wmlab.attacks.base import copied, kernels


def quantise(model, data, bits, seed=0):
    """Uniform affine quantisation (Jacob et al. 2018): each trained tensor keeps at most 2^bits
    levels, evenly spaced from its least to its greatest value.

    bits: 1 to 16. The statistics of batch norm stay. data, seed: not used. Returns a model with
    float32 weights; raises ValueError for other bits.
    """
    if bits not in range(1, 17):
        raise ValueError(
            f"bits is {bits!r}, but must be a whole number from 1 to 16: a weight gets one of 2 "
            "to the bits levels"
        )
    coarse = copied(model)
    for variable in coarse.trainable_variables:
        values = keras.ops.convert_to_numpy(variable).astype(np.float64)
        low, step = values.min(), np.ptp(values) / (2 ** int(bits) - 1)
        if step:
            variable.assign((low + np.round((values - low) / step) * step).astype(np.float32))
    return coarse


def add_noise(model, data, strength, seed=0):
    """Gaussian noise on every kernel weight, with `strength` times the standard deviation of its
    kernel.

    strength: 0 or more. data: not used. Returns a model; raises ValueError for another strength.
    """
    if not 0 <= strength < np.inf:
        raise ValueError(
            f"strength is {strength}, but must be 0 or more: it is the noise relative to the "
            "weights"
        )
    noisy, rng = copied(model), np.random.default_rng(seed)
    for kernel in kernels(noisy):
        values = keras.ops.convert_to_numpy(kernel)
        noise = rng.standard_normal(values.shape).astype(np.float32)
        kernel.assign(values + strength * values.std() * noise)
    return noisy
