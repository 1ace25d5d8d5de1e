"""What every filter is: a suspect that asks another suspect."""

from wmlab.keys import check_images
from wmlab.schemes.base import as_suspect
from wmlab.suspects import ask


class Filter:
    """A suspect that sells the answers of another suspect. Subclasses define `answer`.

    suspect: anything with ask(images) -> labels, or a keras model. price: of one answer. queries,
    cost: what was asked of the filter, refused or not; what the filter asks the suspect does not
    count. Raises TypeError for what is no suspect.
    """

    def __init__(self, suspect, price=0.01):
        self.suspect, self.price, self.queries = as_suspect(suspect), price, 0

    @property
    def cost(self):
        """Price of all queries so far."""
        return self.queries * self.price

    def ask(self, images):
        """Labels of the images (n, height, width, channels), floats in [0, 1]: int64 (n,). Each is
        one paid query.
        """
        if not len(images):
            return ask(self.suspect, images)
        check_images(images)
        self.queries += len(images)
        return self.answer(images)

    def answer(self, images):
        """Labels of images that were checked and counted: int64 (n,)."""
        raise NotImplementedError


class Transformed(Filter):
    """Answers for changed images: change(images) -> images, such as those of `transforms`."""

    def __init__(self, suspect, change, price=0.01):
        super().__init__(suspect, price)
        self.change = change

    def answer(self, images):
        return ask(self.suspect, self.change(images))
