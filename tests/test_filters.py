"""Filters: pictures changed before they are answered, detectors of keys, refusals, and votes."""

import functools
import io
import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from scipy import fft
from sklearn import metrics

from wmlab import filters, models
from wmlab.attacks import Tuning
from wmlab.filters import detectors
from wmlab.schemes import NewLabel
from wmlab.secret import Secret
from wmlab.suspects import SuspectError, ask
from wmlab.training import Recipe, predict
from wmlab.verification import first_hit


class Says:
    """A suspect that reads its answer off the first pixel, and remembers what it was asked."""

    def __init__(self):
        self.seen = []

    def ask(self, images):
        self.seen.append(images)
        return np.round(images[:, 0, 0, 0] * 255).astype(int)


def showing(*labels):
    """Images that `Says` answers with these labels."""
    pixels = np.array(labels, np.float32).reshape(-1, 1, 1, 1) / np.float32(255)
    return np.tile(pixels, (1, 8, 8, 1))


class Flags:
    """A detector that flags images whose label would be above 100."""

    def flags(self, images):
        return images[:, 0, 0, 0] * 255 > 100


@pytest.fixture(scope="module")
def pictures():
    """Noise on a slope, grey and in colour: nothing that a codec or a median leaves as it is."""
    rng = np.random.default_rng(3)

    def make(channels):
        slope = np.linspace(0.2, 0.8, 16)[:, None, None] * np.ones((4, 1, 16, channels))
        noisy = np.clip(slope + 0.1 * rng.standard_normal((4, 16, 16, channels)), 0, 1)
        return (np.round(noisy * 255) / 255).astype(np.float32)

    return {1: make(1), 3: make(3)}


CHANGES = {
    "jpeg": functools.partial(filters.jpeg, quality=40),
    "median": functools.partial(filters.median, size=3),
    "bit depth": functools.partial(filters.bit_depth, bits=2),
    "noise": lambda images: filters.AddedNoise(0.01)(images),
}


def test_a_changed_picture_is_a_picture(pictures):
    for images, change in itertools.product(pictures.values(), CHANGES.values()):
        before, changed = images.copy(), change(images)
        assert changed.shape == images.shape and changed.dtype == np.float32
        assert 0 <= changed.min() and changed.max() <= 1
        assert np.array_equal(images, before) and 0.001 < np.abs(changed - images).mean() < 0.2
        assert np.array_equal(change(images), changed)


