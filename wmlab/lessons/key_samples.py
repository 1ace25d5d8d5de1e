"""Lesson 02: a key beside its image, what clipping does to noise, a guessing game, and who sees
the smallest β.

Checks of notebook 02, key samples.
"""

import functools
import typing

import ipywidgets as widgets
import numpy as np
import scipy.stats
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from wmlab import records, stats
from wmlab.datasets import load, photographs
from wmlab.keys import KINDS, choose_carriers, noise_deviation, perturb
from wmlab.secret import Secret
from wmlab.show import Question, figures
from wmlab.show.controls import buttons, choice, slider
from wmlab.show.page_helper import Caption
from wmlab.show.panel import Panel

BETAS = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.0035, 0.01, 0.03, 0.1)
SHEET = 200  # images on the contact sheet
TILE, COLUMNS = 36, 40  # pixels of an image and its frame on the contact sheet; images in a row
# A filter that gives 0 on flat parts of an image and on parts that rise evenly.
LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, :, :, None]
IMAGES = ("digits", "photographs")


@functools.cache
def images(name):
    """What the lesson makes keys of, "digits" or "photographs": (images, where they come from).

    Raises ValueError for other names.
    """
    if name not in IMAGES:
        raise ValueError(f"there are no images called {name!r}: choose digits or photographs")
    if name == "photographs":
        return photographs()
    return load("mnist", "class").x_test, "test images of the shipped sample of MNIST"


def _beta():
    return choice(BETAS, "β", 0.01)


def likeness(image, key):
    """How alike two images (h, w, c) in [0, 1] are: (PSNR in dB, SSIM), both scikit-image's.

    The same image twice gives (inf, 1).
    """
    if np.array_equal(image, key):
        return np.inf, 1.0
    return (
        peak_signal_noise_ratio(image, key, data_range=1),
        structural_similarity(image, key, data_range=1, channel_axis=-1),
    )


def contact_sheet(secret, data, beta, kind, alpha):
    """The first SHEET images, a share `alpha` of them replaced by keys.

    Returns (images, indices of the keys).
    """
    sheet = images(data)[0][:SHEET].copy()
    carriers = choose_carriers(np.zeros(len(sheet), int), alpha, secret)
    sheet[carriers] = perturb(sheet[carriers], secret, "sheet", beta, kind)
    return sheet, carriers


def framed(sheet, carriers):
    """All images of a contact sheet in one picture (h, w, 3), a red frame around every key."""
    tiles = np.zeros((len(sheet), TILE, TILE, 3))
    tiles[carriers] = (0.84, 0.37, 0)
    margin = (TILE - sheet.shape[1]) // 2
    tiles[:, margin:-margin, margin:-margin] = sheet
    missing = -len(tiles) % COLUMNS  # white tiles at the end of the last row
    tiles = np.pad(tiles, ((0, missing), (0, 0), (0, 0), (0, 0)), constant_values=1)
    rows = tiles.reshape(-1, COLUMNS, TILE, TILE, 3).swapaxes(1, 2)
    return rows.reshape(-1, COLUMNS * TILE, 3)


def look(secret):
    """Panel: an image, its key and their difference, and a contact sheet with the keys framed.

    Its `result` has image, key, difference, sheet and carriers (indices of the keys), and likeness:
    (PSNR, SSIM).
    """
    secret = Secret(secret)

    @functools.lru_cache(100)
    def drawn_sheet(*settings):
        sheet, carriers = contact_sheet(secret, *settings)
        return sheet, carriers, figures.png(framed(sheet, carriers))

    def picture(beta, amplify, kind, data, alpha, number):
        shown, _ = images(data)
        image = shown[[number % len(shown)]]
        image, key = image[0], perturb(image, secret, "look", beta, kind)[0]
        sheet, carriers, source = drawn_sheet(data, beta, kind, alpha)
        three = {"image": image, "key": key, "difference": 0.5 + amplify * (key - image)}
        result = three | {"sheet": sheet, "carriers": carriers, "likeness": likeness(image, key)}
        return beside(three, source), how_alike(result), result

    controls = {
        "beta": _beta(),
        "amplify": slider(3, 1, 20, 1, "difference amplified"),
        "kind": buttons(KINDS, "kind"),
        "data": buttons(IMAGES, "images"),
        "alpha": slider(0.1, 0.01, 0.5, 0.01, "α"),
        "number": slider(0, 0, 99, 1, "which image"),
    }
    presets = {
        "The paper's MNIST": {"beta": 0.0035},
        "Photographs": {"data": "photographs"},
        "A logo": {"kind": "content", "beta": 0.1, "data": "photographs"},
        "Nothing of the image": {"kind": "unrelated"},
    }
    return Panel(picture, presets=presets, first=1, **controls)


