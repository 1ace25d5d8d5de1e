"""Collusion: several users with copies of one network average their weights."""

import numpy as np

from wmlab.attacks.base import copied


def average(models, data=None, seed=0):
    """A model whose weights are the means of those of several copies, each with another user's mark
    (Chen et al. 2019). It works for copies that were tuned a little from one network.

    models: keras models of the same layers. data, seed: not used. Returns a model; raises
    ValueError for no models, or weights of different shapes.
    """
    weights = [model.get_weights() for model in models]
    shapes = {tuple(values.shape for values in each) for each in weights}
    if len(shapes) != 1:
        raise ValueError(f"{len(weights)} copies of {len(shapes)} shapes: average copies of one")
    mean = copied(models[0])
    mean.set_weights([np.mean(each, axis=0) for each in zip(*weights, strict=True)])
    return mean
