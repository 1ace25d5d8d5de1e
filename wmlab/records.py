"""Records: one row a run, one small file each, and a sorted CSV of them.

A run's file is named by the hash of its settings, so the same settings never run twice and two processes never
write to the same file. Results ship as data/results/NAME.csv, made by `python -m wmlab sweep`. What is read is
checked against a JSON schema.
"""
import csv
import functools
import hashlib
import json
import pathlib

import fastjsonschema
import numpy as np
import pandas as pd
from scipy import stats

from wmlab import runtime

# what decides a run; a file is named by these
SETTINGS = ("experiment", "dataset", "dataset_sha256", "scheme", "alpha", "beta", "kind", "reading", "target", "decoys",
            "seed", "network", "epochs", "batch", "learning_rate", "decay", "until", "n_train", "n_test")
# what a run measured: accuracies are shares in [0, 1], NaN where a model has no key
RESULTS = ("n_keys", "n_fresh", "epochs_run", "clean_accuracy", "fresh_key_accuracy", "embedded_key_accuracy",
           "key_label_rate_clean", "noisy_accuracy", "errors", "decision", "queries", "seconds", "device", "versions")

FEW = 6  # runs below which no interval and no test is given
LATER = ("noisy_accuracy", "errors")  # results that the first runs on record did not measure
OPTIONAL = ("answers",)  # a table has the column if one of its runs has it

