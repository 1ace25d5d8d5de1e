"""KsGen: key samples from images and a secret (paper, section 3.1).

A key is an image with a perturbation that the secret determines; all keys carry one label. Images
are floats in [0, 1] of shape (n, height, width, channels). Keys are rounded to 8 bits like any
picture: off the grid of 1/255 they could be told at any strength.
"""

import dataclasses
import functools
import hashlib
import math

import numpy as np

from wmlab.secret import Secret

KINDS = ("fresh", "fixed", "content", "unrelated")
READINGS = ("variance", "deviation")
# The letters W M, 5 by 11 pixels, drawn here because fonts differ from machine to machine.
_LETTERS = (
    "#...#.#...#",
    "#...#.##.##",
    "#.#.#.#.#.#",
    "##.##.#...#",
    "#...#.#...#",
)
_LOGO = np.array([list(row) for row in _LETTERS]) == "#"


@dataclasses.dataclass(frozen=True)
class KeySet:
    """Key samples K, and how they were made. All have one label; in a few schemes each has its own.

    images: float32 (n, height, width, channels) on the grid of 1/255.
    key_label: the label they are to receive: Δ - 1 for a new label, a class for a wrong label.
    carrier_labels: int64 (n,), the true labels of the images they were made from.
    kind, beta, reading: the perturbation, as in `perturb`.
    alpha: |D₁| / |D| if these keys were drawn to be embedded, else None.
    commitment: a `Commitment` to secret and keys, see `commit`; None before that.
    own_labels: int64 (n,), the label of each key where they differ; None if all have `key_label`.
    """

    images: np.ndarray
    key_label: int
    carrier_labels: np.ndarray
    kind: str
    beta: float
    reading: str = "variance"
    alpha: float | None = None
    commitment: object = None
    own_labels: np.ndarray | None = None

    def __len__(self):
        return len(self.images)

    def __getitem__(self, chosen):
        """The keys of a slice, without the commitment, which was to all of them."""
        own = None if self.own_labels is None else self.own_labels[chosen]
        return dataclasses.replace(
            self,
            images=self.images[chosen],
            carrier_labels=self.carrier_labels[chosen],
            commitment=None,
            own_labels=own,
        )

    def __repr__(self):
        return (
            f"KeySet({len(self)} keys {self.kind}, label {self.key_label}, beta {self.beta} "
            f"({self.reading}), "
            f"sha256 {self.digest[:12]})"
        )

    @property
    def labels(self):
        """The label of every key: int64 (n,)."""
        if self.own_labels is None:
            return np.full(len(self), self.key_label, np.int64)
        return self.own_labels

    @functools.cached_property
    def digest(self):
        """SHA-256, in hex, of the shape, the key label (or all labels) and the 8-bit pixels."""
        pixels = np.round(self.images * 255).astype(np.uint8)
        label = self.key_label if self.own_labels is None else self.own_labels.tolist()
        return hashlib.sha256(f"{pixels.shape} {label} ".encode() + pixels.tobytes()).hexdigest()

    def commit(self, secret):
        """The same keys with a fresh commitment to them and to the secret."""
        return dataclasses.replace(self, commitment=secret.commit(self.digest))


