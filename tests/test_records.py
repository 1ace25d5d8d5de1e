import copy
import errno
import json
import pathlib
import random
import re

import pandas as pd
import pytest

from wmlab import records, runtime, schema
from wmlab.records import RESULTS, SETTINGS
from wmlab.stats import churn


def record(**changes):
    """A complete record of an invented run."""
    made = {
        "experiment": "toy",
        "dataset": "mnist",
        "dataset_sha256": "ab" * 32,
        "scheme": "new label",
        "alpha": 0.1,
        "beta": 0.01,
        "kind": "fresh",
        "reading": "variance",
        "target": 0,
        "decoys": 0,
        "seed": 0,
        "network": "dense",
        "epochs": 2,
        "batch": 64,
        "learning_rate": 0.001,
        "decay": False,
        "until": "steps",
        "n_train": 4000,
        "n_test": 1000,
        "n_keys": 400,
        "n_fresh": 900,
        "epochs_run": 2,
        "clean_accuracy": 0.9812,
        "fresh_key_accuracy": 1 / 3,
        "embedded_key_accuracy": 0.99,
        "key_label_rate_clean": 0.0,
        "noisy_accuracy": 0.95,
        "errors": "7:9 12:10 999:0",
        "decision": "marked",
        "queries": 1,
        "seconds": 1.5,
        "device": "a CPU",
        "versions": "keras 3",
        "history": [
            {
                "epoch": n,
                "loss": 0.5 / n,
                "clean_accuracy": 0.9,
                "fresh_key_accuracy": 0.1 * n,
                "embedded_key_accuracy": float("nan"),
                "seconds": 0.7,
            }
            for n in (1, 2)
        ],
    }
    assert set(made) == {*SETTINGS, *RESULTS, "history"}
    return made | changes


RUNS = [
    record(scheme=scheme, seed=seed, alpha=alpha)
    for scheme in ("wrong label", "new label")
    for seed in (0, 1, 10, 2)
    for alpha in (0.1, 0.05)
]


@pytest.mark.parametrize("field", SETTINGS)
def test_every_setting_changes_the_file_name(field):
    other = record(**{field: "another"})
    assert records.name(other) != records.name(record())
    assert records.name(other).startswith(f"{other['experiment']}-")


@pytest.mark.parametrize("field", [*RESULTS, "history"])
def test_no_result_changes_the_file_name(field):
    assert records.name(record(**{field: "another"})) == records.name(record())


def test_order_of_fields_does_not_matter():
    assert records.name(dict(reversed(record().items()))) == records.name(record())


def test_what_is_written_is_read(tmp_path):
    made = record()
    before = copy.deepcopy(made)
    path = records.write(made, tmp_path / "new" / "folder")
    assert path.parent == tmp_path / "new" / "folder" and path.name == records.name(made)
    runs, curves = records.read(path.parent)
    assert runs.to_dict("records") == [{key: made[key] for key in SETTINGS + RESULTS}]
    assert curves["epoch"].tolist() == [1, 2]
    assert curves["loss"].tolist() == [0.5, 0.25]
    assert curves["embedded_key_accuracy"].isna().all()
    assert set(curves["scheme"]) == {"new label"} and set(curves["seed"]) == {0}
    assert str(made) == str(before), "writing changed the record"


def test_the_same_settings_overwrite_and_other_seeds_do_not(tmp_path):
    assert not records.done(record(), tmp_path)
    records.write(record(queries=1), tmp_path)
    records.write(record(queries=2), tmp_path)
    assert records.done(record(queries=3), tmp_path)
    assert not records.done(record(seed=1), tmp_path)
    records.write(record(seed=1), tmp_path)
    assert records.read(tmp_path)[0]["queries"].tolist() == [2, 1]


