"""Bob acts on what he suspects to be a key: he refuses, answers at random, fails, or answers for
another picture.
"""

import numpy as np

from wmlab.filters.base import Filter
from wmlab.filters.detectors import reconstructed
from wmlab.suspects import SuspectError, ask


class Rejecting(Filter):
    """Does not answer images that a detector flags (query rejection, section 5 of the paper).

    suspect: as in `Filter`. detector: anything with flags(images) -> bool (n,). classes: None, it
    refuses the request with a SuspectError; a number, it answers flagged images with one of so many
    labels, drawn at random by `seed`.
    flagged: how many images it has called keys so far. Raises ValueError if there are no classes to
    draw from.
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
    """A service that has names for some labels only, and fails where the model says another: an
    error is evidence too.

    names: one for each label that it can name, in order. Raises ValueError if there are none.
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
                f"{len(self.names)} names, and the "
                "model answered another label"
            )
        return labels


class QueryModification(Filter):
    """Answers for the reconstruction of an image where image and reconstruction get different
    labels (Namba and Sakuma 2019).

    model: an autoencoder, images to images. modified: how many answers this has changed so far; Bob
    takes those for keys. With labels alone the answer is always that of the reconstruction: the
    comparison tells Bob about the query, no more.
    """

    def __init__(self, suspect, model, price=0.01):
        super().__init__(suspect, price)
        self.model, self.modified = model, 0

    def answer(self, images):
        labels, others = (
            ask(self.suspect, images),
            ask(self.suspect, reconstructed(self.model, images)),
        )
        self.modified += int((labels != others).sum())
        return others
