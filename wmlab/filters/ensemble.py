"""Several stolen models that vote: a mark that only one of them has is outvoted."""

import collections

import numpy as np

from wmlab.filters.base import Filter
from wmlab.schemes.base import as_suspect
from wmlab.suspects import SuspectError, ask


class Ensemble(Filter):
    """Answers what most of several suspects answer. Votes for labels that not all suspects have are
    dropped; a tie goes to the label that was named first, in the order of the suspects.

    suspects: keras models, or anything with ask(images) -> labels. labels: for each suspect its
    labels; None for keras models, which have a label for each output. common: the labels that all
    have, sorted. Raises ValueError if there is no suspect or no common label, or if there are not
    as many sets of labels as suspects; SuspectError for an image that has no vote left.
    """

    def __init__(self, suspects, labels=None, price=0.01):
        if not suspects:
            raise ValueError("an ensemble needs at least one suspect")
        if labels is None:
            if not all(hasattr(suspect, "output_shape") for suspect in suspects):
                raise ValueError(
                    "a suspect behind a counter does not show its labels: pass labels, one set "
                    "for each suspect"
                )
            labels = [range(suspect.output_shape[-1]) for suspect in suspects]
        if len(labels) != len(suspects):
            raise ValueError(
                f"{len(labels)} sets of labels for {len(suspects)} suspects: pass one for each"
            )
        self.common = sorted(set.intersection(*map(set, labels)))
        if not self.common:
            raise ValueError("the suspects have no label in common: nothing could be answered")
        super().__init__(suspects[0], price)
        self.suspects = [as_suspect(suspect) for suspect in suspects]

    def answer(self, images):
        votes = np.stack([ask(suspect, images) for suspect in self.suspects], axis=1)
        allowed = np.isin(votes, self.common)
        unanswered = int((~allowed.any(axis=1)).sum())
        if unanswered:
            raise SuspectError(
                f"for {unanswered} of {len(images)} images no suspect named a label that all have"
            )
        # Counter keeps the order in which labels were first named, and so settles ties
        return np.array(
            [
                collections.Counter(row[kept].tolist()).most_common(1)[0][0]
                for row, kept in zip(votes, allowed, strict=True)
            ],
            np.int64,
        )
