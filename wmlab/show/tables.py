"""Tables of recorded runs and lists of verdicts, as lessons show them."""

import html

import ipywidgets as widgets
import pandas as pd

from wmlab import stats
from wmlab.show.panel import as_widget

SHARES = {
    "clean_accuracy": "clean images right",
    "fresh_key_accuracy": "fresh keys hit",
    "embedded_key_accuracy": "embedded keys hit",
    "key_label_rate_clean": "key label on clean carriers",
}


def summary(table):
    """`summarised` runs as a table to show: what is the same throughout stands above it."""
    frame, same = summarised(table), {}
    for name in frame if len(frame) > 1 else ():
        values = set(frame[name]) - {""}  # of an unmarked network, which has no keys
        if len(values) == 1:
            same[name] = values.pop()
    said = "; ".join(f"{name} {value}" for name, value in same.items())
    styled = frame.drop(columns=list(same)).style.set_caption(
        f"Throughout: {said}." if said else ""
    )
    left = "caption-side: top; text-align: left; padding: 6px 0"
    return styled.set_table_styles([dict(selector="caption", props=left)])


def summarised(table):
    """Recorded runs, a row a setting: shares in percent, mean with a 95 % t interval (from 6 runs
    on, below that the range).

    table: of `records.load`. "Clean carriers" are the clean test images that may lend keys, which
    leaves out those of a wrong label's own class.
    """
    rows = []
    settings = ["dataset", "scheme", "alpha", "beta", table.target.fillna(-1), "until", "epochs"]
    for (dataset, scheme, alpha, beta, target, until, epochs), runs in table.groupby(settings):
        strengths = {"α": f"{alpha:g}" if alpha else "", "β": f"{beta:g}" if beta else ""}
        shares = {f"{title}, %": _percent(runs[name]) for name, title in SHARES.items()}
        row = {
            "scheme": scheme,
            "data": dataset,
            **strengths,
            "keys made from": _carriers(scheme, target),
            "epochs": f"{'up to ' * (until == 'converged')}{epochs}",
            "runs": len(runs),
            **shares,
            "verdict": ", ".join(sorted(set(runs.decision))),
            "most queries": runs.queries.max(),
            "device": ", ".join(sorted(set(runs.device))),
        }
        rows.append(row)
    return pd.DataFrame(rows).set_index("scheme")


def _carriers(scheme, target):
    """Which images lend the keys of a scheme; target: its wrong label, -1 for none."""
    if scheme == "unmarked":
        return ""
    return "every class" if target == -1 else f"all but {target:.0f}"


def _percent(shares):
    """The mean of shares in percent, with the interval from 6 on or the range."""
    shares = 100 * shares.dropna()
    if shares.empty:
        return "–"
    mean, low, high = stats.interval(shares)
    if len(shares) == 1:
        return f"{mean:.2f}"
    if len(shares) < stats.FEW:
        return f"{mean:.2f} ({shares.min():.2f} to {shares.max():.2f})"
    return f"{mean:.2f} [{max(low, 0):.2f}, {min(high, 100):.2f}]"


def with_numbers(figure, table):
    """A figure, and its table folded under it: as a widget."""
    numbers = f"<details><summary>show numbers</summary>{table.to_html()}</details>"
    folded = widgets.HTML(f"<div class='jp-RenderedHTMLCommon'>{numbers}</div>")
    return widgets.VBox([as_widget(figure), folded])


def verdict_list(verdicts):
    """Verdicts {name: Verdict} as HTML, each a sentence after its name."""
    return "".join(
        f"<p style='font-size:16px'><b>{html.escape(name)}.</b> {html.escape(str(verdict))}</p>"
        for name, verdict in verdicts.items()
    )
