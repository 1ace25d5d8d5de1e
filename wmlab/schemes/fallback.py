"""A reply of the owner: two marks in one network. If the new label is cut off, the wrong label
still speaks.
"""

import dataclasses

import numpy as np

from wmlab.keys import make_keys
from wmlab.schemes.base import as_suspect
from wmlab.schemes.new_label import NewLabel
from wmlab.schemes.wrong_label import TAU
from wmlab.secret import Secret
from wmlab.verification import Chance, batch, controlled

LOOK, OPACITY = (
    "content",
    0.7,
)  # of the keys with the wrong label: a logo at a place that the secret chooses


class Fallback(NewLabel):
    """Keys turn about: the first gets the new label, the next a wrong one, and so on (ours, not the
    paper's).

    The two kinds must look different, or the labels fight over the same pictures: those with the
    new label carry the perturbation of `kind` and β, those with the wrong label, class `target`, a
    logo. Half of α |D| keys each. A key accuracy is that of both together: 0.5 can mean that one
    mark is whole and the other gone. Raises ValueError without a target class, or for kind
    "content", which is the look of the second mark.
    """

    name = "fallback"

    def __post_init__(self):
        super().__post_init__()
        if self.target is None:
            raise ValueError("a fallback needs a target class: the wrong label of every second key")
        if self.kind == LOOK:
            raise ValueError(
                f"kind {LOOK!r} is how the keys with the wrong label look: choose another for "
                "those with the new one"
            )

    def _halves(self, images, labels, secret, stream):
        """Two KeySets: with the new label, from the first, third, … image; with the wrong one, from
        the others; None for none.
        """
        looks = ((self.key_label, self.kind, self.beta), (self.target, LOOK, OPACITY))
        return [
            make_keys(
                images[start::2],
                labels[start::2],
                Secret(secret),
                stream,
                key_label=label,
                beta=beta,
                kind=kind,
                reading=self.reading,
            )
            if len(images) > start
            else None
            for start, (label, kind, beta) in enumerate(looks)
        ]

    def keys(self, images, labels, secret, stream):
        images, labels = self.carriers(images, labels)
        new, wrong = self._halves(images, labels, secret, stream)
        if wrong is None:
            return new
        made, own = np.empty_like(images, np.float32), np.empty(len(images), np.int64)
        for start, half in enumerate((new, wrong)):
            made[start::2], own[start::2] = half.images, half.key_label
        return dataclasses.replace(new, images=made, carrier_labels=labels, own_labels=own)

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        """Ver: half of the n keys until the first answer Δ; without one the other half, as for a
        wrong label.

        Returns the verdict of the first half if it has a hit, else that of the second with all
        queries counted. Controls are asked as for these labels.
        """
        suspect = as_suspect(suspect)
        images, labels = self.carriers(images, labels, n)
        new, wrong = self._halves(images, labels, secret, stream)
        first = self._first_hit(suspect, new, images[::2])
        if first.hits or wrong is None:
            return first
        second = batch(suspect, wrong, TAU, Chance(self.classes))
        second = controlled(second, suspect, images[1::2])
        note = (
            f"Only the last {len(wrong)} keys were to get that label, and the probability is "
            f"for them; the {len(new)} "
            f"before them were to get the new label, {new.key_label}, and none did. {second.note}"
        )
        return dataclasses.replace(second, queries=len(new) + len(wrong), note=note.rstrip())
