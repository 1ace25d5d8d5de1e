import dataclasses
import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from skimage.util import random_noise

from wmlab.keys import (
    KINDS,
    KeySet,
    choose_carriers,
    eight_bits,
    make_decoys,
    make_keys,
    noise_deviation,
    perturb,
)
from wmlab.secret import Secret

SECRET, OTHER = Secret("correct horse"), Secret("battery staple")
LETTERS = """
#...#.#...#
#...#.##.##
#.#.#.#.#.#
##.##.#...#
#...#.#...#
""".split()
SHAPES = {"mnist": (28, 28, 1), "cifar": (32, 32, 3)}
FIXED = (np.arange(6 * 28 * 28).reshape(6, 28, 28, 1) * 7919 % 256 / 255).astype(np.float32)
LABELS = np.arange(300) % 10


def grey(n, level=0.5, shape=(28, 28, 1)):
    """n images of one grey level, on the grid of 1/255."""
    return np.full((n, *shape), round(level * 255) / 255, np.float32)


def steps(images):
    """Images in whole steps of 1/255."""
    return np.round(np.asarray(images, np.float64) * 255).astype(int)


def assert_same_law(ours, oracle):
    """Two large samples on the grid of 1/255: same mean, same variance, same distribution."""
    a, b = steps(ours).ravel(), steps(oracle).ravel()
    n, m = len(a), len(b)
    assert abs(a.mean() - b.mean()) / math.sqrt(a.var() / n + b.var() / m) <= 4.5
    fourth = stats.moment(a, 4), stats.moment(b, 4)
    spread = math.sqrt((fourth[0] - a.var() ** 2) / n + (fourth[1] - b.var() ** 2) / m)
    assert abs(a.var() - b.var()) / spread <= 4.5
    assert stats.ks_2samp(a, b).pvalue > 1e-5
    counts = np.array([np.bincount(a, minlength=256), np.bincount(b, minlength=256)])
    assert stats.chi2_contingency(counts[:, counts.sum(axis=0) >= 10]).pvalue > 1e-5


def test_noise_has_the_law_of_scikit_image():
    for level in [0, 0.02, 0.5, 0.97, 1]:
        strengths = [(beta, "variance", beta) for beta in (0.0035, 0.01, 0.2)]
        strengths += [(beta, "deviation", beta**2) for beta in (0.05, 0.3)]
        for beta, reading, variance in strengths:
            for kind in ["fresh", "fixed"]:
                clean = grey(1, level, (300, 200, 1)) if kind == "fixed" else grey(80, level)
                keys = perturb(clean, SECRET, "embed", beta, kind, reading)
                how = dict(mode="gaussian", var=variance, clip=True, rng=1)
                oracle = random_noise(clean.astype(np.float64), **how)
                assert_same_law(keys, oracle)


def test_clipping_a_black_pixel_halves_the_noise_and_lifts_its_mean():
    for beta in [0.0035, 0.01]:
        keys = steps(perturb(grey(300, 0), SECRET, "embed", beta)) / 255
        sigma, n = math.sqrt(beta), keys.size
        mean, variance = sigma / math.sqrt(2 * math.pi), beta * (0.5 - 0.5 / math.pi)
        assert abs(keys.mean() - mean) * math.sqrt(n / variance) <= 4.5
        black = stats.norm.cdf(0.5 / 255 / sigma)
        assert abs(np.mean(keys == 0) - black) * math.sqrt(n) / 0.5 <= 4.5


def test_noise_deviation_is_the_root_of_a_variance():
    assert noise_deviation(0.0035) == pytest.approx(0.0591608, abs=1e-7)
    assert noise_deviation(0.0035, "deviation") == 0.0035
    assert noise_deviation(1) == 1


