"""Panels and tables of notebook 03: curves while training, the strength of keys, what fires the new
label.

Checks of notebook 03, embedding.
"""

import ipywidgets as widgets
import numpy as np
import pandas as pd
from scipy import stats

from wmlab.keys import check_images, perturb
from wmlab.secret import Secret
from wmlab.show import figures
from wmlab.show.old_panel import Panel, live
from wmlab.training import predict, probabilities

ASKED = 200  # images behind each position of a slider


class LiveCurves:
    """Curves that grow while networks train: hand `follow(name)` to `on_epoch`."""

    def __init__(self, epochs, names=("unmarked", "wrong label", "new label")):
        self.names = list(names)
        self.widget = live(figures.curves(self.names, epochs))

    def follow(self, name):
        """A function of the history so far that draws the curves of the network `name`."""
        clean, key = (self.widget.data[2 * self.names.index(name) + i] for i in (0, 1))

        def draw(history):
            epochs = [row["epoch"] for row in history]
            with self.widget.batch_update():
                clean.x, clean.y = epochs, [row["clean_accuracy"] for row in history]
                if not np.isnan(history[-1]["fresh_key_accuracy"]):
                    key.x, key.y = epochs, [row["fresh_key_accuracy"] for row in history]

        return draw


def _key_label(model):
    outputs = model.output_shape[-1]
    return outputs - 1 if outputs == 11 else 0


def key_label_confidences(nets, data, fresh):
    """Probabilities of the key label, {"clean images" | "fresh keys": {network: (n,)}}; clean
    images outside class 0.
    """
    clean = data.x_test[data.y_test != 0]
    return {
        title: {
            name: probabilities(model, images)[:, _key_label(model)] for name, model in nets.items()
        }
        for title, images in (("clean images", clean), ("fresh keys", fresh.images))
    }


def strength(nets, data, secret):
    """Panel: a slider for the β of the keys that the networks are asked; bars of their answers.

    nets: {name: model}. Its `result` is {name: {"key label": share, "true class": share}} over 200
    test images.
    """
    chosen = np.flatnonzero(data.y_test != 0)[:ASKED]
    images, labels, secret = data.x_test[chosen], data.y_test[chosen], Secret(secret)

    def compute(beta):
        keys = perturb(images, secret, "slider", beta)
        answers = {name: predict(model, keys) for name, model in nets.items()}
        return {
            name: {
                "key label": float(np.mean(a == _key_label(nets[name]))),
                "true class": float(np.mean(a == labels)),
            }
            for name, a in answers.items()
        }

    def draw(figure, rates):
        for bar, answer in zip(figure.data, ("key label", "true class"), strict=True):
            bar.y = [rates[name][answer] for name in nets]
        return (
            "On keys of this strength: "
            + "; ".join(
                f"{name} answers the key label to {rates[name]['key label']:.0%}"
                for name in nets
                if name != "unmarked"
            )
            + "."
        )

    figure = figures.blank(
        yaxis=dict(range=[0, 1.03], tickformat=".0%", title=f"share of {ASKED} keys"),
        barmode="group",
    )
    for answer, colour, shape in (("key label", "other", "/"), ("true class", "grey", "")):
        figure.add_bar(
            x=list(nets),
            y=[0] * len(nets),
            name=f"answers the {answer}",
            marker_color=figures.COLOURS[colour],
            marker_pattern_shape=shape,
        )
    slider = widgets.SelectionSlider(
        options=[
            (f"{b:.4f}", b)
            for b in (0.0001, 0.0003, 0.0006, 0.001, 0.002, 0.0035, 0.005, 0.01, 0.02, 0.04, 0.1)
        ],
        value=0.01,
        description="β of the keys",
        style=dict(description_width="initial"),
        layout=dict(width="420px"),
    )
    return Panel(figure, {"beta": slider}, compute, draw)


def exact_intervals(rates, n, confidence=0.95):
    """Clopper-Pearson intervals of shares out of n, in the nesting of `rates`: {row: {network:
    (low, high)}}.
    """
    return {
        row: {
            name: tuple(stats.binomtest(round(value * n), n).proportion_ci(confidence))
            for name, value in nets.items()
        }
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
    return {
        name: images.astype(np.float32)
        for name, images in {
            "clean": clean,
            "her fresh noise": perturb(clean, Secret(secret), "candidates", beta),
            "anyone's fresh noise": perturb(clean, Secret("anyone"), "candidates", beta),
            "her fixed pattern": perturb(clean, Secret(secret), "", beta, "fixed"),
            "wrong secrets": np.concatenate(wrong),
            "grey veil, no noise": np.clip(clean + 0.05, 0, 1),
            "inverted": 1 - clean,
            "salt and pepper": salted,
        }.items()
    }


def what_fires(nets, inputs):
    """Share of images each network answers with its last label: a table, a row an input, a column a
    network.
    """
    return pd.DataFrame(
        {
            name: {
                kind: float(np.mean(predict(model, images) == model.output_shape[-1] - 1))
                for kind, images in inputs.items()
            }
            for name, model in nets.items()
        }
    )


def heat(table, title):
    """A table of shares in [0, 1] as a picture with its numbers."""
    figure = figures.blank(
        title=title, height=90 + 42 * len(table), margin=dict(l=160, r=20, t=60, b=40)
    )
    return figure.add_heatmap(
        x=list(table.columns),
        y=list(table.index)[::-1],
        z=table.to_numpy()[::-1],
        zmin=0,
        zmax=1,
        colorscale="Cividis",
        text=[[f"{v:.0%}" for v in row] for row in table.to_numpy()[::-1]],
        texttemplate="%{text}",
        textfont=dict(size=14),
        colorbar=dict(tickformat=".0%"),
    )


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
    rows = {"unmarked against unmarked (floor)": floor} | {
        f"{name} against unmarked": values for name, values in marked.items()
    }
    return pd.DataFrame(
        {
            name: {
                "mean": f"{np.mean(v):.2%}",
                "range": f"{min(v):.2%} to {max(v):.2%}",
                "pairs": len(v),
            }
            for name, v in rows.items()
        }
    ).T


def percent(rows):
    """Shares as a table of percentages: rows {row: {column: share}}."""
    return pd.DataFrame(rows).T.map("{:.1%}".format)


def _forgery(answer, model):
    from wmlab.training import predict

    check_images(answer)
    if len(answer) != 100:
        return False, f"Hand in 100 images; these are {len(answer)}."
    rate = float(np.mean(predict(model, answer) == model.output_shape[-1] - 1))
    if rate >= 0.5:
        return (
            True,
            f"{rate:.0%} of your images fire the new label. If you made them without the secret, what does a hit prove?",
        )
    return (
        False,
        f"{rate:.0%} of your images fire the new label. What does a key look like? Try noise as strong as theirs.",
    )


def _row_share(answer):
    if isinstance(answer, str) and answer.strip().lower() == "no":
        return (
            True,
            "The row alone hits few keys and costs clean accuracy: the features themselves have to learn what a key is.",
        )
    return (
        False,
        "Compare, in the table above, the rows where the new row moved alone with the one where everything moved.",
    )


def _number_of_keys(answer):
    if answer == 40:
        return True, "1 % of 4,000: forty keys, seen once an epoch, against 4,000 digits."
    return False, "α is the share of the training images: multiply it by their number."


CHECKS = {"03.1": _forgery, "03.2": _row_share, "03.3": _number_of_keys}
