"""Alice's secret: independent random streams drawn from it, and commitments made to it.

Everything that must be the same on every machine (carriers, noise, patterns, logos) comes from a
stream. A stream is Philox, a counter-based generator whose raw output numpy guarantees, seeded by
HMAC-SHA256(secret, stream name). A normal number is the inverse normal distribution function at a
uniform number, and so a fixed function of the raw bits. Two implementations may differ in the last
of 53 bits; keys keep 8.
"""

import dataclasses
import hashlib
import hmac
import secrets
import unicodedata

import numpy as np
from scipy.special import ndtri


class Stream:
    """A reproducible source of random numbers. Made by `Secret.rng`; successive calls continue the
    stream.
    """

    def __init__(self, seed):
        key, counter = int.from_bytes(seed[:16], "big"), int.from_bytes(seed[16:32], "big") << 128
        self._bits = np.random.Philox(key=key, counter=counter)

    def uniform(self, shape):
        """Independent uniform numbers in the open interval (0, 1): float64 of the given shape."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        # 52 bits: with 53 the largest, plus a half, would round up to 1
        return (((raw >> np.uint64(12)) + 0.5) * 2.0**-52).reshape(shape)

    def normal(self, shape):
        """Independent normal numbers, mean 0 and variance 1: float64 of the given shape."""
        return ndtri(self.uniform(shape))

    def permutation(self, n):
        """The whole numbers 0 to n-1 in random order: int64 of shape (n,)."""
        return np.argsort(self.uniform(n), kind="stable")


@dataclasses.dataclass(frozen=True)
class Commitment:
    """What Alice publishes before a dispute, and the nonce that she keeps until the trial.

    published: hex SHA-256 of a 32-byte nonce, the secret and the digest of the keys. It tells
    nothing about any of them. nonce: 32 random bytes; without them nobody can test guesses of the
    secret against `published`.
    """

    published: str
    nonce: bytes = dataclasses.field(repr=False)

    def opens(self, secret, digest):
        """True if this commitment is to this secret and to keys with this digest."""
        return hmac.compare_digest(self.published, secret.commit(digest, self.nonce).published)


class Secret:
    """A text that only Alice knows: S in the paper. Its repr never shows the text.

    A phrase that can be guessed is a weak secret, whatever the hash: take 128 random bits
    (`Secret.random()`) where it matters. Raises TypeError for anything but text, ValueError for an
    empty text.

    >>> Secret("correct horse").rng("embed").uniform(2).round(3)
    array([0.58, 0.81])
    """

    def __init__(self, text):
        if isinstance(text, Secret):
            text = text._text.decode()
        if not isinstance(text, str):
            raise TypeError(f"a secret is a text, not {type(text).__name__}: write it in quotes")
        if not text.strip():
            raise ValueError(
                "the secret is empty: choose a text that nobody can guess, or take Secret.random()"
            )
        # the same word typed on another system may arrive as other code points
        self._text = unicodedata.normalize("NFC", text).encode()

    @classmethod
    def random(cls):
        """A secret of 128 random bits from the operating system."""
        return cls(secrets.token_hex(16))

    def __repr__(self):
        return "Secret(hidden)"

    def __eq__(self, other):
        return isinstance(other, Secret) and hmac.compare_digest(self._text, other._text)

    __hash__ = None  # with a hash that is shown, guesses could be tested

    def rng(self, stream):
        """The stream of this name, from its start; streams of other names are independent of it."""
        return Stream(hmac.digest(self._text, b"stream\0" + stream.encode(), "sha256"))

    def commit(self, digest, nonce=None):
        """A Commitment to this secret and to keys.

        digest: hex digest of the keys (`KeySet.digest`). nonce: 32 bytes, by default random; the
        judge who opens a commitment gives its nonce. Raises ValueError for another length.
        """
        nonce = secrets.token_bytes(32) if nonce is None else nonce
        if len(nonce) != 32:
            raise ValueError(f"a nonce has 32 bytes, this one has {len(nonce)}")
        # the nonce and the inner hash have fixed lengths, so no two triples run together to the
        # same bytes
        inner = hashlib.sha256(self._text).digest()
        return Commitment(hashlib.sha256(nonce + inner + digest.encode()).hexdigest(), nonce)
