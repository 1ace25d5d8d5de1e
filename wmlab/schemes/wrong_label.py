"""The baseline: keys carry an existing class that is wrong for all of them (Zhang et al. 2018,
noise type).
"""

from wmlab.schemes.base import Scheme, as_suspect
from wmlab.verification import Chance, batch, controlled

TAU = 0.3  # share of misses the judge allows; the paper's figure for this baseline


class WrongLabel(Scheme):
    """Keys from images outside class `target` are labelled `target`; proof needs a share of hits,
    for any model may answer that class.
    """

    name = "wrong label"

    def __post_init__(self):
        super().__post_init__()
        if self.target is None:
            raise ValueError(
                "a wrong label needs a target class: the class that all keys are labelled with"
            )

    @property
    def key_label(self):
        return self.target

    @property
    def outputs(self):
        return self.classes

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        """Ver: ask all n keys. If enough hit, ask the n images that the keys were made from, too:
        a model that gives the target class to everything is acquitted.
        """
        suspect, clean = as_suspect(suspect), self.carriers(images, labels, n)
        verdict = batch(suspect, self.keys(*clean, secret, stream), TAU, Chance(self.classes))
        return controlled(verdict, suspect, clean[0])
