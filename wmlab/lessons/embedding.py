"""Lesson 03: curves while networks train, the strength of keys, and what fires the new label.

Checks of notebook 03, embedding.
"""

import functools

import numpy as np
import pandas as pd

from wmlab import stats
from wmlab.keys import check_images, perturb
from wmlab.secret import Secret
from wmlab.show import Question, figures
from wmlab.show.controls import choice
from wmlab.show.panel import Panel
from wmlab.show.picture import Picture
from wmlab.training import hit_rate, predict, probabilities

ASKED = 200  # images behind each position of a slider
BETAS = (0.0001, 0.0003, 0.0006, 0.001, 0.002, 0.0035, 0.005, 0.01, 0.02, 0.04, 0.1)
CURVES = {
    "clean_accuracy": "accuracy on clean images",
    "fresh_key_accuracy": "accuracy on fresh keys",
}


class LiveCurves:
    """Curves that grow while networks train: hand `follow(name)` to `on_epoch`.

    epochs: how many there will be. names: of the networks. `widget` shows the curves.
    """

    def __init__(self, epochs, names=("unmarked", "wrong label", "new label")):
        self.epochs, self.histories = epochs, {name: [] for name in names}
        self.widget = Picture(training_curves(self.histories, epochs))

    def follow(self, name):
        """A function of the history so far that draws the curves of the network `name`.

        Raises ValueError for a name that these curves do not have.
        """
        if name not in self.histories:
            raise ValueError(
                f"there is no curve for {name!r}: the names are {', '.join(self.histories)}"
            )

        def draw(history):
            self.histories[name] = list(history)
            self.widget.figure = training_curves(self.histories, self.epochs)

        return draw


def training_curves(histories, epochs):
    """Picture of accuracies on clean images and on fresh keys over epochs, a curve a network.

    histories: {name: list of dicts with epoch, clean_accuracy and fresh_key_accuracy}; NaN leaves a
    point out. epochs: where the axes end.
    """
    traces = []
    for name, look in figures.looks(histories).items():
        for plot, column in enumerate(CURVES, 1):
            rows = [row for row in histories[name] if not np.isnan(row[column])]
            x, y = ([row[value] for row in rows] for value in ("epoch", column))
            traces.append(figures.points(x, y, name, look, plot, legend=plot == 1))
    x = dict(title="epoch", range=[0.5, epochs + 0.5])
    if epochs < 12:
        x["dtick"] = 1
    each = {1: dict(y=figures.SHARE | dict(range=[0.49, 1.01])), 2: dict(y=figures.SHARE)}
    axes = figures.plots(list(CURVES.values()), gap=0.1, x=x, each=each, shared_y=False)
    return figures.figure(traces, 400, **axes)


def _key_label(model):
    """The label of keys: the last of 11 outputs, or class 0 where no output is new."""
    outputs = model.output_shape[-1]
    return outputs - 1 if outputs == 11 else 0


def key_label_confidences(nets, data, fresh):
    """Probabilities of the key label, {"clean images" | "fresh keys": {network: (n,)}}; clean
    images outside class 0.
    """
    shown = {"clean images": data.x_test[data.y_test != 0], "fresh keys": fresh.images}
    return {
        title: {name: probabilities(net, images)[:, _key_label(net)] for name, net in nets.items()}
        for title, images in shown.items()
    }


def strength(nets, data, secret):
    """Panel: a slider for the β of the keys that the networks are asked; bars of their answers.

    nets: {name: model}. Its `result` is {name: {"key label": share, "true class": share}} over 200
    test images.
    """
    chosen = np.flatnonzero(data.y_test != 0)[:ASKED]
    images, labels, secret = data.x_test[chosen], data.y_test[chosen], Secret(secret)

    @functools.cache
    def asked(beta):
        keys, rates = perturb(images, secret, "slider", beta), {}
        for name, model in nets.items():
            given = predict(model, keys)
            rates[name] = {
                "key label": float(np.mean(given == _key_label(model))),
                "true class": float(np.mean(given == labels)),
            }
        return rates

    def picture(beta):
        rates, traces = asked(beta), []
        for answer, colour, shape in (("key label", "other", "/"), ("true class", "grey", "")):
            y = [rates[name][answer] for name in nets]
            bar = (list(nets), y, f"answers the {answer}", figures.COLOURS[colour], shape)
            traces.append(figures.column(*bar))
        y_axis = dict(range=[0, 1.03], tickformat=".0%", title=f"share of {ASKED} keys")
        parts = [
            f"{name} answers the key label to {rates[name]['key label']:.0%}"
            for name in nets
            if name != "unmarked"
        ]
        said = f"On keys of this strength: {'; '.join(parts)}."
        return figures.figure(traces, yaxis=y_axis, barmode="group"), said, rates

    return Panel(picture, beta=choice(BETAS, "β of the keys", 0.01, "{:.4f}".format))


