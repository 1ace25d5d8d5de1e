"""Records: one row a run, one small file each, and a sorted CSV of them.

A run's file is named by the hash of its settings, so the same settings never run twice and two
processes never write to the same file. Results ship as data/results/NAME.csv, made by `python -m
wmlab sweep`. What is read is checked against a JSON schema.
"""

import csv
import hashlib
import json
import pathlib

import numpy as np
import pandas as pd
from scipy import stats

from wmlab import runtime
from wmlab.schema import LISTS, NEWER, OPTIONAL, RESULTS, SETTINGS, checked, from_csv

FEW = 6  # runs below which no interval and no test is given


def name(record):
    """File name of a record: experiment and 16 hex digits over its settings, those of NEWER only
    where it names them.
    """
    newer = {key: record[key] for key in NEWER if record.get(key) is not None}
    settings = json.dumps({key: record[key] for key in SETTINGS} | newer, sort_keys=True)
    return f"{record['experiment']}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.json"


def write(record, folder):
    """Write one record (a dict with SETTINGS and RESULTS, and `history`, a list of dicts) into
    `folder`; returns the path.

    `attacks`, a list of dicts, may be in it too.
    Written to the side and moved into place. Raises ValueError naming a field that is missing,
    OSError on a full disk.
    """
    missing = [key for key in SETTINGS + RESULTS + ("history",) if key not in record]
    if missing:
        raise ValueError(f"this record lacks {', '.join(missing)}: every run records all fields")
    path = pathlib.Path(folder) / name(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with runtime.writing(path) as part:
        # JSON has no NaN; what was not measured is null
        history = [
            {key: None if value != value else value for key, value in epoch.items()}
            for epoch in record["history"]
        ]
        part.write_text(json.dumps(record | {"history": history}, indent=1, allow_nan=False))
    return path


def done(record, folder):
    """True if a run with these settings is on file in `folder`."""
    return (pathlib.Path(folder) / name(record)).exists()


def read(folder):
    """All records of a folder as two tables: runs (a row a run) and curves (a row an epoch of a
    run).

    Raises ValueError naming a file that is no record.
    """
    tables = _tables(folder)
    return tables["runs"], tables["curves"]


def _tables(folder):
    about = [
        "experiment",
        "dataset",
        "scheme",
        "alpha",
        "beta",
        "decoys",
        "decay",
        "network",
        "batch",
        "seed",
    ]
    runs, rows = [], {name: [] for name in LISTS.values()}
    for path in sorted(pathlib.Path(folder).glob("[!.]*.json")):  # one with a dot is half written
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{path} is no JSON ({error}): restore the file, or delete it to run it again"
            ) from error
        runs.append(checked(record, "run", path))
        for field, table in LISTS.items():
            rows[table] += [
                {key: record[key] for key in about} | row for row in record.pop(field, [])
            ]
    more = [field for field in OPTIONAL if any(run.get(field) for run in runs)]
    tables = {"runs": pd.DataFrame(runs, columns=[*SETTINGS, *RESULTS, *more])} | {
        k: pd.DataFrame(v) for k, v in rows.items()
    }
    return {
        name: table.sort_values(about, kind="stable", ignore_index=True) if len(table) else table
        for name, table in tables.items()
    }


