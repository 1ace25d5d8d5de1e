"""Schemes by name. A new one is a subclass of `Scheme` in a file of its own and a line here."""
from wmlab.schemes.base import Scheme
from wmlab.schemes.new_label import NewLabel
from wmlab.schemes.unmarked import Unmarked
from wmlab.schemes.wrong_label import WrongLabel

SCHEMES = {"new": NewLabel, "wrong": WrongLabel, "none": Unmarked}


def scheme(name, **settings):
    """A scheme by its short name: "new", "wrong" or "none". Raises ValueError for any other."""
    if name not in SCHEMES:
        raise ValueError(f"unknown scheme {name!r}: choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name](**settings)


__all__ = ["SCHEMES", "NewLabel", "Scheme", "Unmarked", "WrongLabel", "scheme"]
