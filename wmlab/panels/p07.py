"""Lesson 07, live: the smallest weights of a shipped network set to zero, and what it then answers."""
import functools

import ipywidgets as widgets
import numpy as np
from plotly.subplots import make_subplots

from wmlab import attacks, figures
from wmlab.panels.base import Panel
from wmlab.panels.p07_records import MEASURES, rate_axes, rate_slider
from wmlab.training import predict

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BINS = 61


def kernels(model):
    """The arrays of weights that pruning is about, layer by layer: those of more than one dimension, so no biases."""
    return [weights for weights in model.get_weights() if weights.ndim > 1]


def layer_names(model):
    """What the layers with weights are called: "all layers", then each of them, from "convolution 1" to "output"."""
    kinds = ["convolution" if kernel.ndim == 4 else "dense" for kernel in kernels(model)][:-1]
    return ["all layers", *(f"{kind} {kinds[: place + 1].count(kind)}" for place, kind in enumerate(kinds)), "output"]


def pruned(model, mark, data, secret, scope, images=300, rates=RATES):
    """A network at every rate, asked the first `images` test images and the keys made from them: a list of dicts.

    Each has rate, a share under each name of MEASURES, and kept, a bool array of the shape of each kernel.
    """
    seen, labels, found = data.x_test[:images], data.y_test[:images], []
    keys = mark.keys(*mark.carriers(seen, labels), secret, "pruned")
    for rate in rates:
        cut = attacks.prune(model, data, rate, scope)
        clean, answers = predict(cut, seen), predict(cut, keys.images)
        shares = (answers == keys.key_label, clean == labels, clean[labels != keys.key_label] == keys.key_label)
        found.append({"rate": rate, "kept": [kernel != 0 for kernel in kernels(cut)],
                      **{name: float(np.mean(share)) for name, share in zip(MEASURES, shares, strict=True)}})
    return found


def histogram(weights, kept):
    """Weights (n,) and which of them are kept, bool (n,), as counts: (centres of BINS, kept, cut). The farthest 0.1 % of
    the weights are counted in the bins at the ends."""
    reach = np.quantile(np.abs(weights), 0.999)
    centres = np.linspace(-reach, reach, 2 * BINS + 1)[1::2]
    return centres, *(np.histogram(np.clip(weights[chosen], -reach, reach), BINS, (-reach, reach))[0] for chosen in (kept, ~kept))


def cut(networks, data, secret):
    """Panel: a pruning rate, the histogram of the weights with what is cut, and three accuracies beside it.

    networks: {name: (model, mark)}, all with the same layers; their marks make the keys that they are asked. A network
    is pruned at all rates when it is first chosen, which takes seconds; after that every move is instant.
    `result` has runs (of `pruned`), now (the run of the rate), bars (of `histogram`), zeros, weights, and the settings.
    """
    names = layer_names(next(iter(networks.values()))[0])
    weights = {name: kernels(model) for name, (model, _) in networks.items()}

    @functools.cache
    def tried(network, scope):
        return pruned(*networks[network], data, secret, scope)

    def compute(rate, scope, network, layer):
        runs, place = tried(network, scope), names.index(layer)
        now, chosen = runs[RATES.index(rate)], slice(place - 1, place) if place else slice(None)
        flat, kept = (np.concatenate([one.ravel() for one in arrays[chosen]]) for arrays in (weights[network], now["kept"]))
        return {"runs": runs, "now": now, "bars": histogram(flat, kept), "zeros": int((~kept).sum()), "weights": len(flat),
                "network": network, "scope": scope, "layer": layer}

    figure = make_subplots(1, 2, column_widths=[0.45, 0.55], subplot_titles=("weights", "what the network answers"))
    for name, colour, shape in (("kept", figures.COLOURS["unmarked"], ""), ("set to 0", figures.PALE, "/")):
        pattern = dict(shape=shape, fillmode="overlay", fgcolor="white")
        figure.add_bar(x=[], y=[], name=name, marker=dict(color=colour, line_width=0, pattern=pattern), row=1, col=1)
    for name, look in figures.looks(MEASURES).items():
        figure.add_scatter(x=[], y=[], name=name, mode="lines+markers", **figures.line(look), row=1, col=2)
    figure.update_layout(template=figures.TEMPLATE, height=440, barmode="stack", bargap=0, legend_traceorder="normal")
    figure.update_xaxes(title="value of a weight", col=1).update_yaxes(title="number of weights", col=1)
    rate_axes(figure, 2)
    controls = {"rate": rate_slider(RATES), "scope": widgets.ToggleButtons(options=[("per layer", "layer"), ("global", "global")],
                                                                             description="pruned", style=dict(button_width="auto")),
                "network": widgets.Dropdown(options=list(networks), description="network"),
                "layer": widgets.Dropdown(options=names, description="weights of")}
    presets = {"Per layer, 80 %": {"rate": 0.8}, "Global, 80 %": {"rate": 0.8, "scope": "global"},
               "First layer, per layer": {"rate": 0.8, "layer": names[1]},
               "First layer, global": {"rate": 0.8, "layer": names[1], "scope": "global"}}
    return Panel(figure, controls, compute, draw, presets, first=1)


def draw(figure, result):
    """Put what `cut` computed into its figure."""
    centres, *counts = result["bars"]
    for bar, values in zip(figure.data, counts, strict=False):
        bar.update(x=centres, y=values, name=bar.name)
    for line in figure.data[2:]:
        line.update(x=list(RATES), y=[run[line.name] for run in result["runs"]], name=line.name)
    figure.layout.shapes[0].x0 = figure.layout.shapes[0].x1 = result["now"]["rate"]
    key, clean, given = (f"{result['now'][name]:.1%}" for name in MEASURES)
    how = "of each layer" if result["scope"] == "layer" else "of all layers together"
    return (f"{result['now']['rate']:.0%} {how} pruned: of the {result['weights']:,} weights of {result['layer']}, "
            f"{result['zeros']:,} are 0. The network ({result['network']}) hits {key} of its fresh keys, gets {clean} of the clean "
            f"images right, and gives the key label to {given} of those that it is not the label of.")
