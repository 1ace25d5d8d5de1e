"""What Bob's service does with a query that looks like a key: it refuses, answers at random, fails,
or answers for another image.
"""

import numpy as np

from wmlab.filters.base import Filter
from wmlab.filters.detectors import reconstructed
from wmlab.suspects import SuspectError, ask


class Rejecting(Filter):
    """Does not answer images that a detector flags (query rejection, section 5 of the paper).

    suspect: as in `Filter`. detector: anything with flags(images) -> bool (n,). classes: None to
    refuse the request with a SuspectError, or a number to answer flagged images with one of so many
    labels, drawn at random by `seed`. flagged: images called keys so far. Raises ValueError for
    fewer classes than one.
    """

    def __init__(self, suspect, detector, classes=None, price=0.01, seed=0):
        super().__init__(suspect, price)
        if classes is not None and classes < 1:
            raise ValueError(
                f"{classes} classes: a random answer needs at least one label to draw from"
            )
        self.detector, self.classes, self.flagged = detector, classes, 0
        self.rng = np.random.default_rng(seed)

    def answer(self, images):
        flags = np.asarray(self.detector.flags(images))
        self.flagged += int(flags.sum())
        if self.classes is None:
            if flags.any():
                raise SuspectError(
                    f"the service refuses {flags.sum()} of {len(images)} images: they do not "
                    "look like clean ones"
                )
            return ask(self.suspect, images)
        labels = ask(self.suspect, images)
        labels[flags] = self.rng.integers(self.classes, size=flags.sum())
        return labels


class Named(Filter):
    """A service that has names for some labels only, and fails with a SuspectError at any other. To
    a judge that error is evidence too.

    names: one for each of the first labels, in order. Raises ValueError if there are none.
    """

    def __init__(self, suspect, names, price=0.01):
        super().__init__(suspect, price)
        if not len(names):
            raise ValueError("a service needs a name for at least one label")
        self.names = list(names)

    def answer(self, images):
        labels = ask(self.suspect, images)
        nameless = int((labels >= len(self.names)).sum())
        if nameless:
            raise SuspectError(
                f"the service fails at {nameless} of {len(images)} images: it has "
                f"{len(self.names)} names, and the model answered another label"
            )
        return labels


class QueryModification(Filter):
    """Answers for the reconstruction of an image where image and reconstruction get different
    labels (Namba and Sakuma 2019).

    With labels alone the answer is always that of the reconstruction; the comparison only tells Bob
    which queries look like keys. model: an autoencoder, from images to images. modified: answers
    that this has changed so far.
    """

    def __init__(self, suspect, model, price=0.01):
        super().__init__(suspect, price)
        self.model, self.modified = model, 0

    def answer(self, images):
        labels = ask(self.suspect, images)
        others = ask(self.suspect, reconstructed(self.model, images))
        self.modified += int((labels != others).sum())
        return others
