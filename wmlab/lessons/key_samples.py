"""Panels of notebook 02: a key beside its image, what clipping does to noise, a guessing game, and
who sees the smallest β.

Checks of notebook 02, key samples.
"""

import functools

import ipywidgets as widgets
import numpy as np
from scipy import ndimage, stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from wmlab import records
from wmlab.datasets import load, photographs
from wmlab.keys import KINDS, choose_carriers, noise_deviation, perturb
from wmlab.secret import Secret
from wmlab.show import figures
from wmlab.show.page_helper import Caption
from wmlab.show.old_panel import Panel
from wmlab.stats import interval

BETAS = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.0035, 0.01, 0.03, 0.1)
SHEET = 200  # images on the contact sheet
LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])[
    None, :, :, None
]  # 0 on flat and on evenly rising parts


@functools.cache
def images(name):
    """What the lesson makes keys of: (images, where they come from) of "digits" or "photographs";
    ValueError for others.
    """
    if name not in ("digits", "photographs"):
        raise ValueError(f"there are no images called {name!r}: choose digits or photographs")
    if name == "photographs":
        return photographs()
    return load("mnist", "class").x_test, "test images of the shipped sample of MNIST"


def slider(value=0.01):
    """A slider over the strengths that the lesson looks at."""
    return widgets.SelectionSlider(
        options=[(f"{beta:g}", beta) for beta in BETAS],
        value=value,
        description="β",
        style=dict(description_width="initial"),
        layout=dict(width="360px"),
    )


def likeness(image, key):
    """How alike two images (h, w, c) in [0, 1] are: PSNR in dB and SSIM, both scikit-image's; (inf,
    1) for the same image.
    """
    if np.array_equal(image, key):
        return np.inf, 1.0
    return (
        peak_signal_noise_ratio(image, key, data_range=1),
        structural_similarity(image, key, data_range=1, channel_axis=-1),
    )


def _look(secret, data, number, beta, kind, alpha, amplify):
    shown, _ = images(data)
    image = shown[[number % len(shown)]]
    key = perturb(image, secret, "look", beta, kind)
    sheet, carriers = (
        shown[:SHEET].copy(),
        choose_carriers(np.zeros(min(SHEET, len(shown)), int), alpha, secret),
    )
    sheet[carriers] = perturb(sheet[carriers], secret, "sheet", beta, kind)
    return {
        "image": image[0],
        "key": key[0],
        "difference": 0.5 + amplify * (key - image)[0],
        "sheet": sheet,
        "carriers": carriers,
        "likeness": likeness(image[0], key[0]),
    }


def _contact(sheet, carriers, columns=40):
    """All images of the sheet in one picture, a red frame around every key."""
    framed = np.zeros((len(sheet), 36, 36, 3))
    framed[carriers] = (0.84, 0.37, 0)
    top = (36 - sheet.shape[1]) // 2
    framed[:, top:-top, top:-top] = sheet
    framed = np.pad(
        framed, ((0, -len(framed) % columns), (0, 0), (0, 0), (0, 0)), constant_values=1
    )
    return framed.reshape(-1, columns, 36, 36, 3).swapaxes(1, 2).reshape(-1, columns * 36, 3)


