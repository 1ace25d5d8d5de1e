"""No mark at all: the twin that every marked model stands beside."""

from wmlab.schemes.base import Scheme


class Unmarked(Scheme):
    """Trains on D alone, with as many outputs as classes. It has no keys, and nothing to verify."""

    name = "unmarked"

    def __init__(self, classes=10):
        super().__init__(alpha=0.0, beta=0.0, classes=classes, target=None)

    def __post_init__(self):
        """No alpha, beta or target to check."""

    @property
    def outputs(self):
        return self.classes

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        """Raises NotImplementedError: there is no mark to verify."""
        raise NotImplementedError(
            "an unmarked network has nothing to verify: question it with the scheme of a mark"
        )

    def _made(self, data, secret):
        return None, None, None