def export(folder, results):
    """Write `results`/EXPERIMENT.csv and EXPERIMENT_curves.csv from the records in `folder`;
    returns the paths.

    Where models were attacked, EXPERIMENT_attacks.csv too: a row for each attack on each of them.
    """
    tables, paths = _tables(folder), []
    for experiment in sorted(set(tables["runs"]["experiment"])):
        for name, every in tables.items():
            table = every[every["experiment"] == experiment] if len(every) else every
            if table.empty and name == "attacks":
                continue
            table = table.drop(
                columns=[
                    field for field in OPTIONAL if field in table and table[field].isna().all()
                ]
            )
            path = pathlib.Path(results) / (
                f"{experiment}.csv" if name == "runs" else f"{experiment}_{name}.csv"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            with runtime.writing(path) as part:
                table.to_csv(part, index=False, lineterminator="\n")
            paths.append(path)
    return paths


def load(experiment):
    """A shipped table of results, data/results/EXPERIMENT.csv, or of its curves or attacks,
    EXPERIMENT_curves, EXPERIMENT_attacks.

    Raises ValueError listing what there is, or naming the row that is no record.
    """
    folder = runtime.data_dir() / "results"
    path = folder / f"{experiment}.csv"
    if not path.exists():
        raise ValueError(
            f"no results called {experiment!r}: there are {', '.join(sorted(p.stem for p in folder.glob('*.csv')))}"
        )
    kind = next((name for name in LISTS.values() if experiment.endswith(f"_{name}")), "rows")
    with open(path, encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            checked(
                {field: from_csv(field, text) for field, text in row.items()},
                kind,
                f"{path.name}, line {line},",
            )
    table = pd.read_csv(path)
    if "errors" in table:  # a CSV does not tell no mistakes from mistakes that were not recorded
        table["errors"] = table["errors"].mask(
            table["errors"].isna() & (table["clean_accuracy"] == 1), ""
        )
    return table


def answers(table):
    """The labels that each run gave to the public keys (`schemes.innocents.public_keys`): int64
    (runs, keys).

    Raises ValueError if a run was not asked, or not the keys that the others were.
    """
    asked = table["answers"] if "answers" in table else pd.Series([None] * len(table))
    if asked.isna().any() or asked.str.split(":").str[0].nunique() != 1:
        raise ValueError(
            "these runs were not all asked the public keys of one β: choose those of one sweep with answers"
        )
    return np.array([[int(label) for label in text.partition(":")[2].split()] for text in asked])


def interval(values, confidence=0.95):
    """Mean and the ends of Student's t interval for it, (mean, low, high); ends are NaN for fewer
    than 2 values.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), np.nan, np.nan
    half = (
        stats.t.ppf((1 + confidence) / 2, len(values) - 1)
        * values.std(ddof=1)
        / np.sqrt(len(values))
    )
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


CELL = ["alpha", "beta"]


def cells(table, column, confidence=0.95):
    """Runs of marked networks by cell, a row for each scheme, α and β: runs, mean, low, high of
    `column`.

    Ends of the interval are those of `interval`, cut at 0 and 1 since every column is a share; NaN
    for fewer than 6 runs.
    """
    rows = []
    for (scheme, *cell), runs in table.dropna(subset=[column]).groupby(["scheme", *CELL]):
        mean, low, high = interval(runs[column], confidence)
        low, high = (max(low, 0.0), min(high, 1.0)) if len(runs) >= FEW else (np.nan, np.nan)
        rows.append(
            dict(
                zip(["scheme", *CELL], [scheme, *cell], strict=True),
                runs=len(runs),
                mean=mean,
                low=low,
                high=high,
            )
        )
    return pd.DataFrame(rows, columns=["scheme", *CELL, "runs", "mean", "low", "high"])


def paired(table, column, first="new label", second="wrong label", confidence=0.95):
    """Differences first - second of runs with the same seed, so the same images and noise; a row
    for each α and β.

    Columns: pairs, mean, deviation (with n - 1), low, high (t interval) and p, the two-sided exact
    test that flips signs: the share of all 2^pairs assignments of signs whose mean is as far from 0
    (10,000 drawn ones from 14 pairs on). For fewer than 6 pairs low, high and p are NaN. Raises
    ValueError if a scheme has two runs of one cell and seed.
    """
    both = [
        table[table.scheme == name].set_index([*CELL, "seed"])[column].dropna()
        for name in (first, second)
    ]
    if not all(runs.index.is_unique for runs in both):
        raise ValueError(
            "a pair is one run of each scheme with the same α, β and seed: choose one recipe and one experiment"
        )
    rows = []
    for cell, difference in (both[0] - both[1]).dropna().groupby(level=CELL):
        mean, low, high = interval(difference, confidence)
        p = np.nan
        if len(difference) < FEW:
            low = high = np.nan
        else:
            p = stats.permutation_test(
                (difference.to_numpy(),),
                _tying_mean,
                permutation_type="samples",
                n_resamples=9999,
                rng=np.random.default_rng(0),
            ).pvalue
        rows.append(
            dict(
                zip(CELL, cell, strict=True),
                pairs=len(difference),
                mean=mean,
                deviation=difference.std(),
                low=low,
                high=high,
                p=p,
            )
        )
    return pd.DataFrame(rows, columns=[*CELL, "pairs", "mean", "deviation", "low", "high", "p"])


def _tying_mean(differences, axis):
    """Mean without its last digits: shares of whole images that tie must not differ by rounding,
    which makes p too small.
    """
    return np.mean(differences, axis=axis).round(12)


def power(mean, deviation, pairs, level=0.05):
    """Probability that a two-sided paired t test at `level` sees a mean difference, from so many
    pairs (an array or one).

    mean, deviation: of the differences, deviation > 0. Noncentral t distribution (Cohen 1988,
    chapter 2).
    """
    pairs = np.asarray(pairs)
    limit = stats.t.isf(level / 2, pairs - 1)
    shift = np.abs(mean) / deviation * np.sqrt(pairs)
    # the other tail as a mirrored first one: scipy's cdf is NaN far out
    return stats.nct.sf(limit, pairs - 1, shift) + stats.nct.sf(limit, pairs - 1, -shift)


def churn(errors, others, n):
    """Share of n images that two networks label differently; both as `errors` of their records,
    "image:label" of mistakes.
    """
    one, two = ({tuple(pair.split(":")) for pair in text.split()} for text in (errors, others))
    return len({image for image, _ in one ^ two}) / n
