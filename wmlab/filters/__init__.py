"""Filters: suspects that do something with a query before they answer, or instead of answering."""

from wmlab.filters.base import Filter, Transformed
from wmlab.filters.detectors import (
    Detector,
    autoencoder,
    key_detector,
    noise_estimate,
    nonzero_pixels,
    reconstructed,
    reconstruction_error,
    roc,
)
from wmlab.filters.ensemble import Ensemble
from wmlab.filters.refusal import Named, QueryModification, Rejecting
from wmlab.filters.transforms import AddedNoise, bit_depth, jpeg, median

__all__ = [
    "AddedNoise",
    "Detector",
    "Ensemble",
    "Filter",
    "Named",
    "QueryModification",
    "Rejecting",
    "Transformed",
    "autoencoder",
    "bit_depth",
    "jpeg",
    "key_detector",
    "median",
    "noise_estimate",
    "nonzero_pixels",
    "reconstructed",
    "reconstruction_error",
    "roc",
]