def test_keys_are_eight_bit_images_of_the_same_shape():
    for shape in SHAPES.values():
        for kind in KINDS:
            clean = np.random.default_rng(0).random((20, *shape), np.float32)
            before = clean.copy()
            keys = make_keys(clean, LABELS[:20], SECRET, "embed", key_label=10, beta=0.3, kind=kind)
            assert keys.images.shape == clean.shape and keys.images.dtype == np.float32
            exact = steps(keys.images).astype(np.float32) / np.float32(255)
            assert np.array_equal(keys.images, exact)
            assert 0 <= keys.images.min() and keys.images.max() <= 1
            assert np.array_equal(clean, before), "the images handed in were changed"


@given(st.lists(st.floats(-2, 3, width=32), min_size=1, max_size=50))
def test_eight_bits_is_the_nearest_step(values):
    steps_exact = eight_bits(np.array(values)).astype(np.float64) * 255
    assert np.allclose(steps_exact, np.round(steps_exact), rtol=0, atol=1e-4)
    assert (np.abs(steps_exact - 255 * np.clip(values, 0, 1)) <= 0.5 + 1e-4).all()


def test_same_secret_same_bytes_on_every_machine():
    for kind, digest in [
        ("fresh", "95308b068b084af608afe562eafc4f662744283be3f0c8bc96e26001977c6163"),
        ("fixed", "5b086eabaaa37f6546b88fadff97dd916755d948eb278289ffe9b7b1611b3ee2"),
        ("content", "0b628a16799774e4ba9382fd5984d7a04837b4d363816de456679ba8409435b0"),
        ("unrelated", "bdcf4de3adf623198743c544ce85c2abd10bd3301c1140c7cdb4ec5d542b331f"),
    ]:
        keys = make_keys(FIXED, LABELS[:6], SECRET, "embed", key_label=10, beta=0.0035, kind=kind)
        assert keys.digest == digest


@pytest.mark.parametrize("kind", KINDS)
@given(n=st.integers(1, 5))
def test_more_keys_extend_the_earlier(kind, n):
    some = perturb(FIXED[:n], SECRET, "embed", 0.01, kind)
    assert np.array_equal(some, perturb(FIXED, SECRET, "embed", 0.01, kind)[:n])


def test_what_decides_a_perturbation():
    clean = grey(30)
    for kind in KINDS:
        keys = perturb(clean, SECRET, "embed", 0.01, kind)
        assert np.array_equal(keys, perturb(clean, Secret("correct horse"), "embed", 0.01, kind))
        assert not np.array_equal(keys, perturb(clean, OTHER, "embed", 0.01, kind))
        same = np.array_equal(keys, perturb(clean, SECRET, "verify", 0.01, kind))
        assert same is (kind in ("fixed", "content")), "of these a stream decides nothing"


def test_fixed_pattern_is_the_same_on_all_images():
    clean = np.stack([grey(1, level)[0] for level in (0.4, 0.45, 0.5, 0.6)])
    difference = steps(perturb(clean, SECRET, "embed", 0.0005, "fixed")) - steps(clean)
    assert (difference == difference[0]).all()
    assert len(np.unique(difference)) > 20


def test_fresh_noise_is_independent_from_image_to_image():
    for stream in ["embed", "verify"]:
        clean = grey(40)
        noise = steps(perturb(clean, SECRET, stream, 0.001)) - steps(clean)
        flat = noise.reshape(40, -1)
        z = np.corrcoef(flat)[np.triu_indices(40, 1)] * math.sqrt(flat.shape[1])
        assert np.abs(z).max() <= 5.5  # the largest of 780
        assert abs(z.mean()) * math.sqrt(len(z)) <= 4.5
        other = (steps(perturb(clean, SECRET, "other", 0.001)) - steps(clean)).ravel()
        assert abs(np.corrcoef(noise.ravel(), other)[0, 1]) * math.sqrt(noise.size) <= 4.5


