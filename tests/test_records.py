"""Records: names, files of finished runs, their way into the tables, and the tables that ship."""

import copy
import errno
import json
import os
import pathlib
import random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmlab import records as library
from wmlab import runtime
from wmlab.tools import records
from wmlab.tools.records import NEWER, RESULTS, SETTINGS, TABLES

SHIPPED = runtime.data_dir() / "results"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.csv"))
EXPERIMENTS = [name for name in NAMES if not name.endswith(("_curves", "_attacks"))]


def record(**changes):
    """The record of an invented run."""
    text = {"experiment": "toy", "dataset": "mnist", "scheme": "new label", "kind": "fresh"}
    text |= {
        "reading": "variance",
        "network": "dense",
        "until": "steps",
        "dataset_sha256": "ab" * 32,
    }
    counts = {"target": 0, "decoys": 0, "seed": 0, "epochs": 2, "batch": 64, "n_train": 4000}
    counts |= {"n_test": 1000, "n_keys": 400, "n_fresh": 900, "epochs_run": 2, "queries": 1}
    shares = {"alpha": 0.1, "beta": 0.01, "learning_rate": 0.001, "clean_accuracy": 0.9812}
    shares |= {"fresh_key_accuracy": 1 / 3, "embedded_key_accuracy": 0.99, "noisy_accuracy": 0.95}
    epoch = {"loss": 0.5, "clean_accuracy": 0.9, "fresh_key_accuracy": 0.1, "seconds": 0.7}
    epoch["embedded_key_accuracy"] = float("nan")
    history = [epoch | {"epoch": 1}, epoch | {"epoch": 2, "loss": float("inf")}]
    rest = {"decay": False, "key_label_rate_clean": 0.0, "errors": "7:9 12:10 999:0"}
    rest |= {"decision": "marked", "seconds": 1.5, "device": "a CPU", "versions": "keras 3, b"}
    made = text | counts | shares | rest | {"history": history}
    assert set(made) == {*SETTINGS, *RESULTS, "history"}
    return made | changes


ATTACK = {
    "attack": "pruning, per layer",
    "strength": 0.5,
    "epochs": 0,
    "images": 0,
    "seconds": 0.1,
    "clean_accuracy": 0.9,
    "fresh_key_accuracy": 0.5,
    "key_label_rate_clean": 0.0,
    "true_label_rate": 0.5,
    "decision": None,
    "queries": 40,
}
RUNS = [
    record(scheme=scheme, seed=seed, alpha=alpha, attacks=[ATTACK, ATTACK | {"strength": None}])
    for scheme in ("wrong label", "new label")
    for seed in (0, 1, 10, 2)
    for alpha in (0.1, 0.05)
]


@pytest.fixture
def places(tmp_path):
    """Folders of the tables and of the files."""
    return tmp_path / "results", tmp_path / "runs"


def merged(runs, places, experiment="toy"):
    for run in runs:
        records.write(run, places[1])
    return records.merge(experiment, *places)


def tables(results):
    return {path.name: path.read_bytes() for path in sorted(results.iterdir())}


def test_settings_decide_the_name_and_results_do_not():
    plain = records.name(record())
    assert len(plain) == 16 and plain == records.name(dict(reversed(record().items())))
    others = [records.name(record(**{field: "another"})) for field in (*SETTINGS, *NEWER)]
    assert len({plain, *others}) == 1 + len(SETTINGS) + len(NEWER)
    for field in (*RESULTS, "history", "attacks", "answers", "computed_in"):
        assert records.name(record(**{field: "another"})) == plain, field
    assert records.name(record(**dict.fromkeys(NEWER))) == plain, "an empty cell of a table"


def test_a_file_comes_back_from_the_tables_as_it_was(places):
    made = record(optimizer="muon", attacks=[ATTACK], answers="0.01: 3 10")
    before = copy.deepcopy(made)
    path = records.write(made, places[1])
    assert path == places[1] / "toy" / f"{records.name(made)}.json"
    assert str(made) == str(before), "writing changed the record"
    text = path.read_text()
    assert "NaN" not in text and json.loads(text) == records.read_file(path)
    assert records.merge("toy", *places) == {path.stem}
    stored = json.loads(text)
    assert [row["loss"] for row in stored["history"]] == [0.5, None]
    about = {"run": path.stem} | {key: made[key] for key in records.ABOUT}
    for end, (part, _) in TABLES.items():
        rows = records.read_table(places[0] / f"toy{end}.csv")
        if part:
            assert rows == [about | row for row in stored[part]]
        else:
            (row,) = rows
            settings = {key: stored[key] for key in stored if key not in ("history", "attacks")}
            assert row == {"run": path.stem} | settings
            assert [type(row[key]) for key in settings] == [type(settings[key]) for key in settings]


