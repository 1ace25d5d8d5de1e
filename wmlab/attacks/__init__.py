"""Attacks: what Bob does to a stolen network so that it forgets the mark. `base` says what all
attacks have in common.
"""

from wmlab.attacks.base import Tuning
from wmlab.attacks.collusion import average
from wmlab.attacks.extraction import ScoreSuspect, extract
from wmlab.attacks.fine_tuning import fine_tune, halves, refit
from wmlab.attacks.forgetting import omegas, unlearn
from wmlab.attacks.new_label import (
    SecondBest,
    answer_rates,
    drop_output,
    lower_bias,
    mask_output,
    unused_outputs,
)
from wmlab.attacks.overwriting import overwrite
from wmlab.attacks.pruning import channel_activity, fine_prune, prune
from wmlab.attacks.same_answers import permute, rescale
from wmlab.attacks.weights import add_noise, quantise

__all__ = [
    "ScoreSuspect",
    "SecondBest",
    "Tuning",
    "add_noise",
    "answer_rates",
    "average",
    "channel_activity",
    "drop_output",
    "extract",
    "fine_prune",
    "fine_tune",
    "halves",
    "lower_bias",
    "mask_output",
    "omegas",
    "overwrite",
    "permute",
    "prune",
    "quantise",
    "refit",
    "rescale",
    "unlearn",
    "unused_outputs",
]
