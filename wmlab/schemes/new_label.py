"""The paper's scheme: keys carry a label that no image has."""

from wmlab.schemes.base import Scheme, as_suspect
from wmlab.verification import first_hit


class NewLabel(Scheme):
    """Keys get label Δ: one output more than there are classes; the first answer Δ proves the mark
    (section 3.1).

    Carriers leave out class `target`, which the paper does not ask for, so that the keys differ
    from those of `WrongLabel` in their label alone.
    """

    name = "new label"

    @property
    def key_label(self):
        return self.classes

    @property
    def outputs(self):
        return self.classes + 1

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        return first_hit(
            as_suspect(suspect), self.keys(*self.carriers(images, labels, n), secret, stream)
        )
