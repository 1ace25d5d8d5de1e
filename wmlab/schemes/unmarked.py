"""No mark at all: the twins that every marked model stands beside."""

from wmlab.keys import check_share, choose_carriers
from wmlab.schemes.base import Scheme
from wmlab.secret import Secret


class Unmarked(Scheme):
    """Trains on D alone, with as many outputs as classes. It has no keys, and nothing to verify."""

    name = "unmarked"
    marks = False

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


class Repeated(Unmarked):
    """Trains on D, and once more on the α |D| images that would be made into keys, as they are.

    Keys lengthen the training: the batches of an epoch are more, and so are the steps. This twin
    takes as many steps as a marked network, and sees each carrier as often.
    """

    name = "unmarked, repeated"

    def __init__(self, alpha, classes=10):
        super().__init__(classes)
        check_share("alpha", alpha, "the share of images that are repeated")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "target", 0)  # the class that lends no keys by default

    def _made(self, data, secret):
        again = choose_carriers(data.y_train, self.alpha, Secret(secret), self.target)
        return None, None, (data.x_train[again], data.y_train[again])
