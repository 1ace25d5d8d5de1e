"""Schemes by name. A new one is a subclass of `Scheme` in a file of its own and a line here."""

from wmlab.schemes.adi import Adi, BadNets
from wmlab.schemes.base import Scheme
from wmlab.schemes.blind import Blind
from wmlab.schemes.deepmarks import DeepMarks
from wmlab.schemes.deepsigns import DeepSignsBlack, DeepSignsWhite
from wmlab.schemes.evidence import Cited, Evidence, Triggers
from wmlab.schemes.exponential import Exponential
from wmlab.schemes.fallback import Fallback
from wmlab.schemes.frontier import Frontier
from wmlab.schemes.new_label import NewLabel
from wmlab.schemes.split_label import SplitLabel
from wmlab.schemes.uchida import Uchida
from wmlab.schemes.unmarked import Unmarked
from wmlab.schemes.wrong_label import WrongLabel

SCHEMES = {
    "new": NewLabel,
    "wrong": WrongLabel,
    "none": Unmarked,
    "split": SplitLabel,
    "fallback": Fallback,
}
CITED = {  # systems that other authors published, whose owner keeps evidence; see `Cited`
    "uchida": Uchida,
    "deepmarks": DeepMarks,
    "deepsigns-white": DeepSignsWhite,
    "deepsigns-black": DeepSignsBlack,
    "adi": Adi,
    "frontier": Frontier,
    "exponential": Exponential,
    "badnets": BadNets,
    "blind": Blind,
}


def scheme(name, **settings):
    """A scheme by its short name, one of SCHEMES or CITED. Raises ValueError for any other."""
    known = SCHEMES | CITED
    if name not in known:
        raise ValueError(f"unknown scheme {name!r}: choose one of {', '.join(known)}")
    return known[name](**settings)


__all__ = [
    "CITED",
    "SCHEMES",
    "Adi",
    "BadNets",
    "Blind",
    "Cited",
    "DeepMarks",
    "DeepSignsBlack",
    "DeepSignsWhite",
    "Evidence",
    "Exponential",
    "Fallback",
    "Frontier",
    "NewLabel",
    "Scheme",
    "SplitLabel",
    "Triggers",
    "Uchida",
    "Unmarked",
    "WrongLabel",
    "scheme",
]
