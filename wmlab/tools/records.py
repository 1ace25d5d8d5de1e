"""Records: what is kept of a run, the file of a finished run, and the tables made of such files.

A record is a dict of SETTINGS, RESULTS, `history` (a dict an epoch) and, if the network was
attacked, `attacks` (a dict an attack). Its name is a hash of its settings. While a sweep runs, each
finished run is a file RUNS/EXPERIMENT/NAME.json; `merge` puts the files into the tables
RESULTS/EXPERIMENT.csv, EXPERIMENT_curves.csv (a row an epoch) and EXPERIMENT_attacks.csv (a row an
attack), whose column `run` holds the name.
"""

import csv
import hashlib
import json
import logging
import math
import pathlib
import re

from wmlab.files import writing

log = logging.getLogger(__name__)

# What decides a run, and so its name.
SETTINGS = tuple(
    "experiment dataset dataset_sha256 scheme alpha beta kind reading target decoys seed network "
    "epochs batch learning_rate decay until n_train n_test".split()
)
# Settings that later recipes brought, with the values that all earlier runs had. A record names
# only those that differ, so the names of earlier runs stay what they were.
NEWER = {
    "schedule": ("constant", "cosine"),
    "optimizer": ("adam",),
    "smoothing": (0.0,),
    "augmentation": ("none",),
    "dtype": ("float32",),
    "start": (None,),
}
# What a run measured. Accuracies are shares in [0, 1], None where a network has no key.
RESULTS = tuple(
    "n_keys n_fresh epochs_run clean_accuracy fresh_key_accuracy embedded_key_accuracy "
    "key_label_rate_clean noisy_accuracy errors decision queries seconds device versions".split()
)
OPTIONAL = (
    *NEWER,
    "computed_in",
    "answers",
    "p_value",
)  # columns of a table only if one of its runs has them
_EPOCH = "epoch loss clean_accuracy fresh_key_accuracy embedded_key_accuracy seconds".split()
_ATTACK = (
    "attack strength epochs images seconds clean_accuracy fresh_key_accuracy key_label_rate_clean "
    "true_label_rate decision queries"
).split()
# Columns that say in all tables which run it is; tables are sorted by them.
ABOUT = "experiment dataset scheme alpha beta decoys decay network batch seed".split()
TABLES = {  # the end of a table's name: where its rows are in a record, and their columns
    "_attacks": ("attacks", ["run", *ABOUT, *_ATTACK]),
    "_curves": ("history", ["run", *ABOUT, *_EPOCH]),
    "": (None, ["run", *SETTINGS, *RESULTS]),  # written last: a run in it is in all of them
}


def _is_number(value, low=-math.inf, high=math.inf):
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and math.isfinite(value) and low <= value <= high


def _matches(pattern):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


RULES = {  # what a field must be, in words: (the check, the fields, whether None will do)
    "text": (
        _matches(r"(?s).+"),
        "experiment dataset scheme kind reading network until device versions attack",
        False,
    ),
    "text or empty": (
        _matches(r".+"),
        "schedule optimizer augmentation dtype start computed_in",
        True,
    ),
    "a whole number, 0 or more": (
        lambda value: _is_number(value, 0) and isinstance(value, int),
        "target decoys seed epochs batch n_train n_test n_keys n_fresh epochs_run queries epoch "
        "images",
        True,
    ),
    "a number from 0 to 1": (
        lambda value: _is_number(value, 0, 1),
        "alpha beta smoothing clean_accuracy fresh_key_accuracy embedded_key_accuracy "
        "key_label_rate_clean noisy_accuracy true_label_rate p_value",
        True,
    ),
    "a number": (_is_number, "learning_rate seconds loss strength", True),
    "a SHA-256 in hex": (_matches("[0-9a-f]{64}"), "dataset_sha256", False),
    "16 hex digits": (_matches("[0-9a-f]{16}"), "run", False),
    "True or False": (lambda value: isinstance(value, bool), "decay", False),
    "marked or not marked": (lambda value: value in ("marked", "not marked"), "decision", True),
    "β and labels": (_matches(r"[0-9.e-]+:( [0-9]+)+"), "answers", True),
    "image:label, …": (_matches(r"([0-9]+:-?[0-9]+( [0-9]+:-?[0-9]+)*)?"), "errors", True),
}
_RULE = {
    field: (words, fits, optional)
    for words, (fits, fields, optional) in RULES.items()
    for field in fields.split()
}
# Kinds of fields whose cells in a table are read as JSON; those of others are the text itself.
_JSON = ("a whole number, 0 or more", "a number from 0 to 1", "a number", "True or False")


def check(row, columns, where):
    """Return the row (a dict by field). Raises ValueError, naming `where` and the field, if a
    column is missing, is not known, or holds something else than it should.
    """
    problem = None
    for field in [*(set(columns) - set(row)), *row]:
        if field not in row:
            problem = f"{field} is missing"
        elif field not in _RULE:
            problem = f"{field} is no field of a record"
        else:
            words, fits, optional = _RULE[field]
            if not (optional and row[field] is None) and not fits(row[field]):
                problem = f"{field} is {row[field]!r}, but must be {words}"
        if problem:
            raise ValueError(f"{where}: {problem}. Restore it, or delete it and run it again.")
    return row


