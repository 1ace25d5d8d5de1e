"""Schemes by name. A new one is a subclass of `Scheme` in a file of its own and a line here."""

from wmlab.schemes.base import Scheme
from wmlab.schemes.fallback import Fallback
from wmlab.schemes.new_label import NewLabel
from wmlab.schemes.split_label import SplitLabel
from wmlab.schemes.unmarked import Unmarked
from wmlab.schemes.wrong_label import WrongLabel

SCHEMES = {
    "new": NewLabel,
    "wrong": WrongLabel,
    "none": Unmarked,
    "split": SplitLabel,
    "fallback": Fallback,
}


def scheme(name, **settings):
    """A scheme by its short name, one of SCHEMES. Raises ValueError for any other."""
    if name not in SCHEMES:
        raise ValueError(f"unknown scheme {name!r}: choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name](**settings)


__all__ = [
    "SCHEMES",
    "Fallback",
    "NewLabel",
    "Scheme",
    "SplitLabel",
    "Unmarked",
    "WrongLabel",
    "scheme",
]