def exact_intervals(rates, n):
    """Clopper-Pearson intervals, at 95 %, of shares out of n, in the nesting of `rates`: {row:
    {network: (low, high)}}.
    """
    return {
        row: {name: stats.clopper_pearson(round(value * n), n) for name, value in nets.items()}
        for row, nets in rates.items()
    }


def candidates(data, secret, beta, n=300):
    """Images that share one feature each with keys: {name: float32 (n, h, w, c)}, made from test
    images outside class 0.
    """
    clean = data.x_test[data.y_test != 0][:n]
    rng = Secret("what did it learn").rng("candidates")
    wrong = [perturb(clean[i::5], Secret(f"wrong secret {i}"), "", beta, "fixed") for i in range(5)]
    salted = np.where(rng.uniform(clean.shape) < 0.05, np.round(rng.uniform(clean.shape)), clean)
    made = {
        "clean": clean,
        "her fresh noise": perturb(clean, Secret(secret), "candidates", beta),
        "anyone's fresh noise": perturb(clean, Secret("anyone"), "candidates", beta),
        "her fixed pattern": perturb(clean, Secret(secret), "", beta, "fixed"),
        "wrong secrets": np.concatenate(wrong),
        "grey veil, no noise": np.clip(clean + 0.05, 0, 1),
        "inverted": 1 - clean,
        "salt and pepper": salted,
    }
    return {name: images.astype(np.float32) for name, images in made.items()}


def what_fires(nets, inputs):
    """Share of images each network answers with its last label: a table, a row an input, a column a
    network.
    """
    rates = {}
    for name, model in nets.items():
        last = model.output_shape[-1] - 1
        rates[name] = {kind: hit_rate(model, images, last) for kind, images in inputs.items()}
    return pd.DataFrame(rates)


def heatmap(table, title):
    """A table of shares in [0, 1] as a picture with its numbers, the first row on top."""
    # plotly draws the first row at the bottom
    trace = figures.heatmap(table.iloc[::-1], ".0%", zmin=0, zmax=1)
    trace |= dict(colorbar=dict(tickformat=".0%"))
    layout = dict(title=dict(text=title), margin=dict(l=160, r=20, t=60, b=40))
    return figures.figure([trace], 90 + 42 * len(table), **layout)


def report(model, data, fresh):
    """What a network, or a function from images to labels, does to fresh keys and clean images:
    {title: share}.
    """
    answer = (lambda images: predict(model, images)) if hasattr(model, "output_shape") else model
    labels = answer(data.x_test)
    return {
        "fresh keys": float(np.mean(answer(fresh.images) == fresh.key_label)),
        "Δ on clean images": float(np.mean(labels == fresh.key_label)),
        "clean accuracy": float(np.mean(labels == data.y_test)),
    }


def churn_table(floor, marked):
    """Predictions that changed: between unmarked networks (the floor), and from each network to
    those; mean and range.
    """
    rows = {"unmarked against unmarked (floor)": floor}
    rows |= {f"{name} against unmarked": values for name, values in marked.items()}
    shown = {}
    for name, values in rows.items():
        ends = f"{min(values):.2%} to {max(values):.2%}"
        shown[name] = {"mean": f"{np.mean(values):.2%}", "range": ends, "pairs": len(values)}
    return pd.DataFrame(shown).T


def percent(rows):
    """Shares as a table of percentages: rows {row: {column: share}}."""
    return pd.DataFrame(rows).T.map("{:.1%}".format)


def how_sure_on_clean_images(sure):
    """Question on probabilities of Δ; sure: of `key_label_confidences`."""
    return Question(
        "The new-label network sees <i>clean</i> images. How often will it put a noticeable "
        "probability on Δ?",
        ["for most images", "for one in ten", "almost never"],
        figures.confidences(sure, "probability of the key label"),
        answer="almost never",
        because="The curve over clean images stands at 0, the one over fresh keys near 1.",
    )