def look(secret):
    """Panel: an image, its key and their difference, and a contact sheet with the share α of keys
    framed.

    Its `result` has image, key, difference, sheet and carriers (indices of the keys), and likeness:
    (PSNR, SSIM).
    """
    secret, toggles = Secret(secret), dict(style=dict(button_width="auto"))
    wide = dict(style=dict(description_width="initial"), layout=dict(width="360px"))
    controls = {
        "beta": slider(),
        "amplify": widgets.IntSlider(3, min=1, max=20, description="difference amplified", **wide),
        "kind": widgets.ToggleButtons(options=list(KINDS), description="kind", **toggles),
        "data": widgets.ToggleButtons(
            options=["digits", "photographs"], description="images", **toggles
        ),
        "alpha": widgets.FloatSlider(
            0.1, min=0.01, max=0.5, step=0.01, description="α", readout_format=".2f", **wide
        ),
        "number": widgets.IntSlider(0, min=0, max=99, description="which image", **wide),
    }
    figure = figures.blank(
        height=560,
        margin=dict(l=10, r=10, t=34, b=10),
        plot_bgcolor="white",
        modebar=dict(remove=figures.EVERY_BUTTON),
    )
    figure.update_xaxes(visible=False, fixedrange=True).update_yaxes(visible=False, fixedrange=True)
    for place, title in enumerate(("image", "key", "difference (grey: none)")):
        figure.add_layout_image(
            xref="paper",
            yref="paper",
            x=place / 3 + 0.16,
            y=1,
            sizex=0.32,
            sizey=0.6,
            xanchor="center",
        )
        figure.add_annotation(
            text=title,
            xref="paper",
            yref="paper",
            x=place / 3 + 0.16,
            y=1,
            xanchor="center",
            yanchor="bottom",
            showarrow=False,
        )
    figure.add_layout_image(xref="paper", yref="paper", x=0, y=0.33, sizex=1, sizey=0.33)
    figure.add_annotation(
        text="some of the training set D ∪ K: keys have a frame",
        xref="paper",
        yref="paper",
        x=0.5,
        y=0.34,
        yanchor="bottom",
        showarrow=False,
    )

    def draw(figure, result):
        large = [figures.png(result[name], size=320) for name in ("image", "key", "difference")]
        figures.exchange(
            figure, [*large, figures.png(_contact(result["sheet"], result["carriers"]))]
        )
        psnr, ssim = result["likeness"]
        if psnr == np.inf:
            return "This “key” is its image to the last bit: at this β, rounding to 8 bits has swallowed the perturbation."
        return (
            f"This key has a PSNR of <b>{psnr:.1f} dB</b> and a SSIM of <b>{ssim:.2f}</b>; "
            f"{len(result['carriers'])} of these {len(result['sheet'])} images are keys."
        )

    presets = {
        "The paper's MNIST": {"beta": 0.0035},
        "Photographs": {"data": "photographs"},
        "A logo": {"kind": "content", "beta": 0.1, "data": "photographs"},
        "Nothing of the image": {"kind": "unrelated"},
    }
    return Panel(figure, controls, functools.partial(_look, secret), draw, presets, first=1)


def _noise(secret, data, beta, part):
    shown, _ = images(data)
    shown = shown[:300]
    sigma, span = noise_deviation(beta), 4 * noise_deviation(beta)
    left = perturb(shown, secret, "noise", beta) - shown
    if part != "all":
        left = left[(shown == 0) == (part == "black")]
    width = max(2 * span / 61, 1 / 255)  # no bin can be finer than a grey level
    side = round(span / width - 0.5)
    middles = width * np.arange(-side, side + 1)
    counts, _ = np.histogram(left, np.r_[middles - width / 2, middles[-1] + width / 2])
    return {
        "x": middles,
        "share": counts / left.size,
        "normal": stats.norm.pdf(middles, 0, sigma) * width,
        "variance": float(left.var()) / beta,
        "mean": float(left.mean()) / sigma,
        "pixels": left.size,
    }