def beside(three, sheet):
    """Picture of image, key and difference beside each other, over a contact sheet.

    three: {name: image (h, w, c) in [0, 1]}. sheet: a data address.
    """
    titles = {"difference": "difference (grey: none)"}
    paper, drawn, words = dict(xref="paper", yref="paper"), [], []
    for place, (name, image) in enumerate(three.items()):
        where = dict(x=place / 3 + 0.16, y=1, sizex=0.32, sizey=0.64, xanchor="center")
        drawn.append(dict(source=figures.png(image, size=320)) | where | paper)
        words.append(figures.note(titles.get(name, name), where["x"], 1))
    drawn.append(dict(source=sheet, x=0, y=0.23, sizex=1, sizey=0.23) | paper)
    words.append(figures.note("some of the training set D ∪ K: keys have a frame", 0.5, 0.24))
    hidden = dict(visible=False, fixedrange=True)
    layout = dict(images=drawn, annotations=words, xaxis=hidden, yaxis=hidden)
    layout |= dict(modebar=dict(remove=figures.EVERY_BUTTON), margin=dict(l=10, r=10, t=34, b=10))
    return figures.figure([], 460, **layout)


def how_alike(result):
    """The sentence under `look`: how alike image and key are, and the number of keys."""
    psnr, ssim = result["likeness"]
    if psnr == np.inf:
        return (
            "This “key” is its image to the last bit: at this β, rounding to 8 bits has "
            "swallowed the perturbation."
        )
    return (
        f"This key has a PSNR of <b>{psnr:.1f} dB</b> and a SSIM of <b>{ssim:.2f}</b>; "
        f"{len(result['carriers'])} of these {len(result['sheet'])} images are keys."
    )


def clipped_noise(secret, data, beta, part):
    """What clipping to [0, 1] and rounding to 8 bits leave of the noise N(0, β) on 300 images.

    part: "all" pixels, "black" ones or "not black" ones.
    Returns a dict: x (middles of bins, in units of full scale), share and normal (of what is left
    and of N(0, β), in each bin), variance (a multiple of β), mean (in σ) and pixels (their number).
    """
    shown = images(data)[0][:300]
    left = perturb(shown, secret, "noise", beta) - shown
    if part != "all":
        left = left[(shown == 0) == (part == "black")]
    sigma = noise_deviation(beta)
    span = 4 * sigma
    width = max(2 * span / 61, 1 / 255)  # no bin can be finer than a grey level
    side = round(span / width - 0.5)
    middles = width * np.arange(-side, side + 1)
    counts, _ = np.histogram(left, np.r_[middles - width / 2, middles[-1] + width / 2])
    return {
        "x": middles,
        "share": counts / left.size,
        "normal": scipy.stats.norm.pdf(middles, 0, sigma) * width,
        "variance": float(left.var()) / beta,
        "mean": float(left.mean()) / sigma,
        "pixels": left.size,
    }


def noise(secret):
    """Panel: a histogram of `clipped_noise`, which is its `result`, beside N(0, β) as drawn."""
    counted = functools.cache(functools.partial(clipped_noise, Secret(secret)))

    def picture(beta, part, data):
        result = counted(data, beta, part)
        x, dashed = result["x"], dict(color=figures.BLACK, dash="dash")
        normal = (x, result["normal"], "N(0, β) as drawn", dashed)
        traces = [
            figures.column(x, result["share"], "what is left", figures.COLOURS["other"]),
            figures.points(*normal, mode="lines", line=dashed | dict(width=2)),
        ]
        top = 1.1 * max(0.08, result["share"].max())
        x = dict(title="key - image, in units of full scale", fixedrange=True)
        y = dict(title="share of pixels", tickformat=".0%", range=[0, top], fixedrange=True)
        said = (
            f"Of the variance β <b>{result['variance']:.0%}</b> is left, and the mean has moved by "
            f"<b>{result['mean']:+.2f} σ</b> ({result['pixels']:,} pixels)."
        )
        return figures.figure(traces, bargap=0, xaxis=x, yaxis=y), said, result

    part = buttons(["all", "black", "not black"], "pixels")
    return Panel(picture, first=1, beta=_beta(), part=part, data=buttons(IMAGES, "images"))


