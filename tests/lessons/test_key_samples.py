"""Lesson 02: numbers against an independent computation, pictures pixel by pixel, its
checks."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import stats
from sklearn.metrics import roc_auc_score

from wmlab import datasets, runtime
from wmlab.keys import perturb
from wmlab.lessons import check, key_samples
from wmlab.secret import Secret

SECRET = "Alice keeps this to herself"
FRAME = [214, 94, 0]  # of a key on the contact sheet
DATA = ("digits", "photographs")


def pixels(address):
    """Pixels (h, w) or (h, w, 3) of a data address, 0 to 255."""
    head, _, code = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))).astype(int)


def eight_bits(image):
    """An image (h, w, c) in [0, 1] as `pixels` reads it."""
    return np.rint(255 * np.clip(np.asarray(image, float), 0, 1)).astype(int).squeeze()


def text(value):
    return re.sub("<[^>]*>", "", value)


def ssim(one, other):
    """Mean similarity of all 7 x 7 windows, with sample covariances: after the formula of Wang et
    al. (2004).
    """
    x, y = (sliding_window_view(image.astype(float), (7, 7), axis=(0, 1)) for image in (one, other))
    mx, my = x.mean(axis=(-2, -1)), y.mean(axis=(-2, -1))
    vx, vy = x.var(axis=(-2, -1), ddof=1), y.var(axis=(-2, -1), ddof=1)
    covariance = ((x * y).mean(axis=(-2, -1)) - mx * my) * 49 / 48
    contrast = (2 * covariance + 9e-4) / (vx + vy + 9e-4)
    return np.mean((2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4) * contrast)


@pytest.fixture(scope="module")
def look():
    return key_samples.look(SECRET)


@pytest.fixture(scope="module")
def noise():
    return key_samples.noise(SECRET)


@pytest.fixture
def grey(monkeypatch):
    """In place of all images, grey ones: no noise of a moderate strength is clipped on them."""
    flat = np.full((300, 28, 28, 1), 128 / 255, np.float32)
    monkeypatch.setattr(key_samples, "images", lambda name: (flat, "grey"))
    return flat


def test_the_images_are_the_shipped_digits_and_what_photographs_there_are():
    digits, origin = key_samples.images("digits")
    with np.load(runtime.data_dir() / "mnist_sample.npz") as sample:
        assert np.array_equal(np.rint(digits * 255)[..., 0], sample["x_test"])
    photographs, from_where = key_samples.images("photographs")
    assert np.array_equal(photographs, datasets.photographs()[0])
    assert "test images" in origin and f"{len(photographs):,} " in from_where
    with pytest.raises(ValueError, match="no images called 'cats': choose digits or photographs"):
        key_samples.images("cats")


def test_a_key_is_perturbed_and_its_likeness_follows_the_formulas(look):
    for data in DATA:
        image = key_samples.images(data)[0][42]
        for kind in ("fresh", "content", "unrelated"):
            look.set(data=data, kind=kind, beta=0.03, number=42, amplify=5, alpha=0.1)
            key = look.result["key"]
            assert np.array_equal(look.result["image"], image) and not np.array_equal(key, image)
            assert np.array_equal(key, perturb(image[None], SECRET, "look", 0.03, kind)[0])
            apart = key.astype(float) - image
            assert np.allclose(look.result["difference"], 0.5 + 5 * apart, atol=1e-6)
            psnr = 10 * np.log10(1 / np.mean(apart**2))
            assert look.result["likeness"] == pytest.approx((psnr, ssim(image, key)), rel=1e-4)
            said = f"a PSNR of {psnr:.1f} dB and a SSIM of {ssim(image, key):.2f}; "
            assert said in text(look.caption_text)


def test_likeness_where_nothing_is_clipped_and_where_nothing_changes(grey):
    key = perturb(grey[:1], SECRET, "look", 0.01)[0]
    assert key_samples.likeness(grey[0], key)[0] == pytest.approx(20, abs=0.5)
    same = {"likeness": key_samples.likeness(grey[0], grey[0])}
    assert same["likeness"] == (np.inf, 1) and "to the last bit" in key_samples.how_alike(same)


def test_that_share_of_the_sheet_are_keys_and_the_others_are_untouched(look):
    for data, alpha, kind, beta in [
        *((data, alpha, "fresh", 0.0001) for data in DATA for alpha in (0.01, 0.1, 0.33, 0.5)),
        *(("photographs", 0.2, kind, 0.01) for kind in ("content", "fixed", "unrelated")),
    ]:
        look.set(data=data, kind=kind, beta=beta, alpha=alpha)
        sheet, carriers = look.result["sheet"], look.result["carriers"]
        shown = key_samples.images(data)[0][:200]
        differ = np.flatnonzero((sheet != shown).any(axis=(1, 2, 3)))
        assert len(carriers) == round(alpha * len(shown))
        assert np.array_equal(differ, np.sort(carriers))
        keys = perturb(shown[carriers], SECRET, "sheet", beta, kind)
        assert np.array_equal(sheet[carriers], keys)
        said = f"; {len(carriers)} of these {len(shown)} images are keys."
        assert said in text(look.caption_text)


def test_the_pictures_are_the_images_enlarged_pixel_by_pixel(look):
    for data, times in zip(DATA, (11, 10), strict=True):
        look.set(data=data, kind="fresh", beta=0.01, number=7, amplify=20, alpha=0.1)
        drawn = look.figure["layout"]["images"]
        for image, name in zip(drawn[:3], ("image", "key", "difference"), strict=True):
            large = eight_bits(look.result[name]).repeat(times, axis=0).repeat(times, axis=1)
            half = name == "difference"  # which may be rounded either way
            assert np.abs(pixels(image["source"]) - large).max() <= half
        cut = set(eight_bits(look.result["difference"]).ravel())
        assert {0, 255} <= cut, "nothing was cut off, so nothing is tested here"


def test_the_contact_sheet_frames_the_keys_and_no_other_image(look):
    for data in DATA:
        look.set(data=data, kind="fresh", beta=0.01, alpha=0.1)
        sheet, carriers = look.result["sheet"], set(look.result["carriers"].tolist())
        drawn = pixels(look.figure["layout"]["images"][3]["source"])
        assert drawn.shape == (36 * -(-len(sheet) // 40), 40 * 36, 3)
        margin = (36 - sheet.shape[1]) // 2
        inside = np.pad(np.ones(sheet.shape[1:3], bool), margin)
        for number in range(drawn.shape[0] // 36 * 40):
            tile = drawn[number // 40 * 36 :][:36, number % 40 * 36 :][:, :36]
            if number >= len(sheet):
                assert (tile == 255).all()
                continue
            small = np.atleast_3d(eight_bits(sheet[number])).reshape(inside.sum(), -1)
            assert (tile[inside] == small).all()
            assert np.abs(tile[~inside] - (FRAME if number in carriers else [0, 0, 0])).max() <= 1


def test_the_presets_and_another_secret_draw_something_else(look):
    look.reset()
    other = key_samples.look("Bob").result
    assert np.array_equal(other["image"], look.result["image"])
    assert not np.array_equal(other["key"], look.result["key"])
    assert set(other["carriers"].tolist()) != set(look.result["carriers"].tolist())
    start, shown = look.settings(), set()
    for preset in look.presets.values():
        look.set(**start | preset)
        assert len(look.result["image"]) == (32 if "data" in preset else 28)
        shown.add(look.figure["layout"]["images"][1]["source"])
    assert len(shown) == 4


def test_what_clipping_leaves_of_the_noise(noise):
    noise.set(data="digits", beta=0.01, part="black")  # the upper half of a normal, and as many 0
    assert noise.result["variance"] == pytest.approx(1 / 2 - 1 / (2 * np.pi), abs=0.01)
    assert noise.result["mean"] == pytest.approx(1 / np.sqrt(2 * np.pi), abs=0.01)


def test_on_grey_nothing_is_lost_but_what_rounding_adds(grey):
    for beta in (0.0001, 0.001, 0.01):
        result = key_samples.clipped_noise(Secret(SECRET), "grey", beta, "all")
        assert result["variance"] == pytest.approx(1 + 1 / 12 / 255**2 / beta, abs=0.015)
        assert result["mean"] == pytest.approx(0, abs=0.01)
    assert np.abs(result["share"] - result["normal"]).max() < 0.015  # of few levels: a comb


def test_the_parts_are_those_of_the_pixels_and_make_up_the_whole(noise):
    for data, beta in [(data, b) for data in DATA for b in (0.0001, 0.0035, 0.1)]:
        shown, found = key_samples.images(data)[0][:300].astype(float), {}
        left = perturb(shown.astype(np.float32), SECRET, "noise", beta) - shown
        for part, chosen in (("all", shown >= 0), ("black", shown == 0), ("not black", shown > 0)):
            noise.set(data=data, beta=beta, part=part)
            found[part], values = noise.result, left[chosen]
            assert found[part]["pixels"] == len(values)
            assert found[part]["variance"] == pytest.approx(values.var() / beta, rel=1e-3)
            assert found[part]["mean"] == pytest.approx(values.mean() / np.sqrt(beta), abs=1e-4)
            within = np.mean(np.abs(values) <= 4 * np.sqrt(beta))
            assert found[part]["share"].sum() == pytest.approx(within, abs=1e-6)
            normal = stats.norm.cdf(4) - stats.norm.cdf(-4)
            assert found[part]["normal"].sum() == pytest.approx(normal, abs=1e-4)
        counts = {part: found[part]["pixels"] * found[part]["share"] for part in found}
        assert np.allclose(counts["black"] + counts["not black"], counts["all"])


def test_the_histogram_shows_the_result(noise):
    for way in ({}, {"part": "black", "beta": 0.00001}, {"data": "photographs", "beta": 0.1}):
        noise.reset()
        noise.set(**way)
        bars, curve = noise.figure["data"]
        result = noise.result
        assert (bars["type"], curve["type"], curve["mode"]) == ("bar", "scatter", "lines")
        for trace, name in ((bars, "share"), (curve, "normal")):
            assert np.array_equal([trace["x"], trace["y"]], [result["x"], result[name]])
        low, high = noise.figure["layout"]["yaxis"]["range"]
        assert low == 0 and high > max(*result["share"], *result["normal"])
        assert text(noise.caption_text) == (
            f"Of the variance β {100 * result['variance']:.0f}% is left, and the mean has moved by "
            f"{result['mean']:+.2f} σ ({result['pixels']:,} pixels)."
        )
    noise.reset()
    x = noise.result["x"]  # 61 bins that reach four deviations of √0.01
    assert np.allclose(x, np.linspace(-0.4, 0.4, 62)[:-1] + 0.4 / 61)
    density = np.exp(-(x**2) / 0.02) / np.sqrt(2 * np.pi * 0.01)
    assert np.allclose(noise.result["normal"], density * 0.8 / 61)


def pair(game):
    left, right = re.findall("src='([^']*)'", game.widget.children[0].value)
    return {"left": pixels(left), "right": pixels(right)}


def where_the_key_is(game, originals):
    """The other picture is a test image, to the last bit, and this one is none."""
    known = {
        side: image.astype(np.uint8).tobytes() in originals for side, image in pair(game).items()
    }
    assert sorted(known.values()) == [False, True]
    return "left" if known["right"] else "right"


@pytest.fixture(scope="module")
def originals():
    digits = np.rint(255 * key_samples.images("digits")[0]).astype(np.uint8)
    return {image.tobytes() for image in digits}


class TestGame:
    def test_who_knows_all_test_images_wins_every_round(self, originals):
        game, sides, dealt = key_samples.Game("a long evening"), [], set()
        for _ in range(400):
            sides.append(where_the_key_is(game, originals))
            dealt.add(game.widget.children[0].value)
            assert game.guess(sides[-1]) is True
        assert len(dealt) == 400 and [right for _, right in game.guesses] == [True] * 400
        assert stats.binomtest(sides.count("left"), 400).pvalue > 0.001
        counts = pd.Series([beta for beta, _ in game.guesses]).value_counts()
        assert set(counts.index) == set(key_samples.BETAS)
        assert stats.chisquare(counts).pvalue > 0.001

    def test_the_noise_is_as_strong_as_is_said_afterwards(self, originals):
        game = key_samples.Game("how strong", betas=(0.01, 0.03))
        for _ in range(20):
            images, side = pair(game), where_the_key_is(game, originals)
            key = images.pop(side) / 255
            (clean,) = images.values()
            above = (clean == 0) & (key > 0)  # the upper half of the noise
            game.guess("left")
            beta = game.guesses[-1][0]
            assert np.mean(key[above] ** 2) == pytest.approx(beta, rel=0.3)
            assert f"β = {beta:g}" in text(game.widget.children[2].value)

    def test_guesses_from_code_and_by_buttons_are_counted_and_answered(self, originals):
        game, right = key_samples.Game("deal"), 0
        _, buttons, said = game.widget.children
        for played, side in enumerate(["left", "left", "right", "left", "right", "right"], 1):
            truth = where_the_key_is(game, originals)
            if played % 2:
                assert game.guess(side) is (side == truth)
            else:
                buttons.children[side == "right"].click()
            right += side == truth
            answer = f"{'Right' if side == truth else 'Wrong'}: the key was the {truth} one"
            assert text(said.value).startswith(answer)
            assert text(said.value).endswith(f" {right} of {played} right.")
        assert 0 < right < 6 and len(game.guesses) == 6

    def test_another_word_is_an_error_and_counts_for_nothing(self):
        game = key_samples.Game("words")
        before = game.widget.children[0].value
        for word in ("middle", "Left", "", None, 0):
            with pytest.raises(ValueError, match=f"no picture on the {word}: say left or right"):
                game.guess(word)
        assert game.guesses == [] and game.widget.children[0].value == before

    def test_a_secret_deals_the_same_pairs_again_and_another_deals_others(self):
        games = [key_samples.Game(secret) for secret in ("one", "one", "other")]
        for game in games:
            for _ in range(20):
                game.guess("left")
        shown = [game.widget.children[0].value for game in games]
        assert games[0].guesses == games[1].guesses != games[2].guesses
        assert shown[0] == shown[1] != shown[2]

    def test_photographs_and_strengths_of_ones_own_can_be_played(self):
        game = key_samples.Game("colours", data="photographs", betas=(0.1,))
        assert {image.shape for image in pair(game).values()} == {(32, 32, 3)}
        game.guess("right")
        assert game.guesses[0][0] == 0.1


class TestDetectors:
    def test_roc_auc_is_that_of_scikit_learn_ties_shared(self):
        def same(scores):
            return scores

        for levels in (2, 5, 1000):
            rng = np.random.default_rng(levels)
            clean, keys = rng.integers(0, levels, 80), rng.integers(0, levels, 50) + levels // 4
            area = roc_auc_score(np.r_[np.zeros(80), np.ones(50)], np.r_[clean, keys])
            assert key_samples.roc_auc(same, clean, keys) == pytest.approx(area, abs=1e-12)
            turned = key_samples.roc_auc(lambda scores: (-scores).tolist(), clean, keys)
            assert turned == pytest.approx(1 - area, abs=1e-12)
        for clean, keys, share in [
            (np.arange(5), np.arange(5, 12), 1),
            (np.arange(5, 12), np.arange(5), 0),
            (np.zeros(3), np.zeros(4), 0.5),
        ]:
            assert key_samples.roc_auc(same, clean, keys) == share

    def test_lit_pixels_are_counted(self):
        images = np.zeros((4, 28, 28, 1), np.float32)
        images[1, 3, 4], images[2, :5, 2:4], images[3] = 1 / 255, 0.5, 1
        assert key_samples.count_lit(images).tolist() == [0, 1, 10, 784]

    def test_roughness_of_smooth_images_of_a_chessboard_and_of_noise(self):
        rows, columns = np.mgrid[:32, :32] / 31
        smooth = np.array([0 * rows + 0.3, rows, (rows + columns) / 2, rows * columns])[..., None]
        smooth = key_samples.roughness(smooth.repeat(3, axis=-1))
        assert np.allclose(smooth[:3], 0, atol=1e-12) and smooth[3] < 0.003
        board = (np.indices((32, 32)).sum(axis=0) % 2).astype(float)[None, ..., None]
        colour = np.concatenate([board, 1 - board, board], axis=-1)  # channels are not mixed
        assert [key_samples.roughness(images).tolist() for images in (board, colour)] == [[8], [8]]
        keys = perturb(np.full((2, 256, 256, 3), 128 / 255), SECRET, "", 0.01)
        # The squared weights of LAPLACE sum to 36; half of a normal's sizes lie below 0.6745 σ.
        expected = 6 * 0.1 * stats.norm.ppf(0.75)
        assert key_samples.roughness(keys).mean() == pytest.approx(expected, rel=0.02)


GUESSES = [(0.01, True)] * 7 + [(0.01, False)] * 2 + [(0.1, True)] * 3 + [(0.0001, False)]


@pytest.fixture(scope="module")
def sights():
    return key_samples.sights(SECRET, GUESSES)


class TestSights:
    def test_the_detectors_see_keys_made_from_other_images(self, sights):
        for who, data, detector in [
            ("count lit pixels (digits)", "digits", key_samples.count_lit),
            ("roughness (photographs)", "photographs", key_samples.roughness),
        ]:
            seen, shown = sights[who], key_samples.images(data)[0]
            assert seen.betas == key_samples.BETAS and seen.low == seen.high == seen.shares
            for beta, share in zip(seen.betas, seen.shares, strict=True):
                keys = perturb(shown[1::2], SECRET, "sights", beta)
                scores = np.r_[detector(shown[::2]), detector(keys)]
                area = roc_auc_score(np.arange(len(scores)) >= len(shown[::2]), scores)
                assert share == pytest.approx(area, abs=1e-6)

    def test_the_network_is_that_of_the_records(self, sights):
        table = pd.read_csv(runtime.data_dir() / "results" / "beta_class.csv")
        seen = sights[f"a network (digits, {len(set(table.seed))} seeds)"]
        assert list(seen.betas) == sorted(set(table.beta))
        for beta, *found in zip(*seen, strict=True):
            runs = table[table.beta == beta]
            right = np.mean([runs.fresh_key_accuracy, 1 - runs.key_label_rate_clean], axis=0)
            half = stats.t.isf(0.025, len(right) - 1) * stats.sem(right)
            expected = [right.mean(), right.mean() - half, right.mean() + half]
            assert found == pytest.approx(expected, abs=1e-9)

    def test_your_guesses_have_an_exact_interval(self, sights):
        seen = sights["you"]
        assert seen.betas == (0.0001, 0.01, 0.1)
        for (hits, n), share, *ends in zip([(0, 1), (7, 9), (3, 3)], *seen[1:], strict=True):
            lower = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0
            upper = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1
            assert [share, *ends] == pytest.approx([hits / n, lower, upper], abs=1e-6)
        assert len(key_samples.sights(SECRET)) == 3, "who has not played is not in the picture"

    def test_code_sees_the_smallest_beta_then_code_on_photographs_then_the_network(self, sights):
        first = [
            min(beta for beta, share in zip(seen.betas, seen.shares, strict=True) if share > 0.9)
            for who, seen in sights.items()
            if who != "you"
        ]
        assert first == sorted(set(first))

    def test_the_picture_has_a_curve_for_everybody(self, sights):
        figure = key_samples.curves(sights)
        for trace, (who, seen) in zip(figure["data"], sights.items(), strict=True):
            assert trace["name"] == who and np.array_equal([trace["x"], trace["y"]], seen[:2])
            assert trace["mode"] == ("markers" if who == "you" else "lines+markers")
            assert ("error_y" in trace) == (who == "you" or "network" in who)
            if "error_y" in trace:
                bars = trace["error_y"]
                assert np.allclose(np.add(trace["y"], bars["array"]), seen.high)
                assert np.allclose(np.subtract(trace["y"], bars["arrayminus"]), seen.low)
        layout = figure["layout"]
        assert layout["xaxis"]["type"] == "log"
        assert list(map(float, layout["xaxis"]["ticktext"])) == layout["xaxis"]["tickvals"]
        assert layout["xaxis"]["tickvals"] == list(key_samples.BETAS)
        assert layout["shapes"][0]["y0"] == layout["shapes"][0]["y1"] == 0.5
        assert layout["annotations"][0]["text"] == "guessing"


def made(images, secret, stream, beta):
    """KsGen, written once more."""
    noisy = images + np.sqrt(beta) * secret.rng(stream).normal(images.shape)
    return np.rint(np.minimum(1, np.maximum(0, noisy)) * 255) / 255


def changed(images, *others):
    images += made(images, *others) - images
    return images


def test_ksgen_is_judged_in_stages(said):
    """Exercise 02.1: the shape, four pixels by hand, then secret and stream."""
    known = np.resize([0.3, 1, 2, -1], (1, 2, 2, 1))
    for answer, words in [
        (lambda images, *_: images[0], "Yours have (2, 2, 1)"),
        (lambda images, *_: None, "Yours have ()"),
        (lambda *given: None, "Yours have ()"),
        (changed, "were changed"),
        (lambda x, s, t, b: made(x, s, t, b**2), "Noise is multiplied by √β"),
        (lambda x, s, t, b: made(x, s, t, 1), "deviation of 1 as it comes"),
        (lambda x, s, t, b: x + b**0.5 * s.rng(t).normal(x.shape), "clipped"),
        (lambda *given: 255 * made(*given), "divide by 255"),
        (lambda x, s, t, b: np.clip(x + b**0.5 * s.rng(t).normal(x.shape), 0, 1), "not rounded"),
        (lambda x, *_: x, "Take noise of"),
        (lambda x, s, t, b: made(x, s, t, b) if len(x) == 1 else x + np.random.rand(), "two diff"),
        (lambda x, s, t, b: made(x, s if len(x) == 1 else Secret("a"), t, b), "Another secret"),
        (lambda x, s, t, b: made(x, s, "a", b), "Another stream"),
        (lambda x, s, t, b: np.concatenate([made(x[:1], s, t, b)] * len(x)), "at once"),
        (lambda x, s, t, b: np.round(255 * np.clip(x + b**0.5 * known, 0, 1)) / 255, "not be used"),
        (lambda images: images, "could not be used"),
        *((answer, "could not be used") for answer in (7, "noise", [])),
    ]:
        assert check("02.1", answer) is False and words in said[-1], (words, said[-1])
        assert said[-1].startswith("Not yet. ")
    for answer in (made, lambda x, s, t, b: made(x, s, t, b).astype(np.float32)):
        assert check("02.1", answer) is True and "only the same secret" in said[-1]
    assert check("02.1", ...) is None


def test_what_is_not_rounded_yet_becomes_the_keys():
    digits, _ = key_samples.images("digits")
    early = key_samples.before_rounding(digits[:8], SECRET, "a", 0.01)
    keys = perturb(digits[:8], Secret(SECRET), "a", 0.01)
    assert np.allclose(np.round(255 * early) / 255, keys, atol=1e-6)
    assert not np.allclose(early, keys, atol=1e-6)


def test_the_deviation_is_counted_in_grey_levels(said):
    """Exercise 02.2: √0.01 of 255 steps."""
    for answer, right, words in [
        *((answer, True, "25 of 255") for answer in (25, 25.5, np.float32(25.5), 26, "25")),
        (2.55, False, "Not yet. That would be β itself"),
        *((answer, False, "count it in steps") for answer in (0.1, 0, -25.5, 255, np.nan)),
        *((answer, False, "could not be used") for answer in ("some", [25.5], np.full(2, 25.5))),
        *((answer, None, "Not answered yet") for answer in (..., None)),
    ]:
        assert check("02.2", answer) is right and words in said[-1], answer


def test_a_detector_is_tried_on_images_and_keys(said):
    """Exercise 02.3, as the notebook asks it."""
    digits, _ = key_samples.images("digits")
    clean, keys = digits[::2], perturb(digits[1::2], "Alice", "detector", 0.001)
    for answer in (
        lambda images: (images > 0).sum(axis=(1, 2, 3)),
        lambda images: [np.count_nonzero(image) for image in images],
        lambda images: -(images == 0).mean(axis=(1, 2, 3)),
    ):
        assert check("02.3", answer, clean, keys) is True
        assert float(re.match(r"Right\. It tells ([\d.]+)%", said[-1])[1]) >= 95
    for answer, words in [
        (lambda images: images.mean(axis=(1, 2, 3)), "50% is guessing"),
        (lambda images: np.zeros(len(images)), "It tells 50.0% of pairs apart, "),
        (lambda images: np.full(len(images), np.nan), "Not yet."),
        (lambda images: (images == 0).sum(axis=(1, 2, 3)), "the wrong way round"),
        (lambda images: images > 0, "shape (500,); this has shape (500, 28, 28, 1)"),
        (lambda images: 1, "this has shape ()"),
        (lambda images: None, "this has shape ()"),
        (lambda images: (images > 0).sum(axis=(1, 2, 3))[:-1], "this has shape (499,)"),
        (lambda images: ["many"] * len(images), "could not be used"),
        (lambda images: 1 / 0, "could not be used. Python says: division by zero"),
        (lambda: 1, "is a function, and that could not be used"),
        *((answer, "could not be used") for answer in (7, np.zeros(500), "count")),
    ]:
        assert check("02.3", answer, clean, keys) is False
        assert said[-1].startswith("Not yet. ") and words in said[-1], words
    assert check("02.3", ..., clean, keys) is None


def test_the_pattern_is_compared_with_hers(said):
    """Exercise 02.4, as the notebook asks it: 40 keys with the pattern, 40 digits without."""
    digits, _ = key_samples.images("digits")
    secret = Secret(SECRET)
    keys, others = perturb(digits[:40], secret, "", 0.01, "fixed"), digits[40:80]
    pattern, lowest = secret.rng("pattern").normal(digits.shape[1:]), keys.min(axis=0)
    average = 7 + 9 * (keys.mean(axis=0) - others.mean(axis=0))
    for answer in (lowest, average, lowest.squeeze(), lowest.ravel().tolist()):
        assert check("02.4", answer, pattern) is True
        correlation = np.corrcoef(np.ravel(answer), pattern.ravel())[0, 1]
        assert f"Right. Correlation {correlation:.2f} " in said[-1]
    refused = "Hand in one pattern of shape (28, 28, 1), not all the same"
    nan = np.full((28, 28, 1), np.nan)
    for answers, words in [
        ((keys.mean(axis=0), others.mean(axis=0), keys[0], -lowest, nan), "Correlation"),
        ((keys, lowest[:27], [], 3, np.zeros((28, 28, 1)), np.ones((28, 28))), refused),
        (("stripes", lambda keys: keys, {"pattern": 1}, [[1, 2], [3]]), "could not be used"),
    ]:
        for answer in answers:
            assert check("02.4", answer, pattern) is False
            assert said[-1].startswith("Not yet. ") and words in said[-1], words