def settings_of(about, experiment):
    """The settings of a record, from what `Scheme.settings` says of a run."""
    about = about | {"experiment": experiment, "decay": about["schedule"] == "cosine"}
    newer = [key for key, usual in NEWER.items() if about.get(key, usual[0]) not in usual]
    return {key: about[key] for key in (*SETTINGS, *newer)}


def record_of(run, experiment="lesson"):
    """The record of a `training.Run` that a scheme made, before it was questioned or attacked."""
    record = settings_of(run.settings, experiment) | {
        **run.results,
        "noisy_accuracy": None,
        "epochs_run": len(run.history),
        "decision": None,
        "queries": None,
        "seconds": round(run.seconds, 1),
        "device": run.device,
        "versions": ", ".join(f"{name} {text}" for name, text in run.versions.items()),
        "history": run.history,
    }
    if run.settings["dtype"] != "float32":
        record["computed_in"] = run.dtype
    return record


def name(record):
    """Name of a run: 16 hex digits over its settings, those of NEWER only where they are given."""
    newer = {key: record[key] for key in NEWER if record.get(key) is not None}
    settings = json.dumps({key: record[key] for key in SETTINGS} | newer, sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def write(record, runs):
    """Write the record of a finished run to RUNS/EXPERIMENT/NAME.json; return the path.

    The file is written to the side and moved into place. Raises ValueError naming a field that is
    missing or wrong, OSError on a full disk.
    """
    for part in ("history", "attacks"):
        if part in record:
            record = record | {part: [_without_nan(row) for row in record[part]]}
    tables_of(record, "this record")
    path = pathlib.Path(runs) / record["experiment"] / f"{name(record)}.json"
    with writing(path) as part:
        part.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    return path


def _without_nan(row):
    """JSON has neither NaN nor infinity: what was not measured, or diverged, is None."""
    lost = {key for key, x in row.items() if isinstance(x, float) and not math.isfinite(x)}
    return row | dict.fromkeys(lost)


def read_file(path):
    """The record in a file. Raises ValueError naming the file if it holds none, or another."""
    try:
        record = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not isinstance(record.get("history"), list):
            raise ValueError("it is no record of a run")
        if not {*SETTINGS} <= {*record} or name(record) != pathlib.Path(path).stem:
            raise ValueError("its name is not that of the settings in it")
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}): restore the file, or delete it to run it again"
        ) from error
    return record


def tables_of(record, where):
    """The rows of one record in each of the TABLES: {end of the table's name: list of dicts}.

    Raises ValueError, naming `where` and the field, for what is no record.
    """
    settings = {key: value for key, value in record.items() if key not in ("history", "attacks")}
    check(settings, SETTINGS + RESULTS, where)
    if "history" not in record:
        raise ValueError(f"{where}: history is missing. Restore it, or delete it and run it again.")
    about = {"run": name(record)} | {key: record[key] for key in ABOUT}
    rows = {"": [{"run": about["run"]} | settings]}
    for end, (part, columns) in TABLES.items():
        if part:
            rows[end] = [
                check(about | row, columns, f"{where}, {part}") for row in record.get(part, [])
            ]
    return rows


def read_table(path):
    """The rows of a table, each a dict with numbers as numbers; none if there is no such file.

    Raises ValueError naming the line of a row that is no part of a record.
    """
    path, rows = pathlib.Path(path), []
    if not path.exists():
        return rows
    columns = next(TABLES[end][1] for end in TABLES if path.stem.endswith(end))
    with open(path, encoding="utf-8", newline="") as file:
        for line, cells in enumerate(csv.DictReader(file), 2):
            row = {field: _value(field, text) for field, text in cells.items()}
            if row.get("errors", "") is None and row.get("clean_accuracy") == 1:
                row["errors"] = ""  # none were made, where others are None: not recorded
            rows.append(check(row, columns, f"{path}, line {line}"))
    return rows


def _value(field, text):
    if not text:
        return None
    if field not in _RULE or _RULE[field][0] not in _JSON:
        return text
    try:
        return json.loads(text.lower())
    except ValueError:
        return text  # which the check will name


def _write_table(path, rows, columns):
    optional = [field for field in OPTIONAL if any(row.get(field) is not None for row in rows)]
    rows = sorted(rows, key=lambda row: ([row[key] for key in ABOUT], row["run"]))
    with writing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns + optional, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def merge(experiment, results, runs):
    """Put the finished runs in RUNS/EXPERIMENT into the tables of an experiment; return the names
    of all runs in its table.

    The files stay, so that a second sweep at the same time, which read the tables before they were
    written, cannot lose them. Each table is written to the side and moved into place, the one with
    a row a run at last: stopped at any moment, the next merge does the rest. Raises ValueError
    naming a file or a line that is no record, OSError on a full disk.
    """
    results, folder = pathlib.Path(results), pathlib.Path(runs) / experiment
    known = {row["run"] for row in read_table(results / f"{experiment}.csv")}
    # a copy such as "… (1).json" is no second run
    files = {path.stem: path for path in sorted(folder.glob(f"{'[0-9a-f]' * 16}.json"))}
    new = {run: tables_of(read_file(path), path) for run, path in files.items() if run not in known}
    for end, (_, columns) in TABLES.items():
        added = [row for tables in new.values() for row in tables[end]]
        path = results / f"{experiment}{end}.csv"
        if added:
            _write_table(
                path, [row for row in read_table(path) if row["run"] not in new] + added, columns
            )
    if new:
        log.info("%s: %d finished runs of %s put into the table", experiment, len(new), folder)
    return known | set(new)