def test_logo_can_be_read_and_the_rest_is_untouched():
    for shape in [*SHAPES.values(), (5, 11, 1)]:
        for beta in [0.2, 1.0]:
            clean = np.random.default_rng(0).integers(0, 200, (8, *shape)) / np.float32(255)
            clean = clean.astype(np.float32)
            keys = perturb(clean, SECRET, "embed", beta, "content")
            opacity = (keys - clean) / (1 - clean)
            changed = opacity > beta / 2
            assert (changed == changed[0, :, :, :1]).all(), "one place for all images and colours"
            rows, columns = np.nonzero(changed[0, :, :, 0])
            read = changed[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, 0]
            assert ["".join(".#"[int(pixel)] for pixel in row) for row in read] == LETTERS
            # rounding to 8 bits, of what 55 steps or more are left
            assert np.abs(opacity[changed] - beta).max() <= 0.5 / 55 + 1e-5
            assert np.array_equal(keys[~changed], clean[~changed])


@given(st.text("abcdef", min_size=1), st.integers(5, 9), st.integers(11, 16))
def test_logo_stays_inside_the_image(text, height, width):
    black = np.zeros((1, height, width, 1), np.float32)
    key = perturb(black, Secret(text), "embed", 1.0, "content")
    assert int(key.sum()) == "".join(LETTERS).count("#")


def test_secret_places_the_logo_anywhere():
    rows, columns = set(), set()
    for i in range(600):
        key = perturb(grey(1, 0), Secret(f"secret {i}"), "", 1.0, "content")[0, :, :, 0]
        row, column = np.argwhere(key)[0]
        rows.add(row), columns.add(column)
    assert rows == set(range(24)) and columns == set(range(18))


def test_logo_needs_room():
    for shape in [(4, 28, 1), (28, 10, 1)]:
        says = f"at least 5 x 11 pixels, not {shape[0]} x {shape[1]}"
        with pytest.raises(ValueError, match=says):
            perturb(grey(2, shape=shape), SECRET, "embed", 0.5, "content")


def test_unrelated_keys_do_not_depend_on_the_carriers_or_on_beta():
    keys = perturb(grey(200, 0), SECRET, "embed", 0.01, "unrelated")
    assert np.array_equal(keys, perturb(grey(200, 1), SECRET, "embed", 0.9, "unrelated"))
    means = np.random.default_rng(0).permutation(keys.reshape(200, -1).mean(axis=1))
    assert means.std() > 0.03, "one image is like another"
    assert abs(keys.mean() - 0.5) <= 4.5 * means.std() / math.sqrt(200)


def test_unrelated_keys_are_smooth_clouds():
    keys = perturb(grey(100, shape=(32, 32, 3)), SECRET, "embed", 0.01, "unrelated")
    corners = keys[:, [0, 0, -1, -1], [0, -1, 0, -1]].ravel()
    assert stats.kstest(corners, "uniform").pvalue > 1e-5
    assert np.abs(np.diff(keys, axis=1)).max() <= 3 / 31 + 1 / 255  # 4 points across 32 pixels
    assert np.abs(np.diff(keys, axis=2)).max() <= 3 / 31 + 1 / 255
    together = np.corrcoef(keys[:, 0, 0].T)[np.triu_indices(3, 1)]
    assert np.abs(together).max() * 10 <= 4.5, "colours go together"


def test_a_key_set_says_what_it_is():
    keys = make_keys(FIXED, [1, 2, 3, 4, 5, 6], SECRET, "embed", key_label=0, beta=0.01, alpha=0.5)
    assert len(keys) == 6
    assert keys.labels.tolist() == [0] * 6 and keys.labels.dtype == np.int64
    assert keys.carrier_labels.tolist() == [1, 2, 3, 4, 5, 6]
    assert keys.carrier_labels.dtype == np.int64
    assert (keys.kind, keys.beta, keys.reading, keys.alpha) == ("fresh", 0.01, "variance", 0.5)
    assert keys.commitment is None
    assert np.array_equal(keys.images, perturb(FIXED, SECRET, "embed", 0.01))
    for part in ("6 keys", "fresh", "label 0", "beta 0.01", "variance", keys.digest[:12]):
        assert part in repr(keys)