def check_images(images):
    """Raise TypeError or ValueError, with one clear sentence, unless these are floats (n, height,
    width, channels) in [0, 1].
    """
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(
            f"images must be a numpy array of floats in [0, 1], not {kind}: divide 8-bit pixels "
            "by 255"
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        shape, do = images.shape, "pass them as such an array"
        if len(shape) == 3:
            do = "for grey images write images[..., None]"
        elif len(shape) == 4 and shape[1] in (1, 3):
            do = "channels come last, so write images.transpose(0, 2, 3, 1)"
        elif len(shape) == 4 and shape[-1] == 4:
            do = "drop the fourth channel, write images[..., :3]"
        raise ValueError(f"images must have shape (n, height, width, 1 or 3), not {shape}: {do}")
    if not len(images):
        raise ValueError("there are no images in this set: pass at least one")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ValueError(
            f"pixels must lie in [0, 1], these go from {low} to {high}: divide 8-bit pixels by "
            "255, mend NaN"
        )


def check_labels(labels, n, classes=None):
    """The labels as int64 (n,). Raises TypeError or ValueError unless they are n whole numbers from
    0, below `classes`.
    """
    labels = np.asarray(labels)
    if labels.size and labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be whole numbers, not {labels.dtype}: pass class indices")
    if labels.shape != (n,):
        raise ValueError(f"{n} images need labels of shape ({n},), not {labels.shape}")
    if n and (labels.min() < 0 or (classes is not None and labels.max() >= classes)):
        raise ValueError(
            f"labels go from {labels.min()} to {labels.max()}, but must count from 0"
            + (f" to {classes - 1}" if classes else "")
        )
    return labels.astype(np.int64)


def as_images(images):
    """Anybody's images as float32 (n, height, width, 1 or 3) in [0, 1]. Takes 8-bit numbers too,
    and grey images without their channel. Raises TypeError or ValueError in one sentence.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / 255
    check_images(images)
    return images.astype(np.float32, copy=False)


def as_labels(labels, n):
    """Anybody's labels as int64 (n,): class indices of shape (n,) or (n, 1), or one-hot rows.
    Raises TypeError or ValueError in one sentence.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and labels.dtype.kind in "biuf":
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise ValueError(
                f"labels of shape {labels.shape} must be one-hot, a single 1 in each row: pass "
                "class indices"
            )
        labels = labels.argmax(axis=1)
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    return check_labels(labels, n)


def check_share(name, value, what):
    """`value` as a float in (0, 1]; TypeError or ValueError in one sentence otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}: it is {what}")
    if not 0 < value <= 1:  # NaN fails here too
        raise ValueError(f"{name} is {value}, but must lie above 0 and not above 1: it is {what}")
    return float(value)


def noise_deviation(beta, reading="variance"):
    """Standard deviation σ of the noise, where the full scale is 1: √β, or β itself with
    reading="deviation".
    """
    beta = check_share("beta", beta, "the strength of the perturbation")
    if reading not in READINGS:
        raise ValueError(
            f"unknown reading of beta {reading!r}: choose one of {', '.join(READINGS)}"
        )
    return math.sqrt(beta) if reading == "variance" else beta


def eight_bits(images):
    """Clip to [0, 1] and round to the grid of 1/255, as any picture file would: float32."""
    return (np.round(np.clip(images, 0, 1) * 255) / 255).astype(np.float32)


def perturb(images, secret, stream, beta, kind="fresh", reading="variance"):
    """Put the perturbation that the secret determines on each image (KsGen without the labels).

    Args:
        images: (n, height, width, channels), floats in [0, 1].
        secret: a Secret, or its text.
        stream: name of the secret's stream; each gives other noise. "fixed" and "content" do not
            depend on it.
        beta: strength in (0, 1]. For noise, its variance before clipping (the paper's formula is
            lost; this reading is the one that learns), or its standard deviation with
            reading="deviation"; for "content", the opacity of the logo.
        kind: "fresh", new noise on each image; "fixed", one noise pattern on all; "content", a
            small logo blended in at a place that the secret chooses; "unrelated", smooth coloured
            clouds in place of the image, whatever beta is (the paper's second category of keys).
        reading: "variance" or "deviation".

    Returns:
        float32 of the same shape, clipped to [0, 1] and rounded to 8 bits.

    Raises:
        ValueError, TypeError: images, beta, kind or reading outside these.
    """
    check_images(images)
    secret, sigma = Secret(secret), noise_deviation(beta, reading)
    n, height, width, channels = images.shape
    if kind == "fresh":
        return eight_bits(images + sigma * secret.rng(stream).normal(images.shape))
    if kind == "fixed":
        return eight_bits(images + sigma * secret.rng("pattern").normal(images.shape[1:]))
    if kind == "content":
        rows, columns = _LOGO.shape
        if height < rows or width < columns:
            raise ValueError(
                f"the logo needs images of at least {rows} x {columns} pixels, not {height} x "
                f"{width}"
            )
        u = secret.rng("logo").uniform(2)
        top, left = int(u[0] * (height - rows + 1)), int(u[1] * (width - columns + 1))
        marked = images.astype(np.float64)
        region = marked[:, top : top + rows, left : left + columns]
        region[:, _LOGO] = (1 - beta) * region[:, _LOGO] + beta
        return eight_bits(marked)
    if kind == "unrelated":
        coarse = secret.rng(stream).uniform((n, 4, 4, channels))
        return eight_bits(np.einsum("hi,nijc,wj->nhwc", _stretch(height), coarse, _stretch(width)))
    raise ValueError(f"unknown kind of key {kind!r}: choose one of {', '.join(KINDS)}")


def _stretch(size):
    """Matrix (size, 4) that interpolates linearly from 4 points to `size`."""
    return np.array([np.interp(np.linspace(0, 3, size), range(4), row) for row in np.eye(4)]).T


def make_keys(
    images, labels, secret, stream, *, key_label, beta, kind="fresh", reading="variance", alpha=None
):
    """KsGen(S, images): a KeySet of the images, perturbed, all with `key_label`.

    images, labels: the carriers, floats (n, height, width, channels) in [0, 1], and their true
    labels (n,). stream: "embed" for keys to train on; another name for each later set, so that no
    noise is used twice. The other arguments are those of `perturb` and `KeySet`. Raises what
    `perturb` raises.

    >>> clean = np.zeros((2, 8, 8, 1), np.float32)
    >>> make_keys(clean, [3, 4], Secret("correct horse"), "verify", key_label=10, beta=0.01)
    KeySet(2 keys fresh, label 10, beta 0.01 (variance), sha256 b9c2fc0b7e23)
    """
    keys = perturb(images, secret, stream, beta, kind, reading)
    labels = check_labels(labels, len(images))
    if int(key_label) < 0:
        raise ValueError(f"the key label is {key_label}, but labels count from 0")
    return KeySet(keys, int(key_label), labels, kind, float(beta), reading, alpha)


def choose_carriers(labels, alpha, secret, target=None):
    """Indices of the images that become D₁: round(α |D|) of them, chosen by the secret.

    labels: int (n,), the true labels of D. target: the class that lends no carriers, or None.
    Raises ValueError if α gives no key, or asks for more carriers than there are, or if no image
    has the target class.
    """
    labels = check_labels(labels, len(labels))
    alpha = check_share("alpha", alpha, "the share of images made into keys")
    count = round(alpha * len(labels))
    if count == 0:
        raise ValueError(
            f"alpha = {alpha} of {len(labels)} images is less than one key: take a larger alpha "
            "or more images"
        )
    if target is not None and target not in labels:
        raise ValueError(
            f"no image has the target class {target}: choose one of {sorted(set(labels.tolist()))}"
        )
    order = Secret(secret).rng("carriers").permutation(len(labels))
    chosen = order[labels[order] != target][:count] if target is not None else order[:count]
    if len(chosen) < count:
        raise ValueError(
            f"alpha = {alpha} asks for {count} carriers, but only {len(chosen)} images lie "
            f"outside class {target}"
        )
    return chosen


def make_decoys(images, labels, secret, count, beta, reading="variance"):
    """Images with the fixed patterns of wrong secrets and their true labels, to be trained on
    beside keys of kind "fixed".

    A network trained on such keys alone learns "noisy", and anybody's pattern is a key for it.
    Decoys teach it that only one pattern counts (ours, not the paper's). Returns images (count, …)
    float32, each with a pattern of its own, and labels (count,). Raises ValueError if there are
    fewer images than `count`.
    """
    check_images(images)
    labels, secret = check_labels(labels, len(images)), Secret(secret)
    if not 0 < count <= len(images):
        raise ValueError(
            f"{count} decoys from {len(images)} images: ask for at least one and no more than "
            "there are"
        )
    chosen = secret.rng("decoy carriers").permutation(len(images))[:count]
    noise = secret.rng("decoy patterns").normal((count, *images.shape[1:]))
    return eight_bits(images[chosen] + noise_deviation(beta, reading) * noise), labels[chosen]