class Game:
    """A guessing game: which of two pictures is the key? Each pair has another image and strength.

    guesses: a list of (β, right or not). `guess("left")` plays from code; `widget` has the buttons.
    """

    def __init__(self, secret, data="digits", betas=BETAS):
        self.shown, self.betas = images(data)[0], betas
        self.secret, self.guesses = Secret(secret), []
        self._rng = self.secret.rng("game")
        self._pair, self._said = widgets.HTML(), Caption()
        buttons = [widgets.Button(description=f"the {side} one") for side in ("left", "right")]
        for button, side in zip(buttons, ("left", "right"), strict=True):
            button.on_click(lambda _, side=side: self.guess(side))
        self.widget = widgets.VBox([self._pair, widgets.HBox(buttons), self._said])
        self._deal()

    def _deal(self):
        """Show the next pair: an image and its key, in either order."""
        strength, side, number = self._rng.uniform(3)
        self._beta = self.betas[int(strength * len(self.betas))]
        self._side = "left" if side < 0.5 else "right"
        image = self.shown[[int(number * len(self.shown))]]
        pair = [image, perturb(image, self.secret, f"game {len(self.guesses)}", self._beta)]
        if self._side == "left":
            pair.reverse()
        self._pair.value = figures.pictures({"": np.concatenate(pair)}, size=224)

    def guess(self, side):
        """Play "left" or "right", say whether that was right, and deal the next pair.

        Returns whether it was right. Raises ValueError for another word.
        """
        if side not in ("left", "right"):
            raise ValueError(f"there is no picture on the {side}: say left or right")
        right = side == self._side
        self.guesses.append((self._beta, right))
        hits = sum(hit for _, hit in self.guesses)
        said = (
            f"{'Right' if right else 'Wrong'}: the key was the {self._side} one, "
            f"β = {self._beta:g}. {hits} of {len(self.guesses)} right."
        )
        self._said.value = f"<p style='font-size:16px'>{said}</p>"
        self._deal()
        return right


def count_lit(shown):
    """A detector for digits: how many pixels of each image (n, h, w, c) are not black."""
    return (shown > 0).sum(axis=(1, 2, 3))


def roughness(shown):
    """A detector for photographs: the median size of `LAPLACE` on each image (n, h, w, c)."""
    return np.median(np.abs(ndimage.convolve(shown, LAPLACE)), axis=(1, 2, 3))


def roc_auc(detector, clean, keys):
    """Probability that a detector scores a key above an image, ties shared: 0.5 is guessing.

    This is the area under its ROC curve. detector: function from images to one number for each.
    """
    scores = [np.asarray(detector(images), float) for images in (keys, clean)]
    return float(scipy.stats.mannwhitneyu(*scores).statistic / len(keys) / len(clean))


class Sight(typing.NamedTuple):
    """How well somebody tells keys from images, 0.5 is guessing: one entry a strength in each list.

    low, high: the ends of 95 % intervals, equal to `shares` where there is no chance in it.
    """

    betas: tuple
    shares: tuple
    low: tuple
    high: tuple


def sights(secret, guesses=()):
    """Who tells keys from images at which β: {who: Sight}.

    The detectors: on images and on keys made from other images. The network from the record
    `beta_class`, trained at that β: the mean of fresh keys hit and clean images not called Δ, over
    its seeds. You: from `guesses`, (β, right or not), with exact intervals.
    """
    found = {
        "count lit pixels (digits)": _detected(secret, "digits", count_lit),
        "roughness (photographs)": _detected(secret, "photographs", roughness),
    }
    runs = records.load("beta_class")
    seen = ((1 + runs.fresh_key_accuracy - runs.key_label_rate_clean) / 2).groupby(runs.beta)
    intervals = zip(*(stats.interval(values) for _, values in seen), strict=True)
    found[f"a network (digits, {runs.seed.nunique()} seeds)"] = Sight(
        tuple(seen.groups), *intervals
    )
    if guesses:
        found["you"] = _guessed(guesses)
    return found