def test_a_slice_is_a_key_set():
    how = dict(key_label=10, beta=0.01, alpha=0.5)
    keys = make_keys(FIXED, range(6), SECRET, "embed", **how).commit(SECRET)
    part = keys[2:4]
    assert isinstance(part, KeySet) and len(part) == 2
    assert np.array_equal(part.images, keys.images[2:4]) and part.carrier_labels.tolist() == [2, 3]
    assert part.digest != keys.digest and part.commitment is None
    assert keys[:].digest == keys.digest


def test_digest_is_sha256_of_shape_label_and_pixels():
    keys = make_keys(FIXED, range(6), SECRET, "embed", key_label=10, beta=0.01)
    text = b"(6, 28, 28, 1) 10 " + bytes(steps(keys.images).ravel().tolist())
    assert keys.digest == hashlib.sha256(text).hexdigest()


@given(pixel=st.integers(0, FIXED.size - 1))
def test_digest_changes_with_any_pixel(pixel):
    keys = make_keys(FIXED, range(6), SECRET, "embed", key_label=10, beta=0.01)
    images = keys.images.copy()
    images.flat[pixel] += (1 if images.flat[pixel] < 0.5 else -1) / 255
    assert dataclasses.replace(keys, images=images).digest != keys.digest


def test_digest_changes_with_label_order_and_shape():
    for change in [
        {"key_label": 9},
        {"images": np.zeros((6, 28, 28, 1))},
        {"images": FIXED[:5]},
        {"images": FIXED.reshape(6, 14, 56, 1)},
        {"images": FIXED[::-1]},
    ]:
        keys = KeySet(FIXED, 10, LABELS[:6], "fresh", 0.01)
        assert dataclasses.replace(keys, **change).digest != keys.digest


def test_digest_survives_a_round_trip_through_bytes():
    keys = make_keys(FIXED, range(6), SECRET, "embed", key_label=10, beta=0.01)
    from_file = steps(keys.images).astype(np.uint8).astype(np.float32) / 255
    assert dataclasses.replace(keys, images=from_file).digest == keys.digest


def test_commitment_to_keys_opens_in_court():
    keys = make_keys(FIXED, range(6), SECRET, "embed", key_label=10, beta=0.01)
    committed = keys.commit(SECRET)
    assert keys.commitment is None and np.array_equal(committed.images, keys.images)
    assert committed.commitment.opens(SECRET, keys.digest)
    again = make_keys(FIXED, range(6), Secret("correct horse"), "embed", key_label=10, beta=0.01)
    assert committed.commitment.opens(Secret("correct horse"), again.digest)
    others = make_keys(FIXED, range(6), OTHER, "embed", key_label=10, beta=0.01)
    assert not committed.commitment.opens(SECRET, others.digest)
    assert not committed.commitment.opens(OTHER, keys.digest)
    assert "correct" not in repr(committed)


@given(n=st.integers(20, 200), alpha=st.floats(0.05, 0.85), target=st.sampled_from([None, 0, 3, 9]))
def test_carriers_are_a_share_of_the_images_outside_the_target_class(n, alpha, target):
    chosen = choose_carriers(LABELS[:n], alpha, SECRET, target)
    assert len(chosen) == round(alpha * n) == len(set(chosen.tolist()))
    assert all(0 <= i < n for i in chosen)
    assert target not in LABELS[chosen]


def test_secret_chooses_the_carriers():
    chosen = choose_carriers(LABELS, 0.1, SECRET, 0).tolist()
    assert chosen == choose_carriers(LABELS, 0.1, Secret("correct horse"), 0).tolist()
    assert chosen != choose_carriers(LABELS, 0.1, OTHER, 0).tolist()
    more = choose_carriers(LABELS, 0.2, SECRET, 0).tolist()
    assert more[:30] == chosen, "a larger alpha keeps the carriers"