@pytest.mark.parametrize("field", [*SETTINGS, *RESULTS, "history"])
def test_a_missing_field_is_named(tmp_path, field):
    made = record()
    del made[field]
    with pytest.raises(ValueError, match=f"lacks {field}: "):
        records.write(made, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, old):
    if old:
        before = records.write(record(queries=1), tmp_path).read_bytes()

    def fails(self, text, *args, **kwargs):
        with open(self, "w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_text", fails)
        with pytest.raises(OSError, match="disk is full"):
            records.write(record(queries=2), tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([before] if old else [])


def test_half_a_file_of_a_killed_run_is_no_record(tmp_path):
    path = records.write(record(), tmp_path)
    with pytest.raises(KeyboardInterrupt), runtime.writing(path) as part:
        part.write_text('{"experiment"')
        assert len(records.read(tmp_path)[0]) == 1  # another process, reading meanwhile
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [path]


def test_no_records_are_two_empty_tables(tmp_path):
    runs, curves = records.read(tmp_path)
    assert len(runs) == len(curves) == 0
    assert list(runs.columns) == [*SETTINGS, *RESULTS]
    assert records.export(tmp_path, tmp_path / "results") == []


def test_export_is_sorted_and_the_same_bytes_whatever_the_order(tmp_path):
    shuffled = random.Random(0).sample(RUNS, len(RUNS))
    for folder, runs in (("a", RUNS), ("b", shuffled)):
        for run in runs:
            records.write(run, tmp_path / folder)
    paths = records.export(tmp_path / "a", tmp_path / "results")
    assert [path.name for path in paths] == ["toy.csv", "toy_curves.csv"]
    first = [path.read_bytes() for path in paths]
    assert [
        path.read_bytes() for path in records.export(tmp_path / "b", tmp_path / "results")
    ] == first
    assert b"\r" not in b"".join(first)
    header, *rows = first[0].decode().splitlines()
    assert header.split(",") == [*SETTINGS, *RESULTS]
    at = [header.split(",").index(key) for key in ("scheme", "alpha", "seed")]
    keys = [
        (row.split(",")[at[0]], float(row.split(",")[at[1]]), int(row.split(",")[at[2]]))
        for row in rows
    ]
    assert keys == sorted((run["scheme"], run["alpha"], run["seed"]) for run in RUNS)


def test_each_experiment_has_its_own_file(tmp_path, monkeypatch):
    records.write(record(experiment="one"), tmp_path)
    records.write(record(experiment="two"), tmp_path)
    results = tmp_path / "data" / "results"
    names = [path.name for path in records.export(tmp_path, results)]
    assert names == ["one.csv", "one_curves.csv", "two.csv", "two_curves.csv"]
    monkeypatch.setattr(runtime, "data_dir", lambda: tmp_path / "data")
    loaded = records.load("two")
    assert loaded["experiment"].tolist() == ["two"]
    assert loaded.loc[0, "fresh_key_accuracy"] == pytest.approx(1 / 3, abs=1e-15)
    assert records.load("one_curves")["epoch"].tolist() == [1, 2]
    with pytest.raises(
        ValueError, match="no results called 'three': there are one, one_curves, two, two_curves"
    ):
        records.load("three")


def test_a_full_disk_leaves_the_old_table(tmp_path, monkeypatch):
    records.write(record(), tmp_path)
    results = tmp_path / "results"
    before = [path.read_bytes() for path in records.export(tmp_path, results)]
    records.write(record(seed=1), tmp_path)

    def fails(self, path, **kwargs):
        pathlib.Path(path).write_text("experiment,")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pandas.DataFrame.to_csv", fails)
    with pytest.raises(OSError, match="disk is full"):
        records.export(tmp_path, results)
    assert [path.read_bytes() for path in sorted(results.iterdir())] == before


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def test_a_record_is_plain_json(tmp_path):
    path = records.write(record(), tmp_path)
    read = json.loads(path.read_text(), parse_constant=no_constant)
    assert (
        read["fresh_key_accuracy"] == 1 / 3 and read["history"][0]["embedded_key_accuracy"] is None
    )


def test_the_shipped_records_are_plain_json_named_by_their_settings():
    shipped = sorted((runtime.data_dir() / "results/runs").glob("*.json"))
    assert len(shipped) > 50
    for path in shipped:
        assert records.name(json.loads(path.read_text(), parse_constant=no_constant)) == path.name


def test_the_shipped_tables_are_exports_of_the_shipped_records(tmp_path):
    made = records.export(runtime.data_dir() / "results/runs", tmp_path)
    assert {path.name for path in made} == {
        path.name for path in (runtime.data_dir() / "results").glob("*.csv")
    }
    for path in made:
        assert path.read_bytes() == (runtime.data_dir() / "results" / path.name).read_bytes(), (
            "run the sweep again"
        )


def spoilt(tmp_path, change):
    """The path of a record whose text was changed after it was written."""
    path = records.write(record(), tmp_path)
    path.write_text(change(path.read_text()))
    return path


@pytest.mark.parametrize(
    "field, value",
    [
        ("alpha", 2),
        ("alpha", -0.1),
        ("beta", "0.01"),
        ("clean_accuracy", 1.01),
        ("clean_accuracy", True),
        ("seed", 1.5),
        ("seed", -1),
        ("epochs", "many"),
        ("n_keys", [400]),
        ("dataset_sha256", "ab" * 31),
        ("dataset_sha256", "AB" * 32),
        ("dataset_sha256", None),
        ("decay", "no"),
        ("decay", 0),
        ("scheme", None),
        ("scheme", 3),
        ("decision", "perhaps"),
        ("errors", "7:9 12"),
        ("errors", "7:9, 12:1"),
        ("errors", 7),
        ("noisy_accuracy", "0.9"),
        ("seconds", "long"),
        ("device", None),
        ("history", {}),
        ("history", None),
    ],
)
def test_a_record_with_a_wrong_value_names_file_and_field(tmp_path, field, value):
    path = spoilt(tmp_path, lambda text: json.dumps(json.loads(text) | {field: value}))
    with pytest.raises(
        ValueError, match=f"{re.escape(str(path))} is no record of a run .{field} must (be|match) "
    ):
        records.read(tmp_path)


@pytest.mark.parametrize(
    "field, value", [("loss", "low"), ("epoch", 0.5), ("clean_accuracy", 2), ("seconds", "0")]
)
def test_a_wrong_value_in_the_history_is_named(tmp_path, field, value):
    def change(text):
        made = json.loads(text)
        made["history"][1][field] = value
        return json.dumps(made)

    path = spoilt(tmp_path, change)
    with pytest.raises(
        ValueError, match=f"{re.escape(str(path))} is no record of a run .history.1..{field} "
    ):
        records.read(tmp_path)


@pytest.mark.parametrize(
    "field", [field for field in (*SETTINGS, *RESULTS, "history") if field not in schema.LATER]
)
def test_a_record_that_lost_a_field_names_it(tmp_path, field):
    path = spoilt(
        tmp_path,
        lambda text: json.dumps(
            {key: value for key, value in json.loads(text).items() if key != field}
        ),
    )
    with pytest.raises(
        ValueError,
        match=f"{re.escape(str(path))} is no record of a run .data must contain .'{field}'. properties",
    ):
        records.read(tmp_path)


def test_the_schema_knows_every_field():
    run = schema.SCHEMAS["run"]
    assert {*SETTINGS, *RESULTS, "history"} <= set(run["properties"])
    assert (
        {*SETTINGS, *RESULTS, "history"} - set(run["required"])
        == set(schema.LATER)
        == {"noisy_accuracy", "errors"}
    )


@pytest.mark.parametrize(
    "change",
    [lambda text: text[: len(text) // 2], lambda text: "", lambda text: "seed,alpha\n0,0.1\n"],
    ids=["half", "nothing", "a table"],
)
def test_a_file_that_is_no_json_is_named(tmp_path, change):
    path = spoilt(tmp_path, change)
    with pytest.raises(
        ValueError,
        match=f"{re.escape(str(path))} is no JSON .*restore the file, or delete it to run it again",
    ):
        records.read(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = records.write(record(), tmp_path)
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is no JSON"):
        records.read(tmp_path)


@pytest.mark.parametrize("text", ["[]", "null", "7", "[[]]"])
def test_json_that_is_no_record_is_named(tmp_path, text):
    path = spoilt(tmp_path, lambda _: text)
    with pytest.raises(
        ValueError, match=f"{re.escape(str(path))} is no record of a run .*data must be object"
    ):
        records.read(tmp_path)


def test_records_of_the_first_runs_are_read_beside_later_ones(tmp_path):
    first = record(seed=0)
    made = [
        spoilt(
            tmp_path,
            lambda text: json.dumps(
                {k: v for k, v in json.loads(text).items() if k not in schema.LATER}
            ),
        ),
        records.write(record(seed=1), tmp_path),
    ]
    assert made[0].name == records.name(first), (
        "what was measured later does not change who a run is"
    )
    runs, curves = records.read(tmp_path)
    assert (
        runs["errors"].tolist()[1] == "7:9 12:10 999:0"
        and runs["noisy_accuracy"].tolist()[1] == 0.95
    )
    assert runs[list(schema.LATER)].isna().all(axis=1).tolist() == [True, False]
    assert runs["clean_accuracy"].tolist() == [0.9812, 0.9812] and len(curves) == 4


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of results of a course whose one experiment "toy" has six runs."""
    for seed in range(6):
        records.write(
            record(
                seed=seed,
                errors=("", "5:1", "5:1 999:10", None, "5:0", "10:3")[seed],
                target=seed % 3 or None,
                clean_accuracy=(1.0, 0.9, 0.8, 1 / 3, 0.9, 0.9)[seed],
            ),
            tmp_path / "runs",
        )
    records.export(tmp_path / "runs", tmp_path / "data/results")
    monkeypatch.setattr(runtime, "data_dir", lambda: tmp_path / "data")
    return tmp_path / "data/results"


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (runtime.data_dir() / "results").glob("*.csv"))
)
def test_the_shipped_tables_are_read(name):
    assert len(records.load(name)) >= 3


def test_a_table_is_read_as_it_was_written(results):
    """Texts, whole numbers with gaps, switches, shares to the last digit, and mistakes: none, some,
    or not recorded.
    """
    table = records.load("toy")
    assert table["errors"].isna().tolist() == [False, False, False, True, False, False]
    assert table["errors"].dropna().tolist() == ["", "5:1", "5:1 999:10", "5:0", "10:3"]
    assert table["clean_accuracy"].tolist() == [1.0, 0.9, 0.8, 1 / 3, 0.9, 0.9]
    assert (
        table["target"].fillna(-1).tolist() == [-1, 1, 2, -1, 1, 2]
        and table["decay"].tolist() == [False] * 6
    )


def test_a_table_of_the_first_runs_has_no_mistakes_and_is_read(results):
    table = pd.read_csv(results / "toy.csv").drop(columns=list(schema.LATER))
    table.to_csv(results / "toy.csv", index=False)
    assert list(records.load("toy").columns) == [
        field for field in (*SETTINGS, *RESULTS) if field not in schema.LATER
    ]


@pytest.mark.parametrize("row", [0, 3, 5])
@pytest.mark.parametrize(
    "field, text",
    [
        ("alpha", "2"),
        ("alpha", "a lot"),
        ("alpha", "-0.1"),
        ("clean_accuracy", "0.9O"),
        ("clean_accuracy", "True"),
        ("seed", "1.5"),
        ("seed", "one"),
        ("dataset_sha256", "ab"),
        ("dataset_sha256", ""),
        ("scheme", ""),
        ("decay", "maybe"),
        ("decay", "0"),
        ("decay", ""),
        ("decision", "perhaps"),
        ("errors", "5 1"),
        ("noisy_accuracy", "1.1"),
        ("n_train", "4000.5"),
    ],
)
def test_a_wrong_row_of_a_table_is_named(results, row, field, text):
    table = pd.read_csv(results / "toy.csv", dtype=str, keep_default_na=False)
    table.loc[row, field] = text
    table.to_csv(results / "toy.csv", index=False)
    with pytest.raises(
        ValueError,
        match=rf"toy.csv, line {row + 2}, is no record of a run .{field} must (be|match) ",
    ):
        records.load("toy")


@pytest.mark.parametrize(
    "field, text", [("loss", "low"), ("clean_accuracy", "7"), ("epoch", "1.5")]
)
def test_a_wrong_row_of_the_curves_is_named(results, field, text):
    table = pd.read_csv(results / "toy_curves.csv", dtype=str, keep_default_na=False)
    table.loc[4, field] = text
    table.to_csv(results / "toy_curves.csv", index=False)
    with pytest.raises(
        ValueError,
        match=rf"toy_curves.csv, line 6, is no record of a run .{field} must (be|match) ",
    ):
        records.load("toy_curves")


@pytest.mark.parametrize("field", ["alpha", "seed", "clean_accuracy", "versions"])
def test_a_table_that_lost_a_column_is_named(results, field):
    pd.read_csv(results / "toy.csv").drop(columns=field).to_csv(results / "toy.csv", index=False)
    with pytest.raises(
        ValueError,
        match=f"toy.csv, line 2, is no record of a run .data must contain .'{field}'. properties",
    ):
        records.load("toy")


def test_a_table_cut_short_is_named(results):
    text = (results / "toy.csv").read_text()
    (results / "toy.csv").write_text(text[: text.rindex(",mnist,") + 20])
    with pytest.raises(ValueError, match="toy.csv, line 7, is no record of a run"):
        records.load("toy")


def test_churn_of_shipped_and_reread_mistakes(results):
    table = records.load("toy").set_index("seed")
    assert churn(table.errors[0], table.errors[2], 1000) == 0.002
    assert churn(table.errors[1], table.errors[2], 1000) == 0.001
    assert churn(table.errors[1], table.errors[4], 1000) == 0.001, (
        "both wrong, but not in the same way"
    )
    assert churn(table.errors[0], table.errors[0], 1000) == 0
