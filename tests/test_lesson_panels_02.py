"""Notebook 02's panels, game and detectors: their numbers against an independent computation, their
pictures pixel by pixel.
"""

import base64
import io
import re

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import stats
from sklearn.metrics import roc_auc_score

from wmlab import datasets, runtime
from wmlab.keys import perturb
from wmlab.lessons import key_samples
from wmlab.secret import Secret

SECRET = "Alice keeps this to herself"
FRAME = [214, 94, 0]  # of a key on the contact sheet
both_kinds_of_images = pytest.mark.parametrize("data", ["digits", "photographs"])


def picture(address):
    """Pixels (h, w) or (h, w, 3) of a data address, 0 to 255."""
    head, _, code = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))).astype(int)


def eight(image):
    """An image (h, w, c) in [0, 1] as `picture` reads it."""
    return np.rint(255 * np.clip(np.asarray(image, float), 0, 1)).astype(int).squeeze()


def text(value):
    return re.sub("<[^>]*>", "", value)


def buttons(panel):
    return {child.description: child for child in panel.widget.children[1].children}


def ssim(one, other):
    """Mean similarity of all 7 x 7 windows, with sample covariances: after the formula of Wang et
    al. (2004).
    """
    x, y = (sliding_window_view(image.astype(float), (7, 7), axis=(0, 1)) for image in (one, other))
    mx, my = x.mean(axis=(-2, -1)), y.mean(axis=(-2, -1))
    vx, vy = x.var(axis=(-2, -1), ddof=1), y.var(axis=(-2, -1), ddof=1)
    covariance = ((x * y).mean(axis=(-2, -1)) - mx * my) * 49 / 48
    return np.mean(
        (2 * mx * my + 1e-4) * (2 * covariance + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    )


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
    digits, what = key_samples.images("digits")
    with np.load(runtime.data_dir() / "mnist_sample.npz") as sample:
        assert (
            np.array_equal(np.rint(digits * 255)[..., 0], sample["x_test"])
            and "test images" in what
        )
    photographs, what = key_samples.images("photographs")
    assert (
        np.array_equal(photographs, datasets.photographs()[0]) and f"{len(photographs):,} " in what
    )


class TestLook:
    @both_kinds_of_images
    @pytest.mark.parametrize("kind", ["fresh", "content", "unrelated"])
    def test_a_key_is_perturbed_and_its_likeness_follows_the_formulas(self, look, data, kind):
        look.set(data=data, kind=kind, beta=0.03, number=42, amplify=5, alpha=0.1)
        image, key = key_samples.images(data)[0][42], look.result["key"]
        assert np.array_equal(look.result["image"], image)
        assert np.array_equal(
            key, perturb(image[None], SECRET, "look", 0.03, kind)[0]
        ) and not np.array_equal(key, image)
        assert np.allclose(
            look.result["difference"], 0.5 + 5 * (key.astype(float) - image), atol=1e-6
        )
        psnr = 10 * np.log10(1 / np.mean((key.astype(float) - image) ** 2))
        assert look.result["likeness"] == pytest.approx((psnr, ssim(image, key)), rel=1e-4)
        assert f"a PSNR of {psnr:.1f} dB and a SSIM of {ssim(image, key):.2f}; " in text(
            look.caption.value
        )

    def test_fresh_noise_of_a_hundredth_has_20_db_where_nothing_is_clipped(self, grey):
        image, key = grey[0], perturb(grey[:1], SECRET, "look", 0.01)[0]
        assert key_samples.likeness(image, key)[0] == pytest.approx(20, abs=0.5)

    @both_kinds_of_images
    @pytest.mark.parametrize("alpha", [0.01, 0.1, 0.33, 0.5])
    def test_that_share_of_the_sheet_are_keys_and_the_others_are_untouched(self, look, data, alpha):
        look.set(data=data, kind="fresh", beta=0.0001, alpha=alpha)
        shown = key_samples.images(data)[0][:200]
        differ = np.flatnonzero((look.result["sheet"] != shown).any(axis=(1, 2, 3)))
        assert len(differ) == round(alpha * len(shown)) and np.array_equal(
            differ, np.sort(look.result["carriers"])
        )
        left = (look.result["sheet"] - shown)[look.result["carriers"]].reshape(len(differ), -1)
        assert len(np.unique(left, axis=0)) == len(differ), "two keys have the same noise"
        assert np.abs(left).max() < 0.06, (
            "a key is its own image and six deviations of noise at most"
        )
        assert f"; {len(differ)} of these {len(shown)} images are keys." in text(look.caption.value)

    @pytest.mark.parametrize("kind", ["content", "fixed", "unrelated"])
    def test_the_keys_on_the_sheet_are_of_the_kind_that_is_chosen(self, look, kind):
        look.set(data="photographs", kind=kind, beta=0.01, alpha=0.2)
        shown, chosen = key_samples.images("photographs")[0], look.result["carriers"]
        assert np.array_equal(
            look.result["sheet"][chosen], perturb(shown[chosen], SECRET, "sheet", 0.01, kind)
        )

    @both_kinds_of_images
    def test_the_three_pictures_are_the_images_enlarged_pixel_by_pixel(self, look, data):
        look.set(data=data, kind="fresh", beta=0.01, number=7, amplify=20, alpha=0.1)
        for drawn, name in zip(
            look.figure.layout.images[:3], ("image", "key", "difference"), strict=True
        ):
            small = eight(look.result[name])
            times = {28: 11, 32: 10}[len(small)]
            large = small.repeat(times, axis=0).repeat(times, axis=1)
            assert np.abs(picture(drawn.source) - large).max() <= (
                name == "difference"
            )  # a half may be rounded either way
        assert {0, 255} <= set(eight(look.result["difference"]).ravel()), (
            "nothing was cut off, so nothing is tested here"
        )

    @both_kinds_of_images
    def test_the_contact_sheet_frames_the_keys_and_no_other_image(self, look, data):
        look.set(data=data, kind="fresh", beta=0.01, alpha=0.1)
        sheet, carriers = look.result["sheet"], set(look.result["carriers"].tolist())
        drawn, side = picture(look.figure.layout.images[3].source), sheet.shape[1]
        assert drawn.shape == (36 * -(-len(sheet) // 40), 40 * 36, 3)
        margin = (36 - side) // 2
        for number in range(drawn.shape[0] // 36 * 40):
            tile = drawn[number // 40 * 36 :][:36, number % 40 * 36 :][:, :36]
            if number >= len(sheet):
                assert (tile == 255).all()
                continue
            inside = tile[margin : margin + side, margin : margin + side]
            assert np.array_equal(
                inside, np.broadcast_to(np.atleast_3d(eight(sheet[number])), inside.shape)
            )
            around = np.ones((36, 36), bool)
            around[margin : margin + side, margin : margin + side] = False
            assert np.abs(tile[around] - (FRAME if number in carriers else [0, 0, 0])).max() <= 1

    def test_every_preset_and_the_reset_draw_what_they_say(self, look):
        start = key_samples.look(SECRET).settings()
        assert len(look.presets) == 4 and {"Reset", *look.presets} < set(buttons(look))
        for name, preset in look.presets.items():
            look.set(number=3, alpha=0.2, kind="fixed", beta=0.1)
            before = [image.source for image in look.figure.layout.images]
            buttons(look)[name].click()
            assert look.error is None and look.settings() == start | preset
            assert all(
                image.source != old
                for image, old in zip(look.figure.layout.images, before, strict=True)
            )
            assert len(look.result["image"]) == (32 if "data" in preset else 28)
            assert f"{look.result['likeness'][0]:.1f} dB" in look.caption.value
        buttons(look)["Reset"].click()
        assert look.error is None and look.settings() == start and start["beta"] == 0.01

    def test_every_position_of_every_control_can_be_drawn(self, look):
        look.reset()
        for name, control in look.controls.items():
            values = (
                [value for _, value in control.options]
                if name == "beta"
                else control.options
                if isinstance(control, widgets.ToggleButtons)
                else [control.min, control.max]
            )
            for value in values:
                look.set(**{name: value})
                assert look.error is None and len(look.figure.layout.images) == 4
            look.reset()

    def test_another_secret_makes_another_key_from_the_same_image(self, look):
        look.reset()
        other = key_samples.look("Bob")
        assert np.array_equal(other.result["image"], look.result["image"])
        assert not np.array_equal(other.result["key"], look.result["key"])
        assert set(other.result["carriers"].tolist()) != set(look.result["carriers"].tolist())


class TestNoise:
    def test_on_black_a_clipped_half_normal_is_left(self, noise):
        noise.set(data="digits", beta=0.01, part="black")
        assert noise.result["variance"] == pytest.approx(1 / 2 - 1 / (2 * np.pi), abs=0.01)
        assert noise.result["mean"] == pytest.approx(1 / np.sqrt(2 * np.pi), abs=0.01)
        middle = np.abs(noise.result["x"]).argmin()
        assert noise.result["share"][middle] >= 0.5 and noise.result["share"][:middle].max() == 0, (
            "black cannot get darker"
        )

    @pytest.mark.parametrize("beta", [0.0001, 0.001, 0.01])
    def test_on_grey_nothing_is_lost_but_what_rounding_adds(self, grey, beta):
        result = key_samples._noise(Secret(SECRET), "grey", beta, "all")
        assert result["variance"] == pytest.approx(1 + 1 / 12 / 255**2 / beta, abs=0.015)
        assert result["mean"] == pytest.approx(0, abs=0.01)
        if beta == 0.01:  # fewer grey levels than bins make a comb
            assert np.abs(result["share"] - result["normal"]).max() < 0.015

    @both_kinds_of_images
    @pytest.mark.parametrize("beta", [0.0001, 0.0035, 0.1])  # no grey level at four deviations
    def test_the_parts_are_those_of_the_pixels_and_make_up_the_whole(self, noise, data, beta):
        shown, found = key_samples.images(data)[0][:300].astype(float), {}
        left = perturb(shown.astype(np.float32), SECRET, "noise", beta) - shown
        for part, chosen in (("all", shown >= 0), ("black", shown == 0), ("not black", shown > 0)):
            noise.set(data=data, beta=beta, part=part)
            found[part], values = noise.result, left[chosen]
            assert noise.result["pixels"] == len(values)
            assert noise.result["variance"] == pytest.approx(values.var() / beta, rel=1e-3)
            assert noise.result["mean"] == pytest.approx(values.mean() / np.sqrt(beta), abs=1e-4)
            assert noise.result["share"].sum() == pytest.approx(
                np.mean(np.abs(values) <= 4 * np.sqrt(beta)), abs=1e-6
            )
            assert noise.result["normal"].sum() == pytest.approx(
                stats.norm.cdf(4) - stats.norm.cdf(-4), abs=1e-4
            )
        assert (
            found["all"]["pixels"]
            == found["black"]["pixels"] + found["not black"]["pixels"]
            == shown.size
        )
        pooled = (
            sum(found[part]["pixels"] * found[part]["share"] for part in ("black", "not black"))
            / shown.size
        )
        assert np.allclose(pooled, found["all"]["share"])

    def test_the_bars_are_narrow_equal_and_reach_four_deviations(self, noise):
        noise.set(data="digits", beta=0.01, part="all")
        x = noise.result["x"]
        assert np.allclose(np.diff(x), 0.8 / 61) and (x[0], x[-1]) == pytest.approx(
            (-0.4 + 0.4 / 61, 0.4 - 0.4 / 61)
        )
        density = np.exp(-(x**2) / 0.02) / np.sqrt(2 * np.pi * 0.01)
        assert np.allclose(noise.result["normal"], density * 0.8 / 61)

    @both_kinds_of_images
    @pytest.mark.parametrize("part", ["all", "black", "not black"])
    @pytest.mark.parametrize("beta", key_samples.BETAS)
    def test_the_figure_and_the_caption_show_the_result(self, noise, data, part, beta):
        noise.set(data=data, part=part, beta=beta)
        bars, curve = noise.figure.data
        assert (bars.type, curve.type, curve.mode) == (
            "bar",
            "scatter",
            "lines",
        ) and noise.error is None
        for trace, name in ((bars, "share"), (curve, "normal")):
            assert np.array_equal(trace.x, noise.result["x"]) and np.array_equal(
                trace.y, noise.result[name]
            )
        low, high = noise.figure.layout.yaxis.range
        assert low == 0 and high > max(*noise.result["share"], *noise.result["normal"])
        assert text(noise.caption.value) == (
            f"Of the variance β {100 * noise.result['variance']:.0f}% is left, and the mean has moved by "
            f"{noise.result['mean']:+.2f} σ ({noise.result['pixels']:,} pixels)."
        )


@pytest.fixture(scope="module")
def originals():
    return {
        image.tobytes() for image in np.rint(255 * key_samples.images("digits")[0]).astype(np.uint8)
    }


class TestGame:
    def pair(self, game):
        left, right = re.findall("src='([^']*)'", game.widget.children[0].value)
        return {"left": picture(left), "right": picture(right)}

    def truth(self, game, originals):
        """Where the key is: the other picture is a test image, to the last bit, and this one is
        none.
        """
        known = {
            side: pixels.astype(np.uint8).tobytes() in originals
            for side, pixels in self.pair(game).items()
        }
        assert sorted(known.values()) == [False, True]
        return "left" if known["right"] else "right"

    def test_one_picture_is_a_test_image_and_who_knows_them_all_wins_every_round(self, originals):
        game, sides, dealt = key_samples.Game("a long evening"), [], set()
        for _ in range(400):
            sides.append(self.truth(game, originals))
            dealt.add(game.widget.children[0].value)
            assert game.guess(sides[-1]) is True
        assert (
            len(dealt) == 400
            and len(game.guesses) == 400
            and all(right for _, right in game.guesses)
        )
        assert 0.001 < stats.binomtest(sides.count("left"), 400).pvalue
        counts = pd.Series([beta for beta, _ in game.guesses]).value_counts()
        assert (
            set(counts.index) == set(key_samples.BETAS) and stats.chisquare(counts).pvalue > 0.001
        )

    def test_the_noise_is_as_strong_as_is_said_afterwards(self, originals):
        game = key_samples.Game("how strong", betas=(0.01, 0.03))
        for _ in range(20):
            pair, side = self.pair(game), self.truth(game, originals)
            clean, key = pair.pop("right" if side == "left" else "left") / 255, pair[side] / 255
            above = (clean == 0) & (key > 0)  # the upper half of the noise
            game.guess("left")
            beta = game.guesses[-1][0]
            assert np.mean(key[above] ** 2) == pytest.approx(beta, rel=0.3)
            assert f"β = {beta:g}" in text(game.widget.children[2].value)

    def test_guesses_are_counted_and_answered(self, originals):
        game, right = key_samples.Game("deal"), 0
        for played, says in enumerate(["left", "left", "right", "left", "right", "right"], 1):
            where = self.truth(game, originals)
            assert game.guess(says) is (says == where)
            right += says == where
            said = text(game.widget.children[2].value)
            assert (
                said.startswith("Right: the key" if says == where else "Wrong: the key")
                and f"was the {where} one" in said
            )
            assert said.endswith(f" {right} of {played} right.") and len(game.guesses) == played
        assert 0 < right < 6

    def test_the_buttons_play(self, originals):
        game = key_samples.Game("click")
        for _ in range(6):
            where = self.truth(game, originals)
            for button in game.widget.children[1].children:
                if button.description == f"the {where} one":
                    break
            button.click()
        assert [right for _, right in game.guesses] == [True] * 6
        where, (left, right) = self.truth(game, originals), game.widget.children[1].children
        (right if where == "left" else left).click()
        assert game.guesses[-1][1] is False

    def test_another_word_is_an_error_and_counts_for_nothing(self):
        game = key_samples.Game("words")
        before = game.widget.children[0].value
        for word in ("middle", "Left", "", None, 0):
            with pytest.raises(
                ValueError, match=f"there is no picture on the {word}: say left or right"
            ):
                game.guess(word)
        assert game.guesses == [] and game.widget.children[0].value == before

    def test_a_secret_deals_the_same_pairs_again_and_another_deals_others(self):
        one, again, other = (
            key_samples.Game("one"),
            key_samples.Game("one"),
            key_samples.Game("other"),
        )
        for game in (one, again, other):
            for _ in range(20):
                game.guess("left")
        assert one.guesses == again.guesses != other.guesses
        assert (
            one.widget.children[0].value
            == again.widget.children[0].value
            != other.widget.children[0].value
        )

    def test_photographs_and_strengths_of_ones_own_can_be_played(self):
        game = key_samples.Game("colours", data="photographs", betas=(0.1,))
        assert {pixels.shape for pixels in self.pair(game).values()} == {(32, 32, 3)}
        game.guess("right")
        assert game.guesses[0][0] == 0.1


class TestDetectors:
    @pytest.mark.parametrize("levels", [2, 5, 1000])
    def test_told_apart_is_the_area_under_the_roc_curve_ties_shared(self, levels):
        rng = np.random.default_rng(levels)
        clean, keys = rng.integers(0, levels, 80), rng.integers(0, levels, 50) + levels // 4
        area = roc_auc_score(np.r_[np.zeros(80), np.ones(50)], np.r_[clean, keys])
        assert key_samples.told_apart(lambda scores: scores, clean, keys) == pytest.approx(
            area, abs=1e-12
        )
        assert key_samples.told_apart(
            lambda scores: (-scores).tolist(), clean, keys
        ) == pytest.approx(1 - area, abs=1e-12)

    def test_told_apart_knows_certainty_and_ignorance(self):
        def same(scores):
            return scores

        assert key_samples.told_apart(same, np.arange(5), np.arange(5, 12)) == 1
        assert key_samples.told_apart(same, np.arange(5, 12), np.arange(5)) == 0
        assert key_samples.told_apart(same, np.zeros(3), np.zeros(4)) == 0.5
        assert key_samples.told_apart(same, np.array([0, 2]), np.array([1])) == 0.5

    def test_lit_pixels_are_counted(self):
        images = np.zeros((4, 28, 28, 1), np.float32)
        images[1, 3, 4] = 1 / 255
        images[2, :5, 2:4] = 0.5
        images[3] = 1
        assert key_samples.count_lit(images).tolist() == [0, 1, 10, 784]

    def test_nothing_is_rough_about_flat_and_evenly_rising_images(self):
        rows, columns = np.mgrid[:32, :32] / 31
        images = np.array([0 * rows + 0.3, rows, (rows + columns) / 2, rows * columns])[
            ..., None
        ].repeat(3, axis=-1)
        assert (
            np.allclose(key_samples.roughness(images[:3]), 0, atol=1e-12)
            and key_samples.roughness(images[3:]) < 0.003
        )

    def test_a_chessboard_is_as_rough_as_can_be(self):
        board = (np.indices((32, 32)).sum(axis=0) % 2).astype(float)[None, ..., None]
        colour = np.concatenate(
            [board, 1 - board, board], axis=-1
        )  # a channel is not mixed with the next
        assert (
            key_samples.roughness(board).tolist() == key_samples.roughness(colour).tolist() == [8]
        )

    def test_noise_on_grey_is_as_rough_as_theory_says(self):
        keys = perturb(np.full((2, 256, 256, 3), 128 / 255), SECRET, "", 0.01)
        # the second difference has weights with squares that sum to 36; half of a normal's sizes
        # lie below 0.6745 σ
        assert key_samples.roughness(keys).mean() == pytest.approx(
            6 * 0.1 * stats.norm.ppf(0.75), rel=0.02
        )


@pytest.fixture(scope="module")
def sights():
    guesses = [(0.01, True)] * 7 + [(0.01, False)] * 2 + [(0.1, True)] * 3 + [(0.0001, False)]
    return key_samples.sights(SECRET, guesses), guesses


class TestSights:
    @pytest.mark.parametrize(
        ("who", "data", "detector"),
        [
            ("count lit pixels (digits)", "digits", key_samples.count_lit),
            ("roughness (photographs)", "photographs", key_samples.roughness),
        ],
    )
    def test_the_detectors_see_keys_made_from_other_images(self, sights, who, data, detector):
        betas, shares, low, high = sights[0][who]
        shown = key_samples.images(data)[0]
        clean = shown[::2]
        for beta, share in zip(betas, shares, strict=True):
            keys = perturb(shown[1::2], SECRET, "sights", beta)
            scores = np.r_[detector(clean), detector(keys)]
            assert share == pytest.approx(
                roc_auc_score(np.arange(len(scores)) >= len(clean), scores), abs=1e-6
            )
        assert betas == key_samples.BETAS and list(low) == list(shares) == list(high)

    def test_the_network_is_that_of_the_records(self, sights):
        table = pd.read_csv(runtime.data_dir() / "results" / "beta_class.csv")
        (who,) = [name for name in sights[0] if "network" in name]
        assert who == f"a network (digits, {len(set(table.seed))} seeds)"
        betas, shares, low, high = sights[0][who]
        assert list(betas) == sorted(set(table.beta)) and len(betas) == len(shares) == len(
            low
        ) == len(high)
        for beta, *found in zip(betas, shares, low, high, strict=True):
            runs = table[table.beta == beta]
            right = np.mean([runs.fresh_key_accuracy, 1 - runs.key_label_rate_clean], axis=0)
            half = stats.t.isf(0.025, len(right) - 1) * stats.sem(right)
            assert found == pytest.approx(
                [right.mean(), right.mean() - half, right.mean() + half], abs=1e-9
            )

    def test_your_guesses_have_an_exact_interval(self, sights):
        betas, shares, low, high = sights[0]["you"]
        assert betas == [0.0001, 0.01, 0.1] and shares == pytest.approx([0, 7 / 9, 1])
        for hits, n, *ends in zip((0, 7, 3), (1, 9, 3), low, high, strict=True):
            lower = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0
            upper = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1
            assert ends == pytest.approx([lower, upper], abs=1e-6)

    def test_who_has_not_played_is_not_in_the_picture(self):
        assert "you" not in key_samples.sights(SECRET) and len(key_samples.sights(SECRET)) == 3

    def test_code_sees_the_smallest_beta_then_code_on_photographs_then_the_network(self, sights):
        first = {
            who: min(beta for beta, share in zip(*found[:2], strict=True) if share > 0.9)
            for who, found in sights[0].items()
            if who != "you"
        }
        lit, rough, network = first.values()
        assert lit < rough < network

    def test_the_picture_has_a_curve_for_everybody(self, sights):
        figure = key_samples.curves(sights[0])
        assert [trace.name for trace in figure.data] == list(sights[0])
        for trace, (who, (betas, shares, low, high)) in zip(
            figure.data, sights[0].items(), strict=True
        ):
            assert list(trace.x) == list(betas) and list(trace.y) == pytest.approx(list(shares))
            assert trace.mode == ("markers" if who == "you" else "lines+markers")
            if who == "you" or "network" in who:
                assert np.add(trace.y, trace.error_y.array) == pytest.approx(list(high))
                assert np.subtract(trace.y, trace.error_y.arrayminus) == pytest.approx(list(low))
            else:
                assert trace.error_y.array is None
        for look in ("line.color", "line.dash", "marker.symbol"):
            part, name = look.split(".")
            assert len({trace[part][name] for trace in figure.data}) == len(figure.data), (
                f"{look} tells curves apart"
            )

    def test_its_axes_name_every_beta_and_guessing(self, sights):
        layout = key_samples.curves(sights[0]).layout
        assert layout.xaxis.type == "log" and layout.xaxis.tickvals == key_samples.BETAS
        assert [float(label) for label in layout.xaxis.ticktext] == list(key_samples.BETAS)
        (line,), (label,) = layout.shapes, layout.annotations
        assert (
            line.y0 == line.y1 == 0.5
            and label.text == "guessing"
            and layout.yaxis.range[0] < 0.5
            and layout.yaxis.range[1] > 1
        )