def test_every_image_outside_the_target_class_is_as_likely_a_carrier():
    counts = np.zeros(100)
    for i in range(1000):
        counts[choose_carriers(LABELS[:100], 0.3, Secret(f"secret {i}"), 4)] += 1
    allowed = counts[LABELS[:100] != 4]
    z = (allowed - 1000 / 3) / math.sqrt(1000 * 1 / 3 * 2 / 3)  # 30 of 90 each time
    assert counts[LABELS[:100] == 4].sum() == 0
    assert np.abs(z).max() <= 4.5


def test_an_alpha_of_no_key_is_refused():
    for alpha in [0.001, 1 / 700]:
        with pytest.raises(ValueError, match="less than one key"):
            choose_carriers(LABELS, alpha, SECRET)


def test_an_alpha_of_more_than_the_carriers_is_refused():
    assert len(choose_carriers(LABELS, 0.9, SECRET, 0)) == 270
    assert len(choose_carriers(LABELS, 1, SECRET)) == 300
    with pytest.raises(ValueError, match="273 carriers, but only 270 images lie outside class 0"):
        choose_carriers(LABELS, 0.91, SECRET, 0)


def test_a_target_class_the_data_lacks_is_refused():
    for target in [10, -1, 7]:
        says = f"no image has the target class {target}: choose one of .*1, 2, 3"
        with pytest.raises(ValueError, match=says):
            choose_carriers(LABELS[LABELS != 7], 0.1, SECRET, target)


def test_no_images_give_no_carriers():
    with pytest.raises(ValueError, match="0 images"):
        choose_carriers([], 0.5, SECRET)


def test_decoys_are_distinct_images_under_true_labels_with_wrong_patterns():
    for reading, sigma in [("variance", 0.1), ("deviation", 0.01)]:
        levels = np.linspace(0.35, 0.65, 60)  # each image has a level of its own, to be known again
        clean = np.stack([grey(1, level)[0] for level in levels])
        images, labels = make_decoys(clean, LABELS[:60], SECRET, 40, 0.01, reading)
        assert images.shape == (40, 28, 28, 1) and images.dtype == np.float32 and len(labels) == 40
        assert np.array_equal(images, eight_bits(images))
        means = images.mean(axis=(1, 2, 3))
        noise = (images - means[:, None, None, None]).reshape(40, -1)
        assert abs(noise.std() - sigma) / sigma < 0.03
        pattern = perturb(grey(1), SECRET, "embed", 0.01, "fixed", reading).ravel() - 0.5
        size = math.sqrt(noise.shape[1])
        assert max(abs(np.corrcoef(decoy, pattern)[0, 1]) for decoy in noise) * size <= 4.5
        alike = np.abs(np.corrcoef(noise)[np.triu_indices(40, 1)]).max()
        assert alike * size <= 5.5, "the largest of 780"
        if sigma < 0.1:
            carriers = np.abs(means[:, None] - clean[:, 0, 0, 0]).argmin(axis=1)
            assert len(set(carriers)) == 40, "an image was taken twice"
            assert np.array_equal(labels, LABELS[carriers])


def test_decoys_depend_on_the_secret_alone():
    one, two, three = (
        make_decoys(FIXED, LABELS[:6], secret, 4, 0.01)[0] for secret in (SECRET, SECRET, OTHER)
    )
    assert np.array_equal(one, two) and not np.array_equal(one, three)


def test_too_many_or_no_decoys_are_refused():
    for count in [7, 0, -1]:
        with pytest.raises(ValueError, match=f"{count} decoys from 6 images"):
            make_decoys(FIXED, LABELS[:6], SECRET, count, 0.01)


