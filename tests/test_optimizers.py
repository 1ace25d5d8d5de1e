"""Muon, step by step in numpy, beside keras' own momentum for what is no kernel."""

import keras
import numpy as np
import pytest

from wmlab.optimizers import Muon

RNG = np.random.default_rng(0)


def orthogonalised(matrix):
    """Singular values pushed towards 1 by the polynomial itself, three times over; singular vectors
    as they are.
    """
    left, values, right = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values @ right


@pytest.mark.trains
def test_a_kernel_takes_the_step_of_its_orthogonalised_momentum():
    for shape in [(3, 3, 4, 8), (3, 3, 2, 32), (1, 1, 5, 5)]:
        kernel = keras.Variable(RNG.normal(size=shape).astype(np.float32))
        muon = Muon(0.1, 500)
        muon.build([kernel])
        weight, moment = np.asarray(keras.ops.convert_to_numpy(kernel), np.float64), 0
        for _ in range(4):
            gradient = RNG.normal(size=shape)
            muon.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))], [kernel])
            moment = 0.6 * moment + gradient
            step = orthogonalised((gradient + 0.6 * moment).reshape(-1, shape[-1])).reshape(shape)
            weight = weight * np.sqrt(shape[-1]) / np.linalg.norm(weight) - 0.1 * step
            assert np.allclose(keras.ops.convert_to_numpy(kernel), weight, atol=1e-4)


@pytest.mark.trains
def test_vectors_and_matrices_take_steps_of_nesterov_at_their_rates():
    """At batch 500 kernels move at 0.24·√(500/2000) = 0.12, a vector at 0.053·500, a matrix at
    8.3·10⁻⁴·500.
    """
    for shape, rate in [((8,), 0.053), ((8, 3), 8.3e-4)]:
        start = RNG.normal(size=shape).astype(np.float32)
        ours, theirs = keras.Variable(start), keras.Variable(start)
        pairs = [
            (Muon(0.12, 500), ours),
            (keras.optimizers.SGD(rate * 500, momentum=0.85, nesterov=True), theirs),
        ]
        for optimizer, variable in pairs:
            optimizer.build([variable])
        for _ in range(3):
            gradient = keras.ops.convert_to_tensor(RNG.normal(size=shape).astype(np.float32))
            for optimizer, variable in pairs:
                optimizer.apply([gradient], [variable])
        assert not np.allclose(keras.ops.convert_to_numpy(ours), start, atol=1e-3)
        assert np.allclose(
            keras.ops.convert_to_numpy(ours),
            keras.ops.convert_to_numpy(theirs),
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.trains
def test_the_ratio_of_the_rates_follows_a_schedule():
    bias = keras.Variable(np.zeros(3, np.float32))
    muon = Muon(keras.optimizers.schedules.PolynomialDecay(0.12, 2, 0.0), 500)
    muon.build([bias])
    gradient = keras.ops.ones(3)
    muon.apply([gradient], [bias])
    assert np.allclose(keras.ops.convert_to_numpy(bias), -26.5 * 1.85, rtol=1e-4)
    muon.apply([gradient], [bias])  # at half the rate, and pushed on by the first step
    assert np.allclose(
        keras.ops.convert_to_numpy(bias), -26.5 * (1.85 + 0.85**2 + 1.85 / 2), rtol=1e-4
    )


@pytest.mark.trains
def test_a_gradient_of_zero_does_no_harm():
    kernel = keras.Variable(RNG.normal(size=(3, 3, 4, 8)).astype(np.float32))
    muon = Muon(0.1, 500)
    muon.build([kernel])
    muon.apply([keras.ops.zeros(kernel.shape)], [kernel])
    assert np.isfinite(keras.ops.convert_to_numpy(kernel)).all()