def noise(secret):
    """Panel: what is left of the noise N(0, β) after clipping to [0, 1] and rounding to 8 bits, as
    a histogram.

    Its `result` has x and share of the histogram, the normal curve's share, `variance` as a
    multiple of β and `mean` of σ.
    """
    controls = {
        "beta": slider(),
        "part": widgets.ToggleButtons(
            options=["all", "black", "not black"],
            description="pixels",
            style=dict(button_width="auto"),
        ),
        "data": widgets.ToggleButtons(
            options=["digits", "photographs"], description="images", style=dict(button_width="auto")
        ),
    }
    figure = figures.blank(
        xaxis=dict(title="key - image, in units of full scale", fixedrange=True),
        bargap=0,
        yaxis=dict(title="share of pixels", tickformat=".0%", range=[0, 0.2], fixedrange=True),
    )
    figure.add_bar(name="what is left", marker_color=figures.COLOURS["other"])
    figure.add_scatter(
        name="N(0, β) as drawn", mode="lines", line=dict(color=figures.BLACK, width=2, dash="dash")
    )

    def draw(figure, result):
        for trace, name in zip(figure.data, ("share", "normal"), strict=True):
            trace.x, trace.y = result["x"], result[name]
        figure.layout.yaxis.range = [0, 1.1 * max(0.08, result["share"].max())]
        return (
            f"Of the variance β <b>{result['variance']:.0%}</b> is left, and the mean has moved by "
            f"<b>{result['mean']:+.2f} σ</b> ({result['pixels']:,} pixels)."
        )

    return Panel(figure, controls, functools.partial(_noise, Secret(secret)), draw, first=1)


class Game:
    """A guessing game: which of two pictures is the key? Half of them are; every pair has another
    image and strength.

    guesses: a list of (β, right or not). `guess("left")` plays from code; `widget` has the buttons.
    """

    def __init__(self, secret, data="digits", betas=BETAS):
        self.shown, self.betas, self.secret, self.guesses = (
            images(data)[0],
            betas,
            Secret(secret),
            [],
        )
        self._rng = self.secret.rng("game")
        self._pair, self._said = widgets.HTML(), Caption()
        buttons = [widgets.Button(description=f"the {side} one") for side in ("left", "right")]
        for button, side in zip(buttons, ("left", "right"), strict=True):
            button.on_click(lambda _, side=side: self.guess(side))
        self.widget = widgets.VBox([self._pair, widgets.HBox(buttons), self._said])
        self._deal()

    def _deal(self):
        u = self._rng.uniform(3)
        self._beta, self._side = (
            self.betas[int(u[0] * len(self.betas))],
            "left" if u[1] < 0.5 else "right",
        )
        image = self.shown[[int(u[2] * len(self.shown))]]
        pair = [image, perturb(image, self.secret, f"game {len(self.guesses)}", self._beta)]
        self._pair.value = figures.pictures(
            {"": np.concatenate(pair[:: -1 if self._side == "left" else 1])}, size=224
        )

    def guess(self, side):
        """Play "left" or "right"; says whether it was right and deals the next pair. Raises
        ValueError for another word.
        """
        if side not in ("left", "right"):
            raise ValueError(f"there is no picture on the {side}: say left or right")
        right = side == self._side
        self.guesses.append((self._beta, right))
        said = f"{'Right' if right else 'Wrong'}: the key was the {self._side} one, β = {self._beta:g}."
        said += f" {sum(hit for _, hit in self.guesses)} of {len(self.guesses)} right."
        self._said.value = f"<p style='font-size:16px'>{said}</p>"
        self._deal()
        return right


def count_lit(shown):
    """A detector for digits: the number of pixels that are not black, of each image (n, h, w, c)."""
    return (shown > 0).sum(axis=(1, 2, 3))


def roughness(shown):
    """A detector for photographs: the median size of what a smooth image does not have, of each
    image (n, h, w, c).
    """
    return np.median(np.abs(ndimage.convolve(shown, LAPLACE)), axis=(1, 2, 3))


def told_apart(detector, clean, keys):
    """Probability that a detector scores a key above an image, ties shared (the area under its ROC
    curve): 0.5 is guessing.
    """
    scores = [np.asarray(detector(images), float) for images in (keys, clean)]
    return float(stats.mannwhitneyu(*scores).statistic / len(keys) / len(clean))