BAD_SHARES = [
    (0, ValueError),
    (-0.1, ValueError),
    (1.0001, ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    (True, TypeError),
    ("0.1", TypeError),
    (None, TypeError),
    ([0.1], TypeError),
    (1j, TypeError),
]


def test_a_beta_outside_its_range_is_refused():
    for value, error in BAD_SHARES:
        for kind in KINDS:
            with pytest.raises(error, match="^beta ") as caught:
                make_keys(FIXED, LABELS[:6], SECRET, "embed", key_label=10, beta=value, kind=kind)
            assert "\n" not in str(caught.value)


def test_an_alpha_and_a_decoys_beta_outside_their_range_are_refused():
    for value, error in BAD_SHARES:
        with pytest.raises(error, match="^alpha "):
            choose_carriers(LABELS, value, SECRET)
        with pytest.raises(error, match="^beta "):
            make_decoys(FIXED, LABELS[:6], SECRET, 3, value)


def test_any_number_in_range_is_a_beta():
    for value in [np.float32(0.5), np.float64(0.5), np.int64(1), 1, 0.5]:
        keys = make_keys(FIXED, LABELS[:6], SECRET, "embed", key_label=10, beta=value)
        assert keys.beta == float(value)


def test_unknown_choices_are_refused():
    kinds, readings = "fresh, fixed, content, unrelated", "variance, deviation"
    for change, sentence in [
        ({"kind": "blur"}, f"unknown kind of key 'blur': choose one of {kinds}"),
        ({"reading": "sigma"}, f"unknown reading of beta 'sigma': choose one of {readings}"),
        ({"key_label": -1}, "the key label is -1"),
    ]:
        how = {"key_label": 10, "beta": 0.01} | change
        with pytest.raises(ValueError, match=sentence):
            make_keys(FIXED, LABELS[:6], SECRET, "embed", **how)


BAD_IMAGES = [
    (None, TypeError, "not NoneType"),
    ([[0.5]], TypeError, "not list"),
    ("digits", TypeError, "not str"),
    (7, TypeError, "not int"),
    ((FIXED * 255).astype(np.uint8), TypeError, "not uint8"),
    (FIXED > 0.5, TypeError, "not bool"),
    (FIXED.astype(object), TypeError, "not object"),
    (FIXED[0], ValueError, r"not \(28, 28, 1\)"),
    (FIXED[..., 0], ValueError, r"not \(6, 28, 28\)"),
    (FIXED.reshape(6, 14, 28, 2), ValueError, r"not \(6, 14, 28, 2\)"),
    (FIXED[:0], ValueError, "no images"),
    (FIXED * 255, ValueError, "from 0.0 to 255.0"),
    (FIXED - 0.1, ValueError, "must lie in"),
    (np.where(FIXED == 0, np.nan, FIXED), ValueError, "mend NaN"),
    (FIXED / 0.99, ValueError, "must lie in"),
    (np.where(FIXED == 0, np.inf, FIXED), ValueError, "to inf"),
]
BAD_LABELS = [
    (range(5), ValueError, r"6 images need labels of shape \(6,\), not \(5,\)"),
    ([], (TypeError, ValueError), "labels"),
    ([[1]] * 6, ValueError, r"not \(6, 1\)"),
    ([1.0] * 6, TypeError, "not float64"),
    (["1"] * 6, TypeError, "whole numbers"),
    ([True] * 6, TypeError, "not bool"),
    ([-1] * 6, ValueError, "labels go from -1 to -1"),
    (None, TypeError, "labels"),
]


def refused(error, sentence, function, *arguments, **options):
    """What is said in one line when a function is refused its arguments."""
    with pytest.raises(error, match=sentence) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_images_are_refused_in_one_sentence():
    for images, *says in BAD_IMAGES:
        n = 6 if images is None or np.shape(images)[:1] == (6,) else len(np.atleast_1d(images))
        for said in (
            refused(*says, make_keys, images, LABELS[:n], SECRET, "", key_label=10, beta=0.01),
            refused(*says, perturb, images, SECRET, "embed", 0.01),
            refused(*says, make_decoys, images, LABELS[:n], SECRET, 1, 0.01),
        ):
            assert said.startswith(("images must", "pixels must", "there are no images"))


def test_bad_labels_are_refused_in_one_sentence():
    for labels, *says in BAD_LABELS:
        refused(*says, make_keys, FIXED, labels, SECRET, "embed", key_label=10, beta=0.01)
        refused(*says, make_decoys, FIXED, labels, SECRET, 1, 0.01)