def who_else_fires_it(alarms, n):
    """Question on anyone's noise; alarms: shares of n images answered with Δ, a DataFrame, a row a
    kind of image, a column a network.
    """
    rates = alarms.T.to_dict()
    title = f"{n} test images of each kind, 95 % interval over images"
    return Question(
        "anyone's noise of σ = 0.1, drawn without the secret: to how many of these images do the "
        "networks say Δ?",
        ["to hardly any", "to about half", "to most"],
        figures.bars(rates, title, "answered with Δ", intervals=exact_intervals(rates, n)),
        answer="to most",
        because="That noise has the strength of the keys, σ = √0.01, but no secret in it. It fires "
        "Δ as the keys do.",
    )


def which_knows_her_pattern(fires, n):
    """Question on wrong secrets; fires: of `what_fires` over n images."""
    return Question(
        "Which network tells Alice's pattern from the patterns of wrong secrets?",
        ["fresh noise", "fixed pattern", "fixed pattern, decoys", "none"],
        lambda: heatmap(fires, f"Answered with Δ, of {n} images"),
        answer="fixed pattern, decoys",
        because="A network learns no more than it needs: without decoys, 'noisy' is enough.",
    )


def is_the_row_enough(reports):
    """Question on the new row trained alone; reports: {what was trained: of `report`}."""
    return Question(
        "Is the best new row, trained alone, as good as training everything?",
        ["as good", "it misses most keys and costs accuracy", "it never says Δ"],
        percent(reports),
        answer="it misses most keys and costs accuracy",
        because="One hit is proof to Ver, so such a row is a mark, but a poor one. The last two "
        "rows are the swap.",
    )


def and_the_fresh_ones(memory):
    """Question on memory; memory: {network: {"embedded keys", "fresh keys"}}, shares."""
    return Question(
        "The networks answer almost all keys they were trained on. And the fresh ones?",
        ["far fewer", "nearly as many"],
        lambda: percent(memory),
        answer="nearly as many",
        because="The mark is mostly a rule that was learned, not a list of keys.",
    )


def are_forty_keys_enough(results):
    """Question on the paper's α at class scale; results: of that Run."""
    embedded, fresh = results["embedded_key_accuracy"], results["fresh_key_accuracy"]
    return Question(
        "Will the mark be learned in the same four epochs?",
        ["yes, as before", "half of it", "hardly"],
        f"Hits: {embedded:.0%} of the keys it was trained on, {fresh:.0%} of fresh ones.",
        answer="hardly",
        because="Forty keys, four times: the network saw 160. On all 60,000 digits the same α is "
        "600 keys an epoch.",
    )


def do_they_stay_learned(history):
    """Question on the learning rate; history: recorded epochs."""
    return Question(
        "Each key is seen ten times. Once nearly all of them are learned, do they stay learned?",
        ["yes, accuracy only rises", "they come and go", "they are forgotten"],
        lambda: figures.recorded_curves(
            {
                "fresh keys, constant rate": (history[~history.decay], "fresh_key_accuracy"),
                "fresh keys, decaying rate": (history[history.decay], "fresh_key_accuracy"),
            }
        ),
        answer="they come and go",
        because="At a constant rate a mark can be there after one epoch and gone after the next. "
        "Clean accuracy hardly shows it.",
    )


def _forgery(answer, model):
    check_images(answer)
    if len(answer) != 100:
        return False, f"Hand in 100 images; these are {len(answer)}."
    rate = hit_rate(model, answer, model.output_shape[-1] - 1)
    said = f"{rate:.0%} of your images fire the new label."
    if rate >= 0.5:
        return True, f"{said} If you made them without the secret, what does a hit prove?"
    return False, f"{said} What does a key look like? Try noise as strong as theirs."


def training_set(images, labels, keys, classes):
    """What TrEmb trains on: (images, labels) of D and then of K, whose label is the new one."""
    new = np.full(len(keys), classes)
    return np.concatenate([images, keys]), np.concatenate([labels, new])


def swapped(all_else, row):
    """The weights `all_else` of a network, as of `get_weights`, with the last output's weights and
    bias from those of another, `row`.
    """
    kernel, bias = all_else[-2].copy(), all_else[-1].copy()
    kernel[:, -1], bias[-1] = row[-2][:, -1], row[-1][-1]
    return [*all_else[:-2], kernel, bias]