def test_jpeg_is_the_real_codec(pictures):
    """Against the definition: 8 x 8 cosine transforms, rounded to the table of the file's header,
    and back.
    """
    for quality in [10, 50, 90]:
        images = pictures[1]
        file, pixels = io.BytesIO(), np.round(images[0, ..., 0] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        table = np.array(Image.open(file).quantization[0]).reshape(8, 8)
        blocks = (images[..., 0] * 255 - 128).reshape(4, 2, 8, 2, 8).transpose(0, 1, 3, 2, 4)
        coarse = np.round(fft.dctn(blocks, axes=(-2, -1), norm="ortho") / table) * table
        decoded = np.clip(np.round(fft.idctn(coarse, axes=(-2, -1), norm="ortho") + 128), 0, 255)
        expected = decoded.transpose(0, 1, 3, 2, 4).reshape(4, 16, 16)
        apart = np.abs(filters.jpeg(images, quality)[..., 0] * 255 - expected)
        assert apart.mean() < 1 and apart.max() <= 2 + 0.2 * table.max()


def test_median_of_the_square_around_a_pixel(pictures):
    for size in [1, 3, 5]:
        images, half = pictures[3], size // 2
        changed = filters.median(images, size)
        for row, column in itertools.product(range(half, 16 - half, 3), repeat=2):
            square = images[:, row - half : row + half + 1, column - half : column + half + 1]
            middle = np.median(square, axis=(1, 2)).astype(np.float32)
            assert np.array_equal(changed[:, row, column], middle)


def test_bit_depth(pictures):
    for bits in [1, 3, 8]:
        images = pictures[3]
        coarse = filters.bit_depth(images, bits)
        levels = np.linspace(0, 1, 2**bits)
        nearest = levels[np.abs(images[..., None] - levels).argmin(axis=-1)]
        assert np.allclose(coarse, nearest, atol=1e-6)
        assert np.array_equal(filters.bit_depth(coarse, bits), coarse)


def test_added_noise_is_as_strong_as_said_and_repeats_with_its_seed():
    grey = np.full((200, 8, 8, 3), 128 / 255, np.float32)
    noise = (filters.AddedNoise(0.01, seed=1)(grey) - grey).ravel() * 10
    n = len(noise)
    assert abs(noise.mean()) * math.sqrt(n) <= 4.5
    assert abs(noise.var() - 1 - 0.01**2 * 100 / 12) * math.sqrt(n / 2) <= 4.5
    one, another, other = (filters.AddedNoise(0.01, seed=seed) for seed in (1, 1, 2))
    four = one(grey[:4])
    assert np.array_equal(four, np.concatenate([another(grey[:1]) for _ in range(4)]))
    assert not np.array_equal(four[:1], four[1:2])
    assert not np.array_equal(four[:1], other(grey[:1]))


def test_a_filter_is_a_suspect_that_counts_what_it_was_asked():
    inner = Says()
    suspect = filters.Transformed(inner, lambda images: images / 2, price=0.5)
    assert ask(suspect, showing(100, 60)).tolist() == [50, 30]
    assert np.array_equal(inner.seen[0], showing(100, 60) / 2)
    assert (suspect.queries, suspect.cost) == (2, 1.0)
    assert len(suspect.ask(showing())) == 0 and suspect.queries == 2
    stacked = filters.Transformed(suspect, lambda images: images / 2)
    assert ask(stacked, showing(100)).tolist() == [25] and suspect.queries == 3


@pytest.mark.trains
def test_a_keras_model_behind_a_filter(trained, data):
    same = filters.Transformed(trained.model, lambda images: images)
    assert np.array_equal(same.ask(data.x_test), predict(trained.model, data.x_test))


# detectors


def test_nonzero_pixels_tell_digits_from_keys(digits):
    images = digits.x_test[:300]
    assert filters.nonzero_pixels(images[:9]).tolist() == [
        np.count_nonzero(image) / 784 for image in images[:9]
    ]
    for beta in (0.01, 0.0001):
        keys = NewLabel(0.1, beta).keys(images, digits.y_test[:300], "Alice", "trial").images
        assert filters.roc(filters.nonzero_pixels(images), filters.nonzero_pixels(keys))[2] >= 0.999


def test_the_noise_estimator_is_unbiased_on_smooth_ground():
    for sigma, channels in itertools.product((0.01, 0.05), (1, 3)):
        rng = np.random.default_rng(8)
        slope = np.linspace(0.3, 0.7, 32)[:, None, None] * np.ones((400, 1, 32, channels))
        assert filters.noise_estimate(slope).max() < 1e-9
        found = filters.noise_estimate(slope + sigma * rng.standard_normal(slope.shape))
        assert abs(found.mean() - sigma) / (found.std() / math.sqrt(400)) <= 4.5
        noisier = np.clip(slope + 2 * sigma * rng.standard_normal(slope.shape), 0, 1)
        assert found.std() < 0.1 * sigma
        assert filters.roc(found, filters.noise_estimate(noisier))[2] == 1


@given(
    n=st.integers(1, 60),
    share=st.sampled_from([0.01, 0.07, 0.29, 0.5, 1]),
    ties=st.booleans(),
    seed=st.integers(0, 20),
)
@example(n=100, share=0.29, ties=False, seed=0)  # 28.999999999999996 in floating point
def test_a_threshold_keeps_false_alarms_below_the_share(n, share, ties, seed):
    rng = np.random.default_rng(seed)
    clean = (rng.integers(0, 5, n) if ties else rng.permutation(n)) / np.float64(100)
    images = np.full((n, 3, 3, 1), clean.reshape(-1, 1, 1, 1))
    detector = filters.Detector(lambda images: images[:, 0, 0, 0], images, share)
    alarms, allowed = detector.flags(images).sum(), round(share * 100) * n // 100
    assert alarms <= allowed and (ties or alarms == allowed)
    assert detector.flags(images[:1] * 0 + 1).all()
    assert share == 1 or not detector.flags(images[:1] * 0 - 1).any()


@given(
    clean=st.lists(st.integers(0, 8), min_size=1, max_size=30),
    keys=st.lists(st.integers(2, 9), min_size=1, max_size=30),
)
def test_roc_is_sklearns(clean, keys):
    alarms, found, area = filters.roc(np.array(clean), np.array(keys))
    truth, scores = [0] * len(clean) + [1] * len(keys), clean + keys
    expected = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert np.allclose(alarms, expected[0]) and np.allclose(found, expected[1])
    assert area == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert area == pytest.approx(np.trapezoid(found, alarms))


@pytest.fixture(scope="module")
def encoder(digits):
    return filters.autoencoder(digits.x_train[:1500], Tuning(4, 64, 5e-3))


@pytest.mark.slow
@pytest.mark.trains
def test_an_autoencoder_flags_keys_by_reconstruction_error(encoder, digits):
    score, images = filters.reconstruction_error(encoder), digits.x_test[:300]
    errors = score(images)
    rebuilt = filters.reconstructed(encoder, images)
    assert rebuilt.shape == images.shape and 0 <= rebuilt.min() and rebuilt.max() <= 1
    assert np.allclose(errors, np.square(images - rebuilt).reshape(300, -1).mean(axis=1), atol=1e-7)
    assert errors.mean() < 0.4 * images.var(axis=0).mean(), "it says no more than the mean image"
    keys = NewLabel(0.1, 0.01).keys(images, digits.y_test[:300], "Alice", "trial").images
    assert filters.roc(errors, score(keys))[2] >= 0.6


@pytest.mark.trains
@pytest.mark.usefixtures("without_compilation")
def test_an_autoencoder_repeats_with_its_seed_and_leaves_images_alone(data):
    images = data.x_train[:64].copy()
    one, again, other = (
        filters.autoencoder(images, Tuning(1, 64), seed).get_weights() for seed in (1, 1, 2)
    )
    assert np.array_equal(images, data.x_train[:64])
    assert all(map(np.array_equal, one, again)) and not np.array_equal(one[0], other[0])


def test_a_key_detector_learns_from_noise_of_bobs_own(data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        detectors,
        "train",
        lambda both, outputs, how, **options: (
            seen.append((both, outputs, options)) or type("Run", (), {"model": None})
        ),
    )
    filters.key_detector(data, (0.01, 0.1), "Bob", Recipe("dense", 1, 32), seed=4)
    ((both, outputs, options),) = seen
    noisy = both.x_train[300:]
    assert outputs == both.classes == 2 and options["seed"] == 4
    assert np.array_equal(both.x_train[:300], data.x_train)
    assert both.y_train.tolist() == [0] * 300 + [1] * 300
    alternate = np.concatenate([data.x_train[::2], data.x_train[1::2]])
    strengths = ((noisy - alternate)[alternate == 0] ** 2).reshape(-1)
    half = (alternate[:150] == 0).sum()
    for strength, share in ((0.01, strengths[:half]), (0.1, strengths[half:])):
        assert share.mean() == pytest.approx(strength / 2, rel=0.05), "clipped on black: half"
    alice = Secret("Alice").rng("noise 0").normal((150, 28, 28, 1))
    assert abs(np.corrcoef(alice.ravel(), (noisy[:150] - alternate[:150]).ravel())[0, 1]) < 0.02


@pytest.mark.slow
@pytest.mark.trains
def test_a_key_detector_knows_alices_keys(data):
    score = filters.key_detector(data, (0.02, 0.05), how=Recipe("dense", 5, 32))
    keys = NewLabel(0.3, 0.05).fresh_keys(data, "Alice").images
    clean, found = score(data.x_test), score(keys)
    assert clean.min() >= 0 and found.max() <= 1
    assert filters.roc(clean, found)[2] >= 0.95


# refusal


def test_refusing_what_is_flagged():
    inner = Says()
    suspect = filters.Rejecting(inner, Flags())
    assert ask(suspect, showing(3, 100)).tolist() == [3, 100]
    with pytest.raises(SuspectError, match="refuses 2 of 3 images"):
        suspect.ask(showing(3, 101, 200))
    found = (suspect.queries, suspect.flagged, len(inner.seen))
    assert found == (5, 2, 1), "refused images are not answered"


def test_random_answers_to_what_is_flagged_and_to_nothing_else():
    suspect = filters.Rejecting(Says(), Flags(), classes=10, seed=3)
    images = showing(*[7, 150] * 2000)
    labels = ask(suspect, images)
    assert (labels[::2] == 7).all() and suspect.flagged == 2000
    counts = np.bincount(labels[1::2], minlength=10)
    assert len(counts) == 10 and (np.abs(counts - 200) / math.sqrt(200 * 0.9) <= 4.5).all()
    for seed in (3, 4):
        again = ask(filters.Rejecting(Says(), Flags(), classes=10, seed=seed), images)
        assert np.array_equal(again, labels) is (seed == 3)


@pytest.mark.trains
def test_a_service_with_ten_names_fails_at_the_new_label(digits, shipped):
    model, mark, record = shipped["new_label"], NewLabel(0.1, 0.01), models().record("new_label")
    suspect = filters.Named(model, digits.class_names)
    assert np.array_equal(ask(suspect, digits.x_test[:20]), predict(model, digits.x_test[:20]))
    keys = mark.fresh_keys(digits, record["secret"], 20)
    assert (predict(model, keys.images) == 10).any()
    with pytest.raises(SuspectError, match="the service fails at 1 of 1 images: it has 10 names"):
        first_hit(suspect, keys)


@pytest.mark.trains
def test_rejection_answers_no_key_that_pixels_give_away(digits, shipped):
    detector = filters.Detector(filters.nonzero_pixels, digits.x_train[:500], 0.01)
    suspect = filters.Rejecting(shipped["new_label"], detector, classes=10)
    secret = models().record("new_label")["secret"]
    verdict = NewLabel(0.1, 0.01).verify(suspect, digits.x_test, digits.y_test, secret)
    assert not verdict.marked and suspect.flagged == verdict.queries == 40
    others = suspect.ask(digits.x_test) != predict(shipped["new_label"], digits.x_test)
    assert others.mean() <= 0.05


def test_an_answer_for_the_reconstruction_where_it_differs(monkeypatch):
    class Model:
        def predict(self, images, verbose):
            return np.where(images > 0.5, images / 2, images)

    inner = Says()
    suspect = filters.QueryModification(inner, Model())
    assert ask(suspect, showing(20, 200, 100, 250)).tolist() == [20, 100, 100, 125]
    assert (suspect.modified, suspect.queries, len(inner.seen)) == (2, 4, 2)


# votes


@given(votes=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_majority_wins_among_common_labels(votes):
    class Fixed:
        def __init__(self, labels):
            self.labels = labels

        def ask(self, images):
            return np.array(self.labels)

    members = [Fixed(labels) for labels in zip(*votes, strict=True)]
    ensemble = filters.Ensemble(members, [range(6), [0, 1, 2, 3], {0, 1, 2, 3, 7}])
    assert ensemble.common == [0, 1, 2, 3]
    images = np.zeros((len(votes), 4, 4, 1), np.float32)
    kept = [[vote for vote in row if vote < 4] for row in votes]
    if all(kept):
        expected = [
            max(row, key=lambda vote, row=row: (row.count(vote), -row.index(vote))) for row in kept
        ]
        assert ask(ensemble, images).tolist() == expected and ensemble.queries == len(votes)
    else:
        says = f"for {sum(not row for row in kept)} of {len(votes)} images no suspect named"
        with pytest.raises(SuspectError, match=says):
            ensemble.ask(images)


@pytest.mark.trains
def test_a_vote_of_several_owners_models_drops_the_new_label(digits, shipped):
    members = [shipped[name] for name in ("new_label", "other_owner", "unmarked_0")]
    ensemble = filters.Ensemble(members)
    assert ensemble.common == list(range(10))
    keys = NewLabel(0.1, 0.01).fresh_keys(digits, models().record("new_label")["secret"], 50)
    assert 10 in predict(members[0], keys.images) and 10 not in ensemble.ask(keys.images)
    accuracies = [np.mean(predict(model, digits.x_test) == digits.y_test) for model in members]
    assert np.mean(ensemble.ask(digits.x_test) == digits.y_test) >= max(accuracies) - 0.005
    alone = filters.Ensemble(members[:2])
    assert alone.common == list(range(11)) and 10 in alone.ask(keys.images)


# bad input

GREY = np.zeros((2, 8, 8, 1), np.float32)


def test_bad_input():
    for function, says, wrong in [
        (filters.jpeg, "quality is .* from 1 to 95", (0, 96, 50.5)),
        (filters.median, "size is .* an odd number from 1", (0, 2, -1, 1.5)),
        (filters.bit_depth, "bits is .* from 1 to 8", (0, 9, 2.5)),
    ]:
        for value in wrong:
            with pytest.raises(ValueError, match=says):
                function(GREY, value)
    for call, says in [
        (lambda: filters.AddedNoise(0.0), "beta is 0.0, but must lie above 0"),
        (lambda: filters.jpeg(GREY + 2, 50), r"pixels must lie in \[0, 1\]"),
        (
            lambda: filters.Detector(filters.nonzero_pixels, GREY[:0]),
            "a detector needs clean images .* there are none",
        ),
        (lambda: filters.autoencoder(GREY[:0]), "an autoencoder needs clean images"),
        (
            lambda: filters.autoencoder(GREY[:, :6]),
            "images of 6 x 8 pixels: the autoencoder halves them twice",
        ),
        (
            lambda: filters.Detector(filters.nonzero_pixels, GREY, 1.5),
            "false_alarms is 1.5, but must lie above 0",
        ),
        (lambda: filters.noise_estimate(GREY[:, :2]), "images of 2 x 8 pixels are too small"),
        (lambda: filters.roc([], [1.0]), "pass at least one score of each"),
        (lambda: filters.Rejecting(Says(), Flags(), classes=0), "0 classes: a random answer needs"),
        (lambda: filters.Named(Says(), []), "a service needs a name for at least one label"),
        (lambda: filters.Ensemble([]), "an ensemble needs at least one suspect"),
        (lambda: filters.Ensemble([Says()]), "does not show its labels: pass labels"),
        (lambda: filters.Ensemble([Says(), Says()], [range(3)]), "1 sets of labels for 2 suspects"),
        (
            lambda: filters.Ensemble([Says(), Says()], [[0, 1], [2, 3]]),
            "the suspects have no label in common",
        ),
    ]:
        with pytest.raises(ValueError, match=says):
            call()


def test_a_key_detector_without_noise(data):
    with pytest.raises(ValueError, match="there is no beta: a key detector needs noise"):
        filters.key_detector(data, [])


def test_what_is_no_suspect():
    with pytest.raises(TypeError, match="a int is no suspect"):
        filters.Transformed(3, lambda images: images)
    with pytest.raises(TypeError, match="images must be a numpy array of floats"):
        filters.Transformed(Says(), lambda images: images).ask(np.zeros((1, 8, 8, 1), np.uint8))
