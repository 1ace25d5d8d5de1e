import copy
import errno
import itertools
import json
import pathlib
import random
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import records, runtime, schema
from wmlab.records import RESULTS, SETTINGS


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


@pytest.mark.parametrize("n", [2, 6, 50])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_interval_is_students(n, confidence):
    values = np.random.default_rng(n).normal(0.9, 0.02, n)
    low, high = stats.t.interval(confidence, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert records.interval(values, confidence) == pytest.approx(
        (np.mean(values), low, high), abs=1e-12
    )


@pytest.mark.parametrize("n", [2, 6, 20])
def test_interval_covers_the_mean_as_often_as_it_says(n):
    rng, trials = np.random.default_rng(n), 5000
    _, low, high = np.array([records.interval(rng.normal(3, 2, n)) for _ in range(trials)]).T
    covered = np.mean((low < 3) & (3 < high))
    assert abs(covered - 0.95) / np.sqrt(0.95 * 0.05 / trials) <= 4.5


def test_interval_of_one_value_has_no_ends():
    mean, low, high = records.interval([0.7])
    assert mean == 0.7 and np.isnan(low) and np.isnan(high)


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


def table_of(*runs):
    """A table of results from (scheme, α, β, seed, accuracy)."""
    return pd.DataFrame(runs, columns=["scheme", "alpha", "beta", "seed", "clean_accuracy"])


def invented(n, seed=0, cells=((0.1, 0.01),), shift=0.0, spread=0.02):
    """n seeds of both schemes in each cell, measured on 10,000 images; the accuracies of a pair
    have a part in common.
    """
    rng, runs = np.random.default_rng(seed), []
    for cell in cells:
        common = rng.normal(0.8, 0.05, n)
        for scheme, mean in (("new label", shift), ("wrong label", 0)):
            runs += [
                (scheme, *cell, k, round(common[k] + mean + rng.normal(0, spread), 4))
                for k in range(n)
            ]
    return table_of(*runs)


def test_cells_are_means_and_intervals_of_each_scheme_alpha_and_beta():
    rng = np.random.default_rng(0)
    values = {
        (scheme, alpha, beta): rng.uniform(0.4, 0.6, n)
        for (scheme, alpha, beta), n in {
            ("new label", 0.1, 0.01): 6,
            ("new label", 0.1, 0.02): 7,
            ("new label", 0.2, 0.01): 5,
            ("wrong label", 0.1, 0.01): 30,
            ("wrong label", 0.2, 0.02): 1,
        }.items()
    }
    table = table_of(
        *((*cell, k, value) for cell, found in values.items() for k, value in enumerate(found))
    )
    for confidence in (0.5, 0.95):
        made = records.cells(table.sample(frac=1, random_state=0), "clean_accuracy", confidence)
        made = made.set_index(["scheme", "alpha", "beta"])
        assert set(made.index) == set(values) and list(made.columns) == [
            "runs",
            "mean",
            "low",
            "high",
        ]
        for cell, found in values.items():
            assert made.loc[cell, "runs"] == len(found) and made.loc[cell, "mean"] == pytest.approx(
                found.mean(), abs=1e-12
            )
            ends = (np.nan, np.nan)
            if len(found) >= 6:
                ends = stats.t.interval(confidence, len(found) - 1, found.mean(), stats.sem(found))
            assert made.loc[cell, ["low", "high"]].tolist() == pytest.approx(
                ends, abs=1e-12, nan_ok=True
            )


def test_the_interval_of_a_share_ends_at_0_and_1():
    table = table_of(
        *(("new label", 0.1, 0.01, k, k % 2) for k in range(6)),
        *(("new label", 0.2, 0.01, k, 1.0) for k in range(6)),
    )
    wide, none = records.cells(table, "clean_accuracy").to_dict("records")
    assert (wide["mean"], wide["low"], wide["high"]) == (0.5, 0, 1) and records.interval(
        np.arange(6) % 2
    )[1] < 0
    assert (none["mean"], none["low"], none["high"]) == (1, 1, 1)


def test_runs_without_a_value_do_not_count():
    table = table_of(
        *(("new label", 0.1, 0.01, k, 0.5 if k else None) for k in range(7)),
        ("unmarked", 0, 0, 0, None),
    )
    (made,) = records.cells(table, "clean_accuracy").to_dict("records")
    assert (made["runs"], made["mean"], made["low"]) == (6, 0.5, 0.5)
    assert len(records.cells(table[:0], "clean_accuracy")) == 0


def by_flipping(differences, images=10_000):
    """Two-sided p of the test that flips signs, by brute force: every assignment of signs, counted
    in whole images.
    """
    whole = np.round(np.array(differences) * images).astype(int)
    sums = np.array(list(itertools.product((1, -1), repeat=len(whole)))) @ np.abs(whole)
    return np.mean(np.abs(sums) >= abs(whole.sum()))


@pytest.mark.parametrize("n, shift", [(6, 0.0), (6, 0.1), (7, -0.02), (10, 0.01), (10, 0.0)])
def test_pairs_are_compared_by_students_interval_and_by_flipping_signs(n, shift):
    table = invented(n, n, shift=shift)
    new, wrong = (
        table[table.scheme == scheme].clean_accuracy.to_numpy()
        for scheme in ("new label", "wrong label")
    )
    for confidence in (0.5, 0.95):
        (made,) = records.paired(
            table.sample(frac=1, random_state=n), "clean_accuracy", confidence=confidence
        ).to_dict("records")
        low, high = stats.ttest_rel(new, wrong).confidence_interval(confidence)
        assert (made["alpha"], made["beta"], made["pairs"]) == (0.1, 0.01, n)
        assert made["mean"] == pytest.approx(np.mean(new - wrong), abs=1e-12)
        assert made["deviation"] == pytest.approx(np.std(new - wrong, ddof=1), abs=1e-12)
        assert (made["low"], made["high"]) == pytest.approx((low, high), abs=1e-12)
        assert made["p"] == by_flipping(new - wrong)
    assert shift != 0.1 or made["p"] == 2 / 2**n, "all of one sign: the smallest p there is"
    (swapped,) = records.paired(table, "clean_accuracy", "wrong label", "new label").to_dict(
        "records"
    )
    assert swapped["mean"] == pytest.approx(-made["mean"], abs=1e-12) and swapped["p"] == made["p"]


@given(st.lists(st.tuples(st.integers(5000, 9990), st.integers(-9, 9)), min_size=6, max_size=9))
def test_accuracies_that_tie_do_so_whatever_their_last_digits(pairs):
    """Differences of a few images in 10,000, of which many sums are equal in whole numbers and not
    quite in floats.
    """
    table = table_of(
        *(("wrong label", 0.1, 0.01, k, right / 10_000) for k, (right, _) in enumerate(pairs)),
        *(
            ("new label", 0.1, 0.01, k, (right + more) / 10_000)
            for k, (right, more) in enumerate(pairs)
        ),
    )
    assert records.paired(table, "clean_accuracy")["p"][0] == by_flipping(
        [more / 10_000 for _, more in pairs]
    )


@pytest.mark.parametrize("n", [14, 16])
def test_many_pairs_are_compared_by_drawn_signs(n):
    table = invented(n, 3, shift=0.008)
    difference = table.clean_accuracy.to_numpy()[:n] - table.clean_accuracy.to_numpy()[n:]
    exact, drawn = by_flipping(difference), 10_000
    assert 0.01 < exact < 0.5
    (made,) = records.paired(table, "clean_accuracy").to_dict("records")
    assert abs(made["p"] - exact) / np.sqrt(exact * (1 - exact) / drawn) <= 4.5
    assert made["p"] == records.paired(table, "clean_accuracy")["p"][0], "drawn anew each time"


@pytest.mark.parametrize("n", range(1, 6))
def test_less_than_six_pairs_have_no_interval_and_no_test(n):
    (made,) = records.paired(invented(n), "clean_accuracy").to_dict("records")
    assert (
        made["pairs"] == n and np.isfinite(made["mean"]) and np.isnan(made["deviation"]) == (n == 1)
    )
    assert np.isnan([made["low"], made["high"], made["p"]]).all()


def test_no_difference_at_all_has_p_1():
    (made,) = records.paired(invented(8, spread=0), "clean_accuracy").to_dict("records")
    assert (made["mean"], made["deviation"], made["low"], made["high"], made["p"]) == (
        0,
        0,
        0,
        0,
        1,
    )


def test_a_pair_is_two_runs_of_one_seed_and_one_cell():
    """Runs without a partner, cells of one scheme alone and unmarked twins are left out; columns
    may lack values.
    """
    runs = [("new label", 0.1, 0.01, k, 0.5 + k / 100) for k in (9, 3, 4, 5, 6, 7, 8)]
    runs += [
        ("wrong label", 0.1, 0.01, k, 0.4 + k / 100 if k != 9 else None)
        for k in (3, 9, 8, 7, 6, 5, 4, 1, 2)
    ]
    runs += [
        ("new label", 0.2, 0.01, 3, 0.9),
        ("wrong label", 0.1, 0.02, 3, 0.9),
        ("unmarked", 0, 0, 3, 0.99),
    ]
    (made,) = records.paired(table_of(*runs), "clean_accuracy").to_dict("records")
    assert (made["alpha"], made["beta"], made["pairs"]) == (0.1, 0.01, 6)
    assert made["mean"] == pytest.approx(0.1, abs=1e-12) and made["deviation"] == pytest.approx(
        0, abs=1e-12
    )
    assert len(records.paired(table_of(*runs[-3:]), "clean_accuracy")) == 0


def test_each_cell_is_compared_on_its_own():
    cells = [(alpha, beta) for alpha in (0.01, 0.1) for beta in (0.001, 0.01)]
    table = invented(7, cells=cells)
    made = records.paired(table, "clean_accuracy")
    assert list(zip(made.alpha, made.beta, strict=True)) == cells
    for row, (alpha, beta) in zip(made.to_dict("records"), cells, strict=True):
        alone = records.paired(
            table[(table.alpha == alpha) & (table.beta == beta)], "clean_accuracy"
        )
        assert row == alone.to_dict("records")[0]


def test_two_runs_of_one_seed_make_no_pair():
    table = invented(6)
    with pytest.raises(
        ValueError, match="a pair is one run of each scheme .*choose one recipe and one experiment"
    ):
        records.paired(pd.concat([table, table[3:4]]), "clean_accuracy")


def test_the_test_of_pairs_is_as_often_wrong_as_its_level_says():
    """With 8 pairs p takes 128 values; without a difference it is at most 12/256 with probability
    12/256.
    """
    trials, level = 1000, 12 / 256
    made = records.paired(
        invented(8, 1, [(alpha, 0.01) for alpha in range(trials)]), "clean_accuracy"
    )
    assert len(made) == trials
    false = np.mean(made.p <= level + 1e-9)
    assert abs(false - level) / np.sqrt(level * (1 - level) / trials) <= 4.5
    covered = np.mean((made.low < 0) & (0 < made.high))
    assert abs(covered - 0.95) / np.sqrt(0.95 * 0.05 / trials) <= 4.5


@pytest.mark.parametrize(
    "size, pairs, level, known",
    [
        (0.5, 34, 0.05, 0.8077775),
        (0.5, 20, 0.05, 0.5645044),
        (0.2, 199, 0.05, 0.8016910),
        (0.8, 15, 0.05, 0.8213105),
        (0, 10, 0.05, 0.05),
        (0, 10, 0.01, 0.01),
        (5, 6, 0.05, 1),
        (100, 1000, 0.05, 1),
    ],
)
def test_power_has_its_known_values(size, pairs, level, known):
    for mean, deviation in ((size, 1), (-size, 1), (size / 100, 1 / 100)):
        assert records.power(mean, deviation, pairs, level) == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize("size, pairs", [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_power_gives_cohens_numbers_of_pairs_for_80_percent(size, pairs):
    enough = records.power(size, 1, np.arange(2, 300)) >= 0.8
    assert np.arange(2, 300)[enough][0] == pairs and enough[pairs - 2 :].all()


@pytest.mark.parametrize("pairs", [3, 6, 12, 40])
@pytest.mark.parametrize(
    "mean, deviation, level",
    [(0.3, 0.5, 0.05), (-0.02, 0.02, 0.01), (1.5, 1, 0.05), (0.001, 1, 0.2)],
)
def test_power_is_how_often_a_test_of_pairs_sees_it(pairs, mean, deviation, level):
    trials = 20_000
    differences = np.random.default_rng(pairs).normal(mean, deviation, (trials, pairs))
    seen = np.mean(stats.ttest_1samp(differences, 0, axis=1).pvalue <= level)
    power = records.power(mean, deviation, pairs, level)
    assert abs(seen - power) <= 4.5 * np.sqrt(power * (1 - power) / trials)


def test_power_is_a_number_far_out_too():
    powers = records.power(
        np.geomspace(1e-3, 1e3, 200)[:, None], 1, np.array([2, 3, 6, 10, 30, 100, 1000])
    )
    assert ((powers >= 0.05) & (powers <= 1)).all()
    assert (np.diff(powers, axis=0) >= -1e-12).all() and (np.diff(powers, axis=1) >= -1e-12).all()


def errors_of(labels, truth):
    """The field `errors` of a network that gives the test images these labels."""
    return " ".join(
        f"{i}:{label}"
        for i, (label, right) in enumerate(zip(labels, truth, strict=True))
        if label != right
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40
    )
)
def test_churn_is_the_share_of_images_with_different_labels(images):
    truth, labels, others = zip(*images, strict=True)
    expected = np.mean(np.array(labels) != np.array(others))
    one, two = errors_of(labels, truth), errors_of(others, truth)
    assert (
        records.churn(one, two, len(images))
        == records.churn(two, one, len(images))
        == pytest.approx(expected, abs=1e-12)
    )
    assert records.churn(one, one, len(images)) == 0


def test_churn_of_shipped_and_reread_mistakes(results):
    table = records.load("toy").set_index("seed")
    assert records.churn(table.errors[0], table.errors[2], 1000) == 0.002
    assert records.churn(table.errors[1], table.errors[2], 1000) == 0.001
    assert records.churn(table.errors[1], table.errors[4], 1000) == 0.001, (
        "both wrong, but not in the same way"
    )
    assert records.churn(table.errors[0], table.errors[0], 1000) == 0
