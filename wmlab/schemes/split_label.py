"""A reply of the owner: the new label split into several. Which of them a key gets, its carrier's
class and the secret decide.
"""

import dataclasses

import numpy as np

from wmlab.schemes.base import Scheme, as_suspect
from wmlab.secret import Secret
from wmlab.suspects import ask
from wmlab.verification import Verdict

PARTS = 3  # new labels in place of one
LEVEL = 0.01  # largest p-value that convicts
DRAWN = 9999  # other secrets' tables that the suspect's answers are held against


class SplitLabel(Scheme):
    """Keys get one of three new labels, Δ outputs for Δ-3 classes (ours, not the paper's).

    The secret deals the classes out to the new labels, as evenly as it goes; a key gets that of its
    carrier's class. A label drawn for each key alone could not be learned: nothing in the picture
    would tell. Who does not know the table has no more than a third of the labels right on average,
    so an answer is evidence of *whose* mark it is; but the unit of the evidence is a class, not a
    key, and one hit proves nothing any more.
    """

    name = "split label"

    @property
    def key_label(self):
        """The first of the new labels."""
        return self.classes

    @property
    def outputs(self):
        return self.classes + PARTS

    def table(self, secret):
        """The new label for the keys of each class: int64 (classes,)."""
        return self.classes + Secret(secret).rng("split").permutation(self.classes) % PARTS

    def keys(self, images, labels, secret, stream):
        keys = super().keys(images, labels, secret, stream)
        return dataclasses.replace(keys, own_labels=self.table(secret)[keys.carrier_labels])

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        """Ver: ask all keys and count answers that are the right one of the three.

        p-value: by an exact test over secrets. Of 9,999 tables that other secrets might deal (and
        the owner's), the share that these very answers fit as well. It convicts up to 0.01. No
        count of keys makes up for few classes.
        """
        keys = self.keys(*self.carriers(images, labels, n), secret, stream)
        answers = ask(as_suspect(suspect), keys.images)
        hits = int((answers == keys.labels).sum())
        fits = np.zeros(
            (self.classes, PARTS), int
        )  # answers that would be right if the class had this label
        np.add.at(fits, keys.carrier_labels, answers[:, None] == self.classes + np.arange(PARTS))
        dealt = np.tile(np.arange(self.classes) % PARTS, (DRAWN, 1))
        dealt = np.random.default_rng(0).permuted(dealt, axis=1)
        others = fits[np.arange(self.classes), dealt].sum(axis=1)
        p_value = float((1 + (others >= hits).sum()) / (1 + DRAWN)) if hits else None
        marked = p_value is not None and p_value <= LEVEL
        return Verdict(
            marked,
            len(keys),
            hits,
            self.key_label,
            p_value,
            "a model marked with another secret",
            f"Each key had one right answer of {PARTS}, labels {self.key_label} to "
            f"{self.outputs - 1}: that of its "
            "carrier's class.",
        )