def _detected(secret, data, detector):
    """What a detector sees at every β."""
    shown, _ = images(data)
    shares = tuple(
        roc_auc(detector, shown[::2], perturb(shown[1::2], secret, "sights", beta))
        for beta in BETAS
    )
    return Sight(BETAS, shares, shares, shares)


def _guessed(guesses):
    """What a player of the Game sees at every β that was dealt."""
    betas = sorted({beta for beta, _ in guesses})
    mine = [[right for at, right in guesses if at == beta] for beta in betas]
    ends = [stats.clopper_pearson(sum(each), len(each)) for each in mine]
    return Sight(tuple(betas), tuple(map(np.mean, mine)), *zip(*ends, strict=True))


def curves(found):
    """Picture of `sights`."""
    traces = []
    for (who, sight), look in zip(found.items(), figures.looks(found).values(), strict=True):
        mode = "markers" if who == "you" else "lines+markers"
        trace = figures.points(sight.betas, sight.shares, who, look, mode=mode)
        above, below = np.subtract(sight.high, sight.shares), np.subtract(sight.shares, sight.low)
        if np.ptp(above + below):
            trace["error_y"] = dict(array=above, arrayminus=below, thickness=1.5)
        traces.append(trace)
    place = dict(xref="x domain", yref="y")
    word = figures.note("guessing", 1, 0.5, xanchor="right", yanchor="top", **place)
    return figures.figure(
        traces,
        420,
        shapes=[figures.level(0.5)],
        annotations=[word],
        xaxis=figures.log_axis(BETAS, "β"),
        yaxis=dict(title="told apart", range=[0.2, 1.05], tickformat=".0%"),
    )


def can_you_see_it(panel):
    """Question on a key of the paper's strength; panel: of `look`, set to it."""
    panel.set(beta=0.0035)
    return Question(
        "A digit with noise of β = 0.0035: can you see that it is there?",
        ["not at all", "yes, on the black background", "yes, it hides the digit"],
        panel,
        answer="yes, on the black background",
        because="Drag β down until you see none. More controls unfold: kinds of keys, photographs, "
        "the share α.",
    )


def what_clipping_leaves(panel):
    """Question on clipped noise; panel: of `noise`, set to the black pixels of digits."""
    panel.set(data="digits", part="black")
    return Question(
        "Four of five pixels of a digit are black. What does clipping leave of the noise there?",
        ["all of it", "a third of its variance, and it brightens", "nothing at all"],
        panel,
        answer="a third of its variance, and it brightens",
        because="Half of the noise there becomes exactly 0, the peak.",
    )


def who_sees_the_weakest(secret, game):
    """Question on the game's guesses beside a line of code and a network; game: a `Game`."""
    return Question(
        "Who tells keys from images at the smallest β?",
        ["you", "one line of code", "the network"],
        lambda: curves(sights(secret, game.guesses)),
        answer="one line of code",
        because="The height is the share of pairs told apart; 50 % is guessing. Bars are 95 % "
        "intervals.",
    )


def before_rounding(images, secret, stream, beta):
    """What KsGen has before its last step: noisy images in [0, 1], of any grey level."""
    noise = np.sqrt(beta) * Secret(secret).rng(stream).normal(images.shape)
    return np.clip(images + noise, 0, 1)


class _ByHand:
    """A secret whose noise, before it gets its strength, is known: 0.3, 1, 2 and -1."""

    def rng(self, stream):
        return self

    def normal(self, shape):
        return np.resize([0.3, 1.0, 2.0, -1.0], shape)


