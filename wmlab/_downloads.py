"""The public data sets: where they lie, how a download is checked and read, and how a damaged file
is named.
"""

import contextlib
import dataclasses
import gzip
import os
import pathlib
import tarfile

import numpy as np

from wmlab.files import writing

ARRAYS = ("x_train", "y_train", "x_test", "y_test")

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_GOOGLE, _TORONTO = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://www.cs.toronto.edu/~kriz/",
)


class DataError(Exception):
    """Data could not be had: a file is damaged, or there is no source at all. The message says what
    to do.
    """


@dataclasses.dataclass(frozen=True)
class Known:
    """A data set wmlab can load: shape of an image, names of the classes, and public files with
    their checksums.
    """

    shape: tuple
    class_names: tuple
    base: str
    files: dict

    @property
    def classes(self):
        """Number of classes."""
        return len(self.class_names)


KNOWN = {
    # addresses and checksums: Keras (MNIST), the data set's own repository (Fashion-MNIST), its
    # home page (CIFAR). CIFAR in its binary form, because the Python form is a pickle.
    "mnist": Known(
        (28, 28, 1),
        _DIGITS,
        _GOOGLE,
        {"mnist.npz": "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
    ),
    "fashion_mnist": Known(
        (28, 28, 1),
        _CLOTHES,
        _GOOGLE,
        {
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": Known(
        (32, 32, 3),
        _THINGS,
        _TORONTO,
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
    ),
    "cifar100": Known(
        (32, 32, 3),
        tuple(map(str, range(100))),
        _TORONTO,
        {"cifar-100-binary.tar.gz": "md5:03b5dce01913d631647c71ecec9e9cb8"},
    ),
}


def cache():
    """The folder downloads are kept in: $WMLAB_CACHE, or the system's place for caches."""
    import pooch

    return pathlib.Path(os.environ.get("WMLAB_CACHE") or pooch.os_cache("wmlab"))


def fetch(name):
    """The path of a public data set as a Keras-style .npz file in the cache, downloaded and
    converted if need be.

    Raises OSError if it cannot be had, DataError if what came has the wrong checksum or cannot be
    read.
    """
    import pooch

    ready, known = cache() / f"{name}.npz", KNOWN[name]
    if not ready.exists():
        # pooch loads to the side and moves a file into place once its checksum is right
        fetcher = pooch.create(cache(), known.base, registry=known.files)
        try:
            paths = [pathlib.Path(fetcher.fetch(file, progressbar=True)) for file in known.files]
        except ValueError as error:  # pooch's word for a wrong checksum
            raise DataError(
                f"The download of {name} from {known.base} is not the file that wmlab knows (wrong checksum), and was "
                f"not kept. Try again later, or set WMLAB_DATA to a folder with {name}.npz."
            ) from error
        if name != "mnist":  # that one is such a file already
            with naming(paths[0]):
                arrays = _idx(paths) if name == "fashion_mnist" else _cifar(paths[0], name)
            with writing(ready) as part:
                np.savez(part, **arrays)
    return ready


@contextlib.contextmanager
def naming(path):
    """Turn whatever reading a damaged file raises into a DataError that names it; the file is left
    alone.
    """
    try:
        yield
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # a flipped bit can surface as anything, from zlib.error to tokenize.TokenError
        what = str(error).strip("'\"").partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} is damaged or not what it should be ({what}). It was left where it is: "
            "delete it to have it fetched again, or copy it anew."
        ) from None


def _idx(paths):
    """Arrays of the four gzipped IDX files of Fashion-MNIST; a header of 4 bytes and a size for
    each dimension.
    """
    arrays = {}
    for key, path in zip(ARRAYS, paths, strict=True):
        raw = gzip.decompress(path.read_bytes())
        shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
        arrays[key] = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    return arrays


def _cifar(path, name):
    """Arrays of CIFAR's binary archive: label bytes (the last one counts) and 3 x 32 x 32 pixels an
    image.
    """
    skip = 2 if name == "cifar100" else 1
    parts = {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in sorted(archive.getnames()):
            if member.endswith(".bin"):
                raw = np.frombuffer(archive.extractfile(member).read(), np.uint8).reshape(
                    -1, skip + 3072
                )
                parts["test" if "test" in member else "train"].append(raw)
    arrays = {}
    for split, rows in parts.items():
        rows = np.concatenate(rows)
        arrays[f"x_{split}"] = rows[:, skip:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"y_{split}"] = rows[:, skip - 1]
    return arrays
