"""What a record holds: the fields, and a JSON schema that every file and every row of a table is
checked against.
"""

import functools
import json

import fastjsonschema

# what decides a run; a file is named by these
SETTINGS = (
    "experiment",
    "dataset",
    "dataset_sha256",
    "scheme",
    "alpha",
    "beta",
    "kind",
    "reading",
    "target",
    "decoys",
    "seed",
    "network",
    "epochs",
    "batch",
    "learning_rate",
    "decay",
    "until",
    "n_train",
    "n_test",
)
# settings that later recipes brought, and what all earlier runs had: a record names only what
# differs from that
NEWER = {
    "schedule": ("constant", "cosine"),
    "optimizer": ("adam",),
    "smoothing": (0.0,),
    "augmentation": ("none",),
    "dtype": ("float32",),
}
# what a run measured: accuracies are shares in [0, 1], NaN where a model has no key
RESULTS = (
    "n_keys",
    "n_fresh",
    "epochs_run",
    "clean_accuracy",
    "fresh_key_accuracy",
    "embedded_key_accuracy",
    "key_label_rate_clean",
    "noisy_accuracy",
    "errors",
    "decision",
    "queries",
    "seconds",
    "device",
    "versions",
)

LATER = ("noisy_accuracy", "errors")  # results that the first runs on record did not measure
OPTIONAL = (*NEWER, "computed_in", "answers")  # a table has the column if one of its runs has it

_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_KINDS = {  # what each field may hold, in the words of JSON Schema
    "text": (
        {"type": "string"},
        "experiment dataset scheme kind reading network until device versions attack",
    ),
    "word": ({"type": ["string", "null"]}, "schedule optimizer augmentation dtype computed_in"),
    "count": (
        _COUNT,
        "target decoys seed epochs batch n_train n_test n_keys n_fresh epochs_run queries epoch images",
    ),
    "share": (
        _SHARE,
        "alpha beta smoothing clean_accuracy fresh_key_accuracy embedded_key_accuracy key_label_rate_clean noisy_accuracy "
        "true_label_rate",
    ),
    "number": ({"type": ["number", "null"]}, "learning_rate seconds loss strength"),
    "digest": ({"type": "string", "pattern": "^[0-9a-f]{64}$"}, "dataset_sha256"),
    "switch": ({"type": "boolean"}, "decay"),
    "decision": ({"enum": ["marked", "not marked", None]}, "decision"),
    "answers": ({"type": ["string", "null"], "pattern": "^[0-9.e-]+:( [0-9]+)+$"}, "answers"),
    "errors": (
        {"type": ["string", "null"], "pattern": "^([0-9]+:[0-9]+( [0-9]+:[0-9]+)*)?$"},
        "errors",
    ),
}
_FIELDS = {field: rule for rule, fields in _KINDS.values() for field in fields.split()}
_EPOCH = (
    "epoch",
    "loss",
    "clean_accuracy",
    "fresh_key_accuracy",
    "embedded_key_accuracy",
    "seconds",
)
_ATTACK = (
    "attack",
    "strength",
    "epochs",
    "images",
    "seconds",
    "clean_accuracy",
    "fresh_key_accuracy",
    "key_label_rate_clean",
    "true_label_rate",
    "decision",
    "queries",
)
LISTS = {
    "history": "curves",
    "attacks": "attacks",
}  # what a record holds several of, and the table they go to


def _table(required, **more):
    return {
        "type": "object",
        "required": [field for field in required if field not in LATER],
        "properties": _FIELDS | more,
    }


SCHEMAS = {  # of a run's file, and of a row in the three kinds of shipped tables
    "run": _table(
        SETTINGS + RESULTS + ("history",),
        history={"type": "array", "items": _table(_EPOCH)},
        attacks={"type": "array", "items": _table(_ATTACK)},
    ),
    "rows": _table(SETTINGS + RESULTS),
    "curves": _table(_EPOCH),
    "attacks": _table(_ATTACK),
}


@functools.cache
def _check(kind):
    return fastjsonschema.compile(SCHEMAS[kind])


def checked(row, kind, where):
    """The row itself, if it keeps to the schema of its kind; else a ValueError that says where and
    what.
    """
    try:
        return _check(kind)(row)
    except fastjsonschema.JsonSchemaValueException as error:
        what = error.message.removeprefix("data.")
        raise ValueError(
            f"{where} is no record of a run ({what}): restore the file, or delete it to run it again"
        ) from error


def from_csv(field, text):
    """A cell of a CSV as JSON has it: text, number or boolean; None if it is empty. What is none of
    these stays text.
    """
    rule = _FIELDS.get(field, {})
    if not text or "string" in rule.get("type", ()) or "enum" in rule:
        return text or None
    try:
        return json.loads(text.lower())
    except ValueError:
        return text