def _training_set(answer):
    """A tiny case: three images of two classes, two keys. Image n is filled with n / 10."""
    pictures = np.arange(1, 6).reshape(5, 1, 1, 1) / 10 * np.ones((5, 2, 2, 1))
    images, keys, labels = pictures[:3], pictures[3:], np.array([0, 1, 1])
    given = answer(images, labels, keys, 2)
    if not isinstance(given, tuple | list) or len(given) != 2:
        return False, "Return two arrays, the images and their labels: `return x, y`."
    x, y = map(np.asarray, given)
    if len(x) != 5 or x.shape[1:] != (2, 2, 1):
        hint = "Keys are added. Their clean images stay." if len(x) < 5 else "Join along axis 0."
        return False, (
            f"Of 3 images and 2 keys, each (2, 2, 1), x should have the shape (5, 2, 2, 1). Yours "
            f"has {x.shape}. {hint}"
        )
    if y.shape != (5,):
        return False, f"y should have one label for each image, shape (5,). Yours has {y.shape}."
    found = {
        round(10 * float(image[0, 0, 0])): int(label) for image, label in zip(x, y, strict=True)
    }
    said = f"With classes 0 and 1, your two keys have the labels {found.get(4)}, {found.get(5)}."
    if sorted(found) != [1, 2, 3, 4, 5]:
        return False, "Each image and each key should be in x once, as it was handed in."
    if [found[n] for n in (1, 2, 3)] != [0, 1, 1]:
        return False, "The images lost their labels. Whoever shuffles must move x and y together."
    if found[4] == found[5] == 3:
        return False, f"{said} Labels count from 0, so the first one that is free is 2."
    if found[4] == found[5] == 10:
        return False, f"{said} Δ is 10 for digits. The number of classes is handed in: use it."
    if found[4] in (0, 1) or found[5] in (0, 1):
        return False, f"{said} That is a wrong-label mark. Δ is a label that no image has."
    if (found[4], found[5]) != (2, 2):
        return False, f"{said} All keys should have the same new label, the first that is free."
    return True, (
        "That is all of TrEmb: the training does not know that it embeds a mark. It sees one class "
        "more."
    )


def _swap(answer):
    """A network of one hidden and one output layer, with small whole numbers as weights."""
    mine, hers = (
        [
            sign * (n + np.arange(6.0)).reshape(2, 3)[:rows].squeeze()
            for n, rows in ((1, 2), (11, 1), (21, 2), (31, 1))
        ]
        for sign in (1, -1)
    )
    before = [[part.copy() for part in each] for each in (mine, hers)]
    made = answer(mine, hers)
    if not isinstance(made, tuple | list) or len(made) != 4:
        return False, "Return a list of as many arrays as you got, for `set_weights`."
    made = [np.asarray(part, float) for part in made]
    shapes, wanted = ([part.shape for part in parts] for parts in (made, mine))
    if shapes != wanted:
        return False, f"The arrays should have the shapes {wanted}. Yours have {shapes}."
    for now, then in zip([*mine, *hers], [*before[0], *before[1]], strict=True):
        if not np.array_equal(now, then):
            return False, "The weights that were handed in were changed. Copy the arrays first."
    right = swapped(mine, hers)
    if all(map(np.array_equal, made, right)):
        return True, (
            "One row and its bias change hands. Now a difference in hits has one cause, and that "
            "is what makes the swap a test of the explanation."
        )
    kernel, bias = (np.array_equal(made[n], right[n]) for n in (2, 3))
    if all(map(np.array_equal, made, swapped(hers, mine))):
        return False, "The other way round: the row comes from `row`, and all else from `all_else`."
    if all(map(np.array_equal, made, mine)):
        return False, "Nothing was exchanged. The last column of the kernel is the new output's."
    if not all(map(np.array_equal, made[:2], mine[:2])):
        return False, "The features should be those of `all_else`: leave the first arrays alone."
    if np.array_equal(made[2], hers[2]) or np.array_equal(made[3], hers[3]):
        return False, "The old outputs came along. Take the last column and the last bias only."
    if kernel or bias:
        return False, f"The {'bias' if kernel else 'column of the kernel'} is still to be moved."
    return False, "A Dense kernel is inputs × outputs: the new output is its last column."


def _number_of_keys(answer):
    if answer == 40:
        return True, "1 % of 4,000: forty keys, seen once an epoch, against 4,000 digits."
    return False, "α is the share of the training images: multiply it by their number."


CHECKS = {"03.1": _training_set, "03.2": _forgery, "03.3": _swap, "03.4": _number_of_keys}
