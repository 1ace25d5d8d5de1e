"""Tables of recorded runs: data/results/EXPERIMENT.csv, which `python -m wmlab sweep` writes."""

import pathlib

import numpy as np
import pandas as pd

from wmlab import runtime


def load(experiment, folder=None):
    """A table of recorded runs as a pandas DataFrame.

    Args:
        experiment: its name, such as "fig3_class": a row a run. With "_curves" after it: a row an
            epoch of a run; with "_attacks": a row an attack on a run. The column `run` says which
            rows belong together; `wmlab/tools/records.py` lists the others.
        folder: where the table is; by default what ships with the course.

    Raises:
        ValueError: there is no such table; the message lists those that there are.
    """
    folder = pathlib.Path(folder or runtime.data_dir() / "results")
    path = folder / f"{experiment}.csv"
    if not path.exists():
        there = ", ".join(sorted(path.stem for path in folder.glob("*.csv"))) or "none"
        raise ValueError(f"no results called {experiment!r} in {folder}: there are {there}")
    table = pd.read_csv(path)
    if "run" in table and not {"epoch", "attack"} & {*table} and not table["run"].is_unique:
        raise ValueError(f"{path} has runs twice: restore it, so that none counts as two")
    if "errors" in table:  # in a CSV "none were made" looks like "they were not recorded"
        flawless = table["errors"].isna() & (table["clean_accuracy"] == 1)
        table["errors"] = table["errors"].mask(flawless, "")
    return table


def answers(table):
    """The labels that each run gave to the public keys (`schemes.innocents.public_keys`).

    Returns int64 (runs, keys). Raises ValueError if a run was not asked, or not the keys that the
    others were.
    """
    asked = table["answers"] if "answers" in table else pd.Series([None] * len(table))
    if asked.isna().any() or asked.str.split(":").str[0].nunique() != 1:
        raise ValueError(
            "these runs were not all asked the public keys of one β: choose those of one sweep "
            "with --answers"
        )
    return np.array([[int(label) for label in text.partition(":")[2].split()] for text in asked])
