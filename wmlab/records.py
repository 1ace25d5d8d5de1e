"""Records: one row a run, one small file each, and a sorted CSV of them.

A run's file is named by the hash of its settings, so the same settings never run twice and two processes never
write to the same file. Results ship as data/results/NAME.csv, made by `python -m wmlab sweep`.
"""
import hashlib
import json
import pathlib

import numpy as np
import pandas as pd
from scipy import stats

from wmlab import runtime

# what decides a run; a file is named by these
SETTINGS = ("experiment", "dataset", "dataset_sha256", "scheme", "alpha", "beta", "kind", "reading", "target", "decoys",
            "seed", "network", "epochs", "batch", "learning_rate", "decay", "until", "n_train", "n_test")
# what a run measured: accuracies are shares in [0, 1], NaN where a model has no key
RESULTS = ("n_keys", "n_fresh", "epochs_run", "clean_accuracy", "fresh_key_accuracy", "embedded_key_accuracy",
           "key_label_rate_clean", "decision", "queries", "seconds", "device", "versions")


def name(record):
    """File name of a record: experiment and 16 hex digits over its settings."""
    settings = json.dumps({key: record[key] for key in SETTINGS}, sort_keys=True)
    return f"{record['experiment']}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.json"


def write(record, folder):
    """Write one record (a dict with SETTINGS and RESULTS, and `history`, a list of dicts) into `folder`; returns the path.

    Written to the side and moved into place. Raises ValueError naming a field that is missing, OSError on a full disk.
    """
    missing = [key for key in SETTINGS + RESULTS + ("history",) if key not in record]
    if missing:
        raise ValueError(f"this record lacks {', '.join(missing)}: every run records all fields")
    path = pathlib.Path(folder) / name(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with runtime.writing(path) as part:
        # JSON has no NaN; what was not measured is null
        history = [{key: None if value != value else value for key, value in epoch.items()} for epoch in record["history"]]
        part.write_text(json.dumps(record | {"history": history}, indent=1, allow_nan=False))
    return path


def done(record, folder):
    """True if a run with these settings is on file in `folder`."""
    return (pathlib.Path(folder) / name(record)).exists()


def read(folder):
    """All records of a folder as two tables: runs (a row a run) and curves (a row an epoch of a run)."""
    about = ["experiment", "dataset", "scheme", "alpha", "beta", "decoys", "decay", "seed"]
    runs, curves = [], []
    for path in sorted(pathlib.Path(folder).glob("[!.]*.json")):  # one with a dot is half written
        record = json.loads(path.read_text())
        history = record.pop("history")
        runs.append(record)
        curves += [{key: record[key] for key in about} | epoch for epoch in history]
    tables = pd.DataFrame(runs, columns=list(SETTINGS + RESULTS)), pd.DataFrame(curves)
    return tuple(table.sort_values(about, kind="stable", ignore_index=True) if len(table) else table for table in tables)


def export(folder, results):
    """Write `results`/EXPERIMENT.csv and EXPERIMENT_curves.csv from the records in `folder`; returns the paths."""
    runs, curves = read(folder)
    paths = []
    for experiment in sorted(set(runs["experiment"])):
        for suffix, table in (("", runs), ("_curves", curves)):
            path = pathlib.Path(results) / f"{experiment}{suffix}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with runtime.writing(path) as part:
                table[table["experiment"] == experiment].to_csv(part, index=False, lineterminator="\n")
            paths.append(path)
    return paths


def load(experiment):
    """A shipped table of results, data/results/EXPERIMENT.csv. Raises ValueError listing what there is."""
    folder = runtime.data_dir() / "results"
    path = folder / f"{experiment}.csv"
    if not path.exists():
        raise ValueError(f"no results called {experiment!r}: there are {', '.join(sorted(p.stem for p in folder.glob('*.csv')))}")
    return pd.read_csv(path)


def interval(values, confidence=0.95):
    """Mean and the ends of Student's t interval for it, (mean, low, high); ends are NaN for fewer than 2 values."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)
