"""The paper's scheme: keys carry a label that no image has."""

from wmlab.schemes.base import Scheme, as_suspect
from wmlab.verification import controlled, first_hit


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
        """Ver: ask one key at a time until the first answer Δ. If there are keys left then, ask the
        image that this key was made from, too: a model that answers Δ to everything is acquitted.
        """
        clean = self.carriers(images, labels, n)
        return self._first_hit(as_suspect(suspect), self.keys(*clean, secret, stream), clean[0])

    def _first_hit(self, suspect, keys, clean):
        verdict = first_hit(suspect, keys)
        last = verdict.queries - 1
        return controlled(verdict, suspect, clean[:-1][last : last + 1])
