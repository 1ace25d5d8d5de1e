"""Suspects: black boxes that answer a label per image, count the questions, and charge for them."""
import numpy as np

from wmlab.keys import check_images
from wmlab.training import predict


class SuspectError(RuntimeError):
    """A suspect did not answer as agreed: one label for each image."""


class LocalSuspect:
    """A model in this process behind the counter of a paid service.

    model: a keras model, logits or probabilities out. price: of one answer, in whatever currency.
    queries and cost: answers bought so far, and what they cost.
    """

    def __init__(self, model, price=0.01):
        self.model, self.price, self.queries = model, price, 0

    @property
    def cost(self):
        """Price of all answers so far."""
        return self.queries * self.price

    def ask(self, images):
        """Labels of the images (n, height, width, channels), floats in [0, 1]: int64 (n,). Each is one paid query."""
        if len(images):
            check_images(images)
        self.queries += len(images)
        return predict(self.model, images)


def ask(suspect, images):
    """Ask any suspect and check its answer: int64 (n,). Raises SuspectError unless it gives one label an image."""
    answer = suspect.ask(images)
    try:
        labels = np.asarray([] if answer is None else answer)
    except ValueError:
        raise SuspectError("the suspect gave lists of uneven length: it owes one label a query") from None
    if labels.shape != (len(images),):
        raise SuspectError(f"the suspect gave {labels.size} labels for {len(images)} images: it owes one a query")
    if labels.dtype.kind not in "iu":
        raise SuspectError(f"the suspect answered {labels.dtype} values, not whole-numbered labels")
    return labels.astype(np.int64)
