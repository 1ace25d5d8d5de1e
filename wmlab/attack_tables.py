"""Tables of recorded attacks, and what each attack cost the network that it was made on."""

import numpy as np
import pandas as pd

from wmlab import records, runtime, stats

UNTOUCHED = "no attack"  # the row of a network before all attacks
DECOYS = "new label, decoys"  # the scheme of networks that learned decoys
WORTH = 0.05  # a verdict is worth nothing where more clean images than that get the key label
SETTING = ["attack", "strength", "epochs", "images"]


def recorded(experiments):
    """Tables of attacks, {title: table}, as of `load`, of what is on record.

    experiments: {title: list of names}; the tables of a title are joined. Names that are not on
    record are left out, and so are titles that then have none.
    """
    folder, found = runtime.data_dir() / "results", {}
    for title, names in experiments.items():
        there = [name for name in names if (folder / f"{name}_attacks.csv").exists()]
        if there:
            found[title] = load(*there)
    return found


def load(*names):
    """The attacks of experiments as one table, as of `prepared`.

    Raises ValueError for an experiment whose attacks are not on record.
    """
    tables = [records.load(f"{name}_attacks") for name in names]
    return prepared(pd.concat(tables, ignore_index=True))


def prepared(table):
    """A table of attacks with the scheme `DECOYS` where there are decoys, and two columns more.

    lost: clean accuracy that the attack cost, in percentage points, compared with the same network
    (column `run`) before: positive where the attack made it worse. proved: the judge says "marked",
    and at most 5 % of clean images get the key label.
    Raises ValueError if a network has not exactly one row `UNTOUCHED`.
    """
    before = table[table.attack == UNTOUCHED].set_index("run").clean_accuracy
    if not before.index.is_unique or not table.run.isin(before.index).all():
        raise ValueError(f"each run needs one row “{UNTOUCHED}”, to say what an attack cost it")
    return table.assign(
        scheme=table.scheme.mask(table.decoys > 0, DECOYS),
        lost=100 * (table.run.map(before) - table.clean_accuracy),
        proved=(table.decision == "marked") & (table.key_label_rate_clean <= WORTH),
    )


def costs(table):
    """What each attack at each setting did to the networks of each scheme, a row each.

    table: of `prepared`. Columns: scheme, attack, strength, epochs, images; runs; lost (points) and
    keys (share of fresh keys hit), means, with the ends of 95 % intervals from six runs on, else
    NaN (`lost_low`, …); acquitted and proved, shares of the runs; seconds, the mean.
    """
    rows = table[table.attack != UNTOUCHED]
    rows = rows.assign(acquitted=rows.decision == "not marked", keys=rows.fresh_key_accuracy)
    by, found = ["scheme", *SETTING], []
    for setting, runs in rows.groupby(by, dropna=False, sort=False):
        row = dict(zip(by, setting, strict=True), runs=len(runs))
        for name in ("lost", "keys"):
            mean, low, high = stats.interval(runs[name])
            ends = (low, high) if len(runs) >= stats.FEW else (np.nan, np.nan)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), (mean, *ends), strict=True))
        row |= {name: runs[name].mean() for name in ("acquitted", "proved", "seconds")}
        found.append(row)
    return pd.DataFrame(found)


def removed(means, scheme, loss):
    """The rows of `costs` of one scheme that lose at most `loss` points and after which Ver acquits
    in more than half of the runs.
    """
    return means[(means.scheme == scheme) & (means.lost <= loss) & (means.acquitted > 0.5)]