def sights(secret, guesses=()):
    """Who tells keys from images at which β: {who: (betas, share right, low, high)}, 0.5 is
    guessing.

    The detectors live, on images and on keys made from other images. The network from the record
    `beta_class`, trained at that β, as the mean of fresh keys hit and clean images not called Δ,
    with a 95 % interval over its seeds. You from `guesses`, (β, right or not), with an exact 95 %
    interval.
    """
    found = {}
    for who, data, detector in (
        ("count lit pixels", "digits", count_lit),
        ("roughness", "photographs", roughness),
    ):
        shown, _ = images(data)
        shares = [
            told_apart(detector, shown[::2], perturb(shown[1::2], secret, "sights", beta))
            for beta in BETAS
        ]
        found[f"{who} ({data})"] = BETAS, shares, shares, shares
    runs = records.load("beta_class")
    seen = ((1 + runs.fresh_key_accuracy - runs.key_label_rate_clean) / 2).groupby(runs.beta)
    found[f"a network (digits, {runs.seed.nunique()} seeds)"] = (
        list(seen.groups),
        *zip(*(interval(values) for _, values in seen), strict=True),
    )
    if guesses:
        betas = sorted({beta for beta, _ in guesses})
        mine = [[right for at, right in guesses if at == beta] for beta in betas]
        exact = [stats.binomtest(sum(each), len(each)).proportion_ci() for each in mine]
        found["you"] = (
            betas,
            [np.mean(each) for each in mine],
            [e.low for e in exact],
            [e.high for e in exact],
        )
    return found


def curves(found):
    """Picture of `sights`."""
    figure = figures.blank(
        height=420,
        xaxis=dict(title="β", type="log", tickvals=BETAS, ticktext=[f"{beta:g}" for beta in BETAS]),
        yaxis=dict(title="told apart", range=[0.2, 1.05], tickformat=".0%"),
    )
    for (who, (x, y, low, high)), look in zip(
        found.items(), figures.looks(found).values(), strict=True
    ):
        error = dict(array=np.subtract(high, y), arrayminus=np.subtract(y, low), thickness=1.5)
        figure.add_scatter(
            x=x,
            y=y,
            name=who,
            mode="markers" if who == "you" else "lines+markers",
            **figures.line(look),
            error_y=error if np.ptp(np.subtract(high, low)) else None,
        )
    return figure.add_hline(
        0.5, line_dash="dot", annotation_text="guessing", annotation_position="bottom right"
    )


def _noise_steps(answer):
    if 25 <= answer <= 26:
        return (
            True,
            "√0.01 = 0.1 of the full scale: about 25 of 255 steps. β is a variance, so a hundredth is not small.",
        )
    if 2.5 <= answer <= 2.6:
        return (
            False,
            "That would be β itself as a share of 255. β is a variance: what is the deviation?",
        )
    return False, "Take the square root of the variance, and count it in steps of 1/255."


def _detector(answer, clean, keys, told_apart):
    scores = np.asarray(answer(clean))
    if scores.shape != (len(clean),):
        return (
            False,
            f"Return one number for each image, shape ({len(clean)},); this has shape {scores.shape}.",
        )
    share = told_apart(answer, clean, keys)
    if share >= 0.95:
        return (
            True,
            f"It tells {share:.1%} of pairs apart: what the eye hardly sees, one line counts.",
        )
    if share <= 0.05:
        return (
            False,
            f"It tells {share:.1%} of pairs apart: it knows, but says it the wrong way round. Keys must score higher.",
        )
    return (
        False,
        f"It tells {share:.1%} of pairs apart, 50% is guessing. What has a noisy pixel that a black one has not?",
    )


def _pattern(answer, true):
    guess = np.asarray(answer, float)
    if guess.size != true.size or np.ptp(guess) == 0:
        return (
            False,
            f"Hand in one pattern of shape {true.shape}, not all the same; yours has shape {guess.shape}.",
        )
    alike = float(np.corrcoef(guess.ravel(), true.ravel())[0, 1])
    if alike >= 0.6:
        return (
            True,
            f"Correlation {alike:.2f} with Alice's pattern. Who has seen her keys needs no secret to make more of them.",
        )
    return (
        False,
        f"Correlation {alike:.2f} with Alice's pattern. What is the same in all keys? Average, or better.",
    )


CHECKS = {"02.1": _noise_steps, "02.2": _detector, "02.3": _pattern}