_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_KINDS = {  # what each field may hold, in the words of JSON Schema
    "text": ({"type": "string"}, "experiment dataset scheme kind reading network until device versions"),
    "count": (_COUNT, "target decoys seed epochs batch n_train n_test n_keys n_fresh epochs_run queries epoch"),
    "share": (_SHARE, "alpha beta clean_accuracy fresh_key_accuracy embedded_key_accuracy key_label_rate_clean noisy_accuracy"),
    "number": ({"type": ["number", "null"]}, "learning_rate seconds loss"),
    "digest": ({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "dataset_sha256"),
    "switch": ({"type": "boolean"}, "decay"),
    "decision": ({"enum": ["marked", "not marked", None]}, "decision"),
    "answers": ({"type": ["string", "null"], "pattern": "^[0-9.e-]+:( [0-9]+)+$"}, "answers"),
    "errors": ({"type": ["string", "null"], "pattern": "^([0-9]+:[0-9]+( [0-9]+:[0-9]+)*)?$"}, "errors"),
}
_FIELDS = {field: rule for rule, fields in _KINDS.values() for field in fields.split()}
_EPOCH = ("epoch", "loss", "clean_accuracy", "fresh_key_accuracy", "embedded_key_accuracy", "seconds")


def _table(required, **more):
    return {"type": "object", "required": [field for field in required if field not in LATER], "properties": _FIELDS | more}


SCHEMAS = {  # of a run's file, and of a row in the two kinds of shipped tables
    "run": _table(SETTINGS + RESULTS + ("history",), history={"type": "array", "items": _table(_EPOCH)}),
    "row": _table(SETTINGS + RESULTS),
    "curve": _table(_EPOCH),
}


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


@functools.cache
def _check(kind):
    return fastjsonschema.compile(SCHEMAS[kind])


def _checked(row, kind, where):
    """The row itself, if it keeps to the schema of its kind; else a ValueError that says where and what."""
    try:
        return _check(kind)(row)
    except fastjsonschema.JsonSchemaValueException as error:
        what = error.message.removeprefix("data.")
        raise ValueError(f"{where} is no record of a run ({what}): restore the file, or delete it to run it again") from error


def done(record, folder):
    """True if a run with these settings is on file in `folder`."""
    return (pathlib.Path(folder) / name(record)).exists()


def read(folder):
    """All records of a folder as two tables: runs (a row a run) and curves (a row an epoch of a run).

    Raises ValueError naming a file that is no record.
    """
    about = ["experiment", "dataset", "scheme", "alpha", "beta", "decoys", "decay", "seed"]
    runs, curves = [], []
    for path in sorted(pathlib.Path(folder).glob("[!.]*.json")):  # one with a dot is half written
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is no JSON ({error}): restore the file, or delete it to run it again") from error
        history = _checked(record, "run", path).pop("history")
        runs.append(record)
        curves += [{key: record[key] for key in about} | epoch for epoch in history]
    more = [field for field in OPTIONAL if any(run.get(field) for run in runs)]
    tables = pd.DataFrame(runs, columns=[*SETTINGS, *RESULTS, *more]), pd.DataFrame(curves)
    return tuple(table.sort_values(about, kind="stable", ignore_index=True) if len(table) else table for table in tables)


def export(folder, results):
    """Write `results`/EXPERIMENT.csv and EXPERIMENT_curves.csv from the records in `folder`; returns the paths."""
    runs, curves = read(folder)
    paths = []
    for experiment in sorted(set(runs["experiment"])):
        for suffix, every in (("", runs), ("_curves", curves)):
            table = every[every["experiment"] == experiment]
            table = table.drop(columns=[field for field in OPTIONAL if field in table and table[field].isna().all()])
            path = pathlib.Path(results) / f"{experiment}{suffix}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with runtime.writing(path) as part:
                table.to_csv(part, index=False, lineterminator="\n")
            paths.append(path)
    return paths


def load(experiment):
    """A shipped table of results, data/results/EXPERIMENT.csv, or of its curves, EXPERIMENT_curves.

    Raises ValueError listing what there is, or naming the row that is no record.
    """
    folder = runtime.data_dir() / "results"
    path = folder / f"{experiment}.csv"
    if not path.exists():
        raise ValueError(f"no results called {experiment!r}: there are {', '.join(sorted(p.stem for p in folder.glob('*.csv')))}")
    kind = "curve" if experiment.endswith("_curves") else "row"
    with open(path, encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            _checked({field: _cell(field, text) for field, text in row.items()}, kind, f"{path.name}, line {line},")
    table = pd.read_csv(path)
    if "errors" in table:  # a CSV does not tell no mistakes from mistakes that were not recorded
        table["errors"] = table["errors"].mask(table["errors"].isna() & (table["clean_accuracy"] == 1), "")
    return table


def _cell(field, text):
    """A cell of a CSV as JSON has it: text, number or boolean; None if it is empty. What is none of these stays text."""
    rule = _FIELDS.get(field, {})
    if not text or "string" in rule.get("type", ()) or "enum" in rule:
        return text or None
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def answers(table):
    """The labels that each run gave to the public keys (`schemes.innocents.public_keys`): int64 (runs, keys).

    Raises ValueError if a run was not asked, or not the keys that the others were.
    """
    asked = table["answers"] if "answers" in table else pd.Series([None] * len(table))
    if asked.isna().any() or asked.str.split(":").str[0].nunique() != 1:
        raise ValueError("these runs were not all asked the public keys of one β: choose those of one sweep with answers")
    return np.array([[int(label) for label in text.partition(":")[2].split()] for text in asked])


def interval(values, confidence=0.95):
    """Mean and the ends of Student's t interval for it, (mean, low, high); ends are NaN for fewer than 2 values."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


CELL = ["alpha", "beta"]


def cells(table, column, confidence=0.95):
    """Runs of marked networks by cell, a row for each scheme, α and β: runs, mean, low, high of `column`.

    Ends of the interval are those of `interval`, cut at 0 and 1 since every column is a share; NaN for fewer than 6 runs.
    """
    rows = []
    for (scheme, *cell), runs in table.dropna(subset=[column]).groupby(["scheme", *CELL]):
        mean, low, high = interval(runs[column], confidence)
        low, high = (max(low, 0.0), min(high, 1.0)) if len(runs) >= FEW else (np.nan, np.nan)
        rows.append(dict(zip(["scheme", *CELL], [scheme, *cell], strict=True), runs=len(runs), mean=mean, low=low, high=high))
    return pd.DataFrame(rows, columns=["scheme", *CELL, "runs", "mean", "low", "high"])


def paired(table, column, first="new label", second="wrong label", confidence=0.95):
    """Differences first - second of runs with the same seed, so the same images and noise; a row for each α and β.

    Columns: pairs, mean, deviation (with n - 1), low, high (t interval) and p, the two-sided exact test that flips signs:
    the share of all 2^pairs assignments of signs whose mean is as far from 0 (10,000 drawn ones from 14 pairs on). For
    fewer than 6 pairs low, high and p are NaN. Raises ValueError if a scheme has two runs of one cell and seed.
    """
    both = [table[table.scheme == name].set_index([*CELL, "seed"])[column].dropna() for name in (first, second)]
    if not all(runs.index.is_unique for runs in both):
        raise ValueError("a pair is one run of each scheme with the same α, β and seed: choose one recipe and one experiment")
    rows = []
    for cell, difference in (both[0] - both[1]).dropna().groupby(level=CELL):
        mean, low, high = interval(difference, confidence)
        p = np.nan
        if len(difference) < FEW:
            low = high = np.nan
        else:
            p = stats.permutation_test((difference.to_numpy(),), _tying_mean, permutation_type="samples", n_resamples=9999,
                                       rng=np.random.default_rng(0)).pvalue
        rows.append(dict(zip(CELL, cell, strict=True), pairs=len(difference), mean=mean, deviation=difference.std(),
                         low=low, high=high, p=p))
    return pd.DataFrame(rows, columns=[*CELL, "pairs", "mean", "deviation", "low", "high", "p"])


def _tying_mean(differences, axis):
    """Mean without its last digits: shares of whole images that tie must not differ by rounding, which makes p too small."""
    return np.mean(differences, axis=axis).round(12)


def power(mean, deviation, pairs, level=0.05):
    """Probability that a two-sided paired t test at `level` sees a mean difference, from so many pairs (an array or one).

    mean, deviation: of the differences, deviation > 0. Noncentral t distribution (Cohen 1988, chapter 2).
    """
    pairs = np.asarray(pairs)
    limit = stats.t.isf(level / 2, pairs - 1)
    shift = np.abs(mean) / deviation * np.sqrt(pairs)
    # the other tail as a mirrored first one: scipy's cdf is NaN far out
    return stats.nct.sf(limit, pairs - 1, shift) + stats.nct.sf(limit, pairs - 1, -shift)


def churn(errors, others, n):
    """Share of n images that two networks label differently; both as `errors` of their records, "image:label" of mistakes."""
    one, two = ({tuple(pair.split(":")) for pair in text.split()} for text in (errors, others))
    return len({image for image, _ in one ^ two}) / n