@given(
    st.floats(0, 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.one_of(st.none(), st.integers(0, 2**53)),
    st.sampled_from(["", "3:1", None]),
    st.booleans(),
)
def test_a_cell_keeps_every_digit(tmp_path_factory, share, number, count, errors, switch):
    places = tmp_path_factory.mktemp("a") / "results", tmp_path_factory.mktemp("b")
    made = record(alpha=share, learning_rate=number, target=count, decay=switch, errors=errors)
    made["clean_accuracy"] = 1.0 if errors == "" else 0.5
    (run,) = merged([made], places)
    (row,) = records.read_table(places[0] / "toy.csv")
    assert records.name(row) == run and row["errors"] == errors
    assert repr([row[key] for key in SETTINGS]) == repr([made[key] for key in SETTINGS])


def test_tables_are_the_same_bytes_whatever_the_order(places, tmp_path):
    merged(RUNS, places)
    shuffled = random.Random(0).sample(RUNS, len(RUNS))
    other = tmp_path / "other", tmp_path / "others"
    for part in (shuffled[:3], shuffled[3:4] + shuffled[:2], shuffled[4:], []):
        merged(part, other)  # some twice, some parts empty
    assert tables(places[0]) == tables(other[0])
    assert list(tables(places[0])) == ["toy.csv", "toy_attacks.csv", "toy_curves.csv"]
    rows = records.read_table(places[0] / "toy.csv")
    order = [(row["scheme"], row["alpha"], row["seed"]) for row in rows]
    assert order == sorted((run["scheme"], run["alpha"], run["seed"]) for run in RUNS)
    assert b"\r" not in b"".join(tables(places[0]).values())
    assert len(list(other[1].glob("toy/*.json"))) == len(RUNS), "files stay"


def test_columns_that_only_some_runs_have(places):
    merged([record(), record(seed=1, optimizer="muon")], places)
    header = (places[0] / "toy.csv").read_text().splitlines()[0].split(",")
    assert header == ["run", *SETTINGS, *RESULTS, "optimizer"]
    assert not (places[0] / "toy_attacks.csv").exists()
    assert records.merge("nothing", *places) == set() and len(tables(places[0])) == 2


def test_a_run_on_record_stays_and_a_deleted_row_can_be_run_again(places):
    merged([record(queries=1), record(seed=1)], places)
    before = tables(places[0])
    merged([record(queries=2)], places)
    assert tables(places[0]) == before
    lines = (places[0] / "toy.csv").read_text().splitlines(keepends=True)
    (places[0] / "toy.csv").write_text("".join(line for line in lines if ",0,0,dense" not in line))
    assert len(merged([record(queries=3)], places)) == 2  # its file is another now
    assert [row["queries"] for row in records.read_table(places[0] / "toy.csv")] == [3, 1]
    assert len(records.read_table(places[0] / "toy_curves.csv")) == 4, "its old epochs stayed"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
def test_stopped_at_any_moment_nothing_is_lost(places, tmp_path, monkeypatch, error):
    """Each file is moved into place by os.replace: stop before, or after, each of these moments."""
    merged(RUNS[:4], whole := (tmp_path / "whole", tmp_path / "w"))
    replace = os.replace
    for moment in range(1, 30):
        results, runs = places = tmp_path / f"{moment}", tmp_path / f"{moment} runs"
        merged(RUNS[:1], places)
        for run in RUNS[1:4]:
            records.write(run, runs)
        moves = iter(range(1, 100))

        def stop(*paths, moves=moves, moment=moment):
            step = next(moves)
            if 2 * step > moment + 1:
                raise error
            replace(*paths)
            if 2 * step == moment + 1:
                raise error

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", stop)
            try:
                records.merge("toy", *places)
            except (KeyboardInterrupt, OSError):
                pass
            else:
                break
        assert len(records.merge("toy", *places)) == 4 and tables(results) == tables(whole[0])
    assert moment >= 6, "it never was stopped"


def test_two_sweeps_at_once_lose_nothing(places, monkeypatch):
    """One reads the tables, the other writes them, the first overwrites what the other wrote."""
    merged(RUNS[:1], places)
    records.write(RUNS[1], places[1])
    read, others = records.read_table, [RUNS[2]]

    def late(path):
        rows = read(path)
        if others and path.name == "toy.csv":
            merged([others.pop()], places)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(records, "read_table", late)
        records.merge("toy", *places)
    assert len(records.merge("toy", *places)) == 3 == len(read(places[0] / "toy.csv"))
    assert len(read(places[0] / "toy_curves.csv")) == 6


def test_what_is_no_record_is_refused_before_it_is_written(places):
    for field in (*SETTINGS, *RESULTS, "history"):
        made = record()
        del made[field]
        with pytest.raises(ValueError, match=f"{field} is missing"):
            records.write(made, places[1])
    for field, values in {
        "alpha": [2, -0.1, "0.1"],
        "clean_accuracy": [1.01, True],
        "seed": [1.5, -1],
        "n_keys": [[400], 2.0],
        "dataset_sha256": ["ab" * 31, "AB" * 32, None],
        "decay": ["no", 0, None],
        "scheme": [None, 3, ""],
        "decision": ["perhaps"],
        "errors": ["7:9 12", "7:9, 12:1", 7],
        "answers": ["1 2 3", "0.01:", "0.01: 1,2", "0.01: -1 2", "β: 1 2", 5],
        "seconds": ["long", float("inf")],
        "colour": ["blue"],
    }.items():
        for value in values:
            with pytest.raises(ValueError, match=f"this record: {field} is "):
                records.write(record(**{field: value}), places[1])
    for part, field, value in [("history", "loss", "low"), ("attacks", "clean_accuracy", 2)]:
        made = copy.deepcopy(record(attacks=[dict(ATTACK)]))
        made[part][-1][field] = value
        with pytest.raises(ValueError, match=f"this record, {part}: {field} is {value!r}"):
            records.write(made, places[1])
    assert not places[1].exists()


def test_a_spoilt_file_or_row_is_named_and_nothing_is_written(places):
    merged(RUNS[:2], places)
    before = tables(places[0])
    path = records.write(record(seed=5), places[1])
    text = path.read_text()
    for spoilt in (
        text[: len(text) // 2],
        "",
        "[]",
        "null",
        text.replace('"seed": 5', '"seed": 6'),
    ):
        path.write_text(spoilt)
        with pytest.raises(ValueError, match=f"{path} cannot be read .*delete it to run it again"):
            records.merge("toy", *places)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=f"{path} cannot be read"):
        records.merge("toy", *places)
    path.write_text(text)
    table = places[0] / "toy.csv"
    lines = table.read_text().splitlines(keepends=True)
    for spoilt in (lines[2].replace("0.9812", "1.9812"), lines[2][:60] + "\n", "a,b\n"):
        table.write_text("".join([*lines[:2], spoilt]))
        with pytest.raises(ValueError, match=f"{table}, line 3: .* Restore it"):
            records.merge("toy", *places)
    table.write_bytes(before["toy.csv"])
    assert tables(places[0]) == before and len(records.merge("toy", *places)) == 3


def test_a_full_disk_leaves_the_old_file_and_nothing_else(places, monkeypatch):
    write = pathlib.Path.write_text

    def fails(self, text, **options):
        write(self, text[: len(text) // 2], **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    for old in (False, True):
        before = [records.write(record(queries=1), places[1]).read_bytes()] if old else []
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "write_text", fails)
            with pytest.raises(OSError, match="The disk is full"):
                records.write(record(queries=2), places[1])
        assert [path.read_bytes() for path in (places[1] / "toy").iterdir()] == before


def test_the_library_reads_a_table(places):
    made = record(clean_accuracy=1.0, errors="", fresh_key_accuracy=0.1 + 0.2)
    merged([made, record(seed=1, errors=None), record(seed=2)], places)
    table = library.load("toy", places[0])
    assert table["errors"].isna().tolist() == [False, True, False] and table["errors"][0] == ""
    assert (
        table["fresh_key_accuracy"][0] == 0.1 + 0.2
        and len(library.load("toy_curves", places[0])) == 6
    )
    with pytest.raises(
        ValueError, match="no results called 'three' in .*: there are toy, toy_curves"
    ):
        library.load("three", places[0])
    with pytest.raises(ValueError, match="'three' .* fig3_mnist_curves"):
        library.load("three")


def test_tables_that_ship_hold_whole_records_named_by_their_settings(tmp_path):
    """Every row is checked; its name is computed anew; nothing is missing, and order is kept."""
    assert len(EXPERIMENTS) >= 19 and {f"{name}_curves" for name in EXPERIMENTS} <= set(NAMES)
    count = 0
    for experiment in EXPERIMENTS:
        runs = {row["run"]: row for row in records.read_table(SHIPPED / f"{experiment}.csv")}
        count += len(runs)
        assert [run for run, row in runs.items() if records.name(row) != run] == [], experiment
        for end, (_, columns) in TABLES.items():
            path = SHIPPED / f"{experiment}{end}.csv"
            rows = records.read_table(path)
            if rows:
                records._write_table(tmp_path / path.name, rows, columns)
                assert (tmp_path / path.name).read_bytes() == path.read_bytes()
            for row in rows:
                about = {key: runs[row["run"]][key] for key in records.ABOUT}
                assert about == {key: row[key] for key in records.ABOUT}, f"{path}: {row}"
        epochs = pd.DataFrame(records.read_table(SHIPPED / f"{experiment}_curves.csv"))
        counted = epochs.groupby("run").epoch.agg(list).to_dict()
        for run, row in runs.items():
            assert counted[run] == list(range(1, row["epochs_run"] + 1)), f"{experiment}: {run}"
    assert count >= 904


def test_shipped_tables_are_read_as_they_are_written():
    for name in NAMES:
        table = library.load(name)
        columns = next(TABLES[end][1] for end in TABLES if name.endswith(end))
        more = list(records.OPTIONAL) if name in EXPERIMENTS else ["p_value"]
        assert list(table.columns) == columns + [field for field in more if field in table], name
        if name in EXPERIMENTS:
            assert table.run.is_unique and not table.empty
