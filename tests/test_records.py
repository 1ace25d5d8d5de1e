import copy
import errno
import json
import pathlib
import random

import numpy as np
import pytest
from scipy import stats

from wmlab import records, runtime
from wmlab.records import RESULTS, SETTINGS


def record(**changes):
    """A complete record of an invented run."""
    made = {
        "experiment": "toy", "dataset": "mnist", "dataset_sha256": "ab" * 32, "scheme": "new label", "alpha": 0.1,
        "beta": 0.01, "kind": "fresh", "reading": "variance", "target": 0, "decoys": 0, "seed": 0,
        "network": "dense", "epochs": 2, "batch": 64, "learning_rate": 0.001, "decay": False, "until": "steps",
        "n_train": 4000, "n_test": 1000, "n_keys": 400, "n_fresh": 900, "epochs_run": 2, "clean_accuracy": 0.9812,
        "fresh_key_accuracy": 1 / 3, "embedded_key_accuracy": 0.99, "key_label_rate_clean": 0.0, "decision": "marked",
        "queries": 1, "seconds": 1.5, "device": "a CPU", "versions": "keras 3",
        "history": [{"epoch": n, "loss": 0.5 / n, "clean_accuracy": 0.9, "fresh_key_accuracy": 0.1 * n,
                     "embedded_key_accuracy": float("nan"), "seconds": 0.7} for n in (1, 2)],
    }
    assert set(made) == {*SETTINGS, *RESULTS, "history"}
    return made | changes


RUNS = [record(scheme=scheme, seed=seed, alpha=alpha) for scheme in ("wrong label", "new label") for seed in (0, 1, 10, 2)
        for alpha in (0.1, 0.05)]


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
    assert [path.read_bytes() for path in records.export(tmp_path / "b", tmp_path / "results")] == first
    assert b"\r" not in b"".join(first)
    header, *rows = first[0].decode().splitlines()
    assert header.split(",") == [*SETTINGS, *RESULTS]
    at = [header.split(",").index(key) for key in ("scheme", "alpha", "seed")]
    keys = [(row.split(",")[at[0]], float(row.split(",")[at[1]]), int(row.split(",")[at[2]])) for row in rows]
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
    with pytest.raises(ValueError, match="no results called 'three': there are one, one_curves, two, two_curves"):
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
    assert read["fresh_key_accuracy"] == 1 / 3 and read["history"][0]["embedded_key_accuracy"] is None


def test_the_shipped_records_are_plain_json_named_by_their_settings():
    shipped = sorted((runtime.data_dir() / "results/runs").glob("*.json"))
    assert len(shipped) > 50
    for path in shipped:
        assert records.name(json.loads(path.read_text(), parse_constant=no_constant)) == path.name


def test_the_shipped_tables_are_exports_of_the_shipped_records(tmp_path):
    made = records.export(runtime.data_dir() / "results/runs", tmp_path)
    assert {path.name for path in made} == {path.name for path in (runtime.data_dir() / "results").glob("*.csv")}
    for path in made:
        assert path.read_bytes() == (runtime.data_dir() / "results" / path.name).read_bytes(), "run the sweep again"


@pytest.mark.parametrize("n", [2, 6, 50])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_interval_is_students(n, confidence):
    values = np.random.default_rng(n).normal(0.9, 0.02, n)
    low, high = stats.t.interval(confidence, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert records.interval(values, confidence) == pytest.approx((np.mean(values), low, high), abs=1e-12)


@pytest.mark.parametrize("n", [2, 6, 20])
def test_interval_covers_the_mean_as_often_as_it_says(n):
    rng, trials = np.random.default_rng(n), 5000
    _, low, high = np.array([records.interval(rng.normal(3, 2, n)) for _ in range(trials)]).T
    covered = np.mean((low < 3) & (3 < high))
    assert abs(covered - 0.95) / np.sqrt(0.95 * 0.05 / trials) <= 4.5


def test_interval_of_one_value_has_no_ends():
    mean, low, high = records.interval([0.7])
    assert mean == 0.7 and np.isnan(low) and np.isnan(high)
