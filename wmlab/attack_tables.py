"""Tables of recorded attacks, and what each attack cost the network that it was made on."""

import pandas as pd

from wmlab import records, runtime

UNTOUCHED = "no attack"  # the row of a network before all attacks
DECOYS = "new label, decoys"  # the scheme of networks that learned decoys


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
    """A table of attacks with the scheme `DECOYS` where there are decoys, and a column `lost`.

    lost: clean accuracy that the attack cost, in percentage points, compared with the same network
    (column `run`) before: positive where the attack made it worse.
    Raises ValueError if a network has not exactly one row `UNTOUCHED`.
    """
    before = table[table.attack == UNTOUCHED].set_index("run").clean_accuracy
    if not before.index.is_unique or not table.run.isin(before.index).all():
        raise ValueError(f"each run needs one row “{UNTOUCHED}”, to say what an attack cost it")
    return table.assign(
        scheme=table.scheme.mask(table.decoys > 0, DECOYS),
        lost=100 * (table.run.map(before) - table.clean_accuracy),
    )