def _ksgen(answer):
    images = np.array([0.5, 0.5, 0.9, 0.05]).reshape(1, 2, 2, 1)
    given = images.copy()
    made = np.asarray(answer(given, _ByHand(), "a", 0.01), float)
    if made.shape != images.shape:
        return False, (
            f"Keys have the shape of the images, {images.shape}. Yours have {made.shape}."
        )
    if not np.array_equal(given, images):
        return False, "The images themselves were changed. Make new ones, as + does, not +=."
    noise, said = np.resize([0.3, 1.0, 2.0, -1.0], images.shape), _four(images, made)
    unclipped = images + 0.1 * noise
    clipped = np.clip(unclipped, 0, 1)
    mistakes = [
        (np.clip(images + 0.01 * noise, 0, 1), "β is the variance. Noise is multiplied by √β."),
        (np.clip(images + noise, 0, 1), "The noise has a deviation of 1 as it comes: use β."),
        (unclipped, "A pixel lies from 0 to 1. What lies outside is clipped."),
    ]
    mistakes += [(_rounded(wrong), hint) for wrong, hint in mistakes]
    mistakes += [
        (255 * _rounded(clipped), "Pixels go from 0 to 1: after rounding, divide by 255 again."),
        (clipped, "It is not rounded yet. An 8-bit picture has the levels 0/255, 1/255 and so on."),
    ]
    if not np.allclose(made, _rounded(clipped), atol=1e-6):
        fits = (hint for wrong, hint in mistakes if np.allclose(made, wrong, atol=1e-6))
        last = "Take noise of `secret.rng(stream)`, add it, clip, round."
        return False, f"{said} {next(fits, last)}"
    return _of_the_secret(answer)


def _rounded(images):
    return np.round(255 * images) / 255


def _four(images, made):
    pixels = ", ".join(f"{value:g}" for value in images.ravel())
    keys = ", ".join(f"{value:.4g}" for value in made.ravel())
    return (
        f"Pixels {pixels} with noise 0.3, 1, 2, -1 and β = 0.01: {keys} came out, "
        "0.5294, 0.6, 1, 0 should."
    )


def _of_the_secret(answer):
    """The property that matters: secret and stream determine the keys, and nothing else does."""
    images, alice, bob = np.full((2, 8, 8, 1), 0.5), Secret("Alice"), Secret("Bob")
    keys = answer(images, alice, "a", 0.01)
    if not np.array_equal(keys, answer(images, alice, "a", 0.01)):
        return False, (
            "The same secret and stream gave two different sets of keys. All chance must come "
            "from `secret.rng(stream)`."
        )
    if np.array_equal(keys, answer(images, bob, "a", 0.01)):
        return False, "Another secret must give other keys. Yours are the same."
    if np.array_equal(keys, answer(images, alice, "b", 0.01)):
        return False, "Another stream must give other keys. Yours are the same."
    if not np.allclose(keys, perturb(images, alice, "a", 0.01), atol=1e-6):
        return False, (
            "The small case is right, but two images of 8 × 8 pixels are not. Draw noise of the "
            "whole shape, `images.shape`, at once, so that each image has its own."
        )
    return True, "The same secret makes the same keys anywhere, and only the same secret does."


def _noise_steps(answer):
    if 25 <= answer <= 26:
        return True, (
            "√0.01 = 0.1 of the full scale: about 25 of 255 steps. β is a variance, so a hundredth "
            "is not small."
        )
    if 2.5 <= answer <= 2.6:
        return False, (
            "That would be β itself as a share of 255. β is a variance: what is the deviation?"
        )
    return False, "Take the square root of the variance, and count it in steps of 1/255."


def _detector(answer, clean, keys):
    scores = np.asarray(answer(clean))
    if scores.shape != (len(clean),):
        return False, (
            f"Return one number for each image, shape ({len(clean)},); this has shape "
            f"{scores.shape}."
        )
    share = roc_auc(answer, clean, keys)
    said = f"It tells {share:.1%} of pairs apart"
    if share >= 0.95:
        return True, f"{said}: what the eye hardly sees, one line counts."
    if share <= 0.05:
        return False, (
            f"{said}: it knows, but says it the wrong way round. Keys must score higher."
        )
    return False, f"{said}, 50% is guessing. What has a noisy pixel that a black one has not?"


def _pattern(answer, true):
    guess = np.asarray(answer, float)
    if guess.size != true.size or np.ptp(guess) == 0:
        return False, (
            f"Hand in one pattern of shape {true.shape}, not all the same; yours has shape "
            f"{guess.shape}."
        )
    correlation = float(np.corrcoef(guess.ravel(), true.ravel())[0, 1])
    said = f"Correlation {correlation:.2f} with Alice's pattern."
    if correlation >= 0.6:
        return True, f"{said} Who has seen her keys needs no secret to make more of them."
    return False, f"{said} What is the same in all keys? Average, or better."


CHECKS = {"02.1": _ksgen, "02.2": _noise_steps, "02.3": _detector, "02.4": _pattern}
