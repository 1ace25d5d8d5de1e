"""DeepMarks (Chen et al. 2019): a code word for each user, so that a leak names who leaked."""

import dataclasses

import keras
import numpy as np
from keras import ops

from wmlab.schemes.evidence import Cited, last_kernel, mean_filter, projected
from wmlab.suspects import opened
from wmlab.training import train
from wmlab.verification import Direction

# residues of 31 in which every difference occurs once: a (31, 6, 1) design
DIFFERENCES, LENGTH = (1, 5, 11, 24, 25, 27), 31
THRESHOLD = 0.8  # of a mean of ±1, from which on a bit is 1: with one -1 in five the mean is 0.6


def code():
    """The code: bool (users, bits), 31 x 31. User j has 0 at the places j + DIFFERENCES mod 31, and
    1 elsewhere, so any five users are told by the AND of their words.
    """
    words = np.ones((LENGTH, LENGTH), bool)
    for user in range(LENGTH):
        words[user, (np.array(DIFFERENCES) + user) % LENGTH] = False
    return words


class Pull(keras.regularizers.Regularizer):
    """strength · ‖X w - f‖²: w is the mean filter, X (v, n), f (v,)."""

    def __init__(self, matrix, wanted, strength):
        self.matrix, self.wanted = matrix.astype(np.float32), wanted.astype(np.float32)
        self.strength = strength

    def __call__(self, kernel):
        left = ops.matmul(self.matrix, mean_filter(kernel)) - self.wanted
        return self.strength * ops.sum(ops.square(left))


@dataclasses.dataclass(frozen=True)
class DeepMarks(Cited):
    """X w of a trained network is pulled to f = a Σ ±u_i, the code word of one user in orthonormal
    directions u_i (Chen, Rouhani, Fu, Zhao and Koushanfar 2019).

    w is the mean filter of the last convolution. X and u come from the secret. Averages of the
    copies of up to 5 users are the AND of their words, up to noise, and it names them. Published:
    codes of 31 bits, γ 0.1, a few epochs of tuning. Ours: γ 100, a 0.02, 1 epoch; γ belongs to the
    scale of X and w. A public toolbox compares with what it extracted itself; here f is kept.

    user: 0 to 30. strength: γ. size: a.
    """

    user: int = 0
    strength: float = 100.0
    size: float = 0.02
    epochs: int = 1

    name = "deepmarks"
    access = "weights"
    tuned = True

    def __post_init__(self):
        if self.user not in range(LENGTH):
            raise ValueError(f"user {self.user}, but the code has words for users 0 to 30")

    def made(self, data, secret, model):
        room = int(np.prod(last_kernel(model).shape[:-1]))
        if room < LENGTH:
            raise ValueError(f"{LENGTH} bits, but the mean filter has {room} numbers")
        frame = secret.rng("directions").normal((LENGTH, LENGTH))
        return {
            "X": secret.rng("projection").normal((LENGTH, room)) / np.sqrt(room),
            "u": np.linalg.qr(frame)[0],
        }

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        wanted = self.size * evidence["u"].T @ np.where(code()[self.user], 1, -1)
        last_kernel(model).regularizer = Pull(evidence["X"], wanted, self.strength)
        return train(
            data,
            self.outputs,
            recipe,
            seed=seed,
            name=self.name,
            on_epoch=on_epoch,
            model=model,
        )

    def values(self, suspect, evidence):
        """u · X w / a of the suspect's weights: float64 (31,), near ±1 where it was marked."""
        self.check_evidence(evidence)
        model = opened(suspect, self.access)
        read = projected(evidence["X"], mean_filter(last_kernel(model)), model.name)
        return evidence["u"] @ read / self.size

    def bits(self, suspect, evidence):
        """The bits that are read: bool (31,). In an average of copies, the AND of their words."""
        return self.values(suspect, evidence) > THRESHOLD

    def read(self, suspect, evidence):
        return self.bits(suspect, evidence) == code()[self.user]

    def named(self, suspect, evidence):
        """The users whose words explain the bits that are read: a list of int."""
        bits = self.bits(suspect, evidence)
        if bits.all():
            return []
        return [user for user, word in enumerate(code()) if not (bits & ~word).any()]

    def cosines(self, suspect, evidence):
        """The cosine of what is read with each user's direction: float64 (31,), in [-1, 1]."""
        values = self.values(suspect, evidence)
        words = np.where(code(), 1, -1)
        size = np.linalg.norm(values) * np.sqrt(LENGTH)
        return words @ values / max(size, 1e-300)  # weights may all be 0

    def null(self, evidence):
        return Direction(LENGTH, LENGTH)

    def verify(self, suspect, evidence, null=None):
        """Ver: the largest cosine of all users. A direction of the secret is random for every
        innocent, so the null is `Direction`. The words say whom the bits name.
        """
        self.check_evidence(evidence)
        null = self.null(evidence) if null is None else null
        cosines = self.cosines(suspect, evidence)
        p_value, note = null.weigh(float(cosines.max()))
        users = self.named(suspect, evidence) if p_value <= self.level else []
        who = f"the bits name users {', '.join(map(str, users))}" if users else "the bits name none"
        return self._verdict(
            p_value,
            len(users),
            str(null),
            note,
            f"the best cosine is {cosines.max():.2f}, that of user {cosines.argmax()}; {who}",
            float(np.mean(self.read(suspect, evidence))),
        )

    def picture(self, suspect, evidence, n=6):
        """Dict of `values` (31,), near ±1 where marked, the `bits` read, and `cosines` (31,)."""
        return {
            "values": self.values(suspect, evidence),
            "bits": self.bits(suspect, evidence),
            "cosines": self.cosines(suspect, evidence),
        }
