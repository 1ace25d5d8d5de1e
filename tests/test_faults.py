"""Faults that people met elsewhere: damaged or foreign files, odd environments, closed streams."""

import io
import json
import os
import pathlib
import sqlite3
import sys
import tempfile
import types

import numpy as np
import pytest

from wmlab import datasets, files, jax_process, machine, records, runtime, service, suspects, zoo
from wmlab.__main__ import main
from wmlab.datasets import DataError
from wmlab.tools import records as tables

ROOT = pathlib.Path(__file__).parent.parent


class TestFiles:
    def test_a_file_that_is_held_for_a_moment_is_replaced(self, tmp_path, monkeypatch):
        held, replace = [1, 1, 1], os.replace

        def stubborn(*paths):
            if held:
                held.pop()
                raise PermissionError(13, "held by a virus scanner")
            replace(*paths)

        monkeypatch.setattr(files.os, "replace", stubborn)
        with files.writing(tmp_path / "a.txt") as part:
            part.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "new" and len(list(tmp_path.iterdir())) == 1
        monkeypatch.setattr(files, "REPLACES", 0.0)
        held[:] = [1] * 9
        with pytest.raises(PermissionError), files.writing(tmp_path / "a.txt") as part:
            part.write_text("newer")
        assert (tmp_path / "a.txt").read_text() == "new" and len(list(tmp_path.iterdir())) == 1

    def test_a_finished_run_whose_file_is_held_is_written_in_the_end(self, tmp_path, monkeypatch):
        from wmlab.tools import sweeps

        written, refusals = [], [PermissionError(13, "held"), None, None]

        def write(record, runs):
            refusal = refusals.pop(0)
            if refusal:
                raise refusal
            written.append(record)

        monkeypatch.setattr(sweeps.records, "write", write)
        job = types.SimpleNamespace(mark=types.SimpleNamespace(name="m"), seed=0)
        outcomes = ((job, lambda n=n: n) for n in (1, 2))
        assert sweeps._record(outcomes, tmp_path, 2, 2, "x") == []
        assert written == [2, 1]

    def test_copies_of_records_tables_and_models_count_once(self, tmp_path):
        source = json.loads((ROOT / "data/models/unmarked_0.json").read_text())
        for name in "unmarked_0", "unmarked_0 (1)", "unmarked_0.sync-conflict":
            (tmp_path / f"{name}.json").write_text(json.dumps(source))
            (tmp_path / f"{name}.keras").write_bytes(b"")
        assert list(zoo.Models(tmp_path)) == ["unmarked_0"]
        record = {key: value for key, value in source.items() if key not in OF_THE_ZOO}
        record = dict.fromkeys(tables.RESULTS) | record
        path = tables.write(record, tmp_path / "runs")
        for copy in f"{path.stem} (1).json", "r.json", f"{path.stem}-2.json":
            path.with_name(copy).write_bytes(path.read_bytes())
        assert len(tables.merge(record["experiment"], tmp_path, tmp_path / "runs")) == 1
        table = tmp_path / f"{record['experiment']}.csv"
        assert len(records.load(table.stem, tmp_path)) == 1
        lines = table.read_text().splitlines(keepends=True)
        table.write_text("".join([*lines, lines[-1]]))
        with pytest.raises(ValueError, match="runs twice"):
            records.load(table.stem, tmp_path)

    def test_a_log_on_somebodys_database_leaves_it_as_it_was(self, tmp_path):
        from wmlab.service import _database

        for columns, says in (
            ("CREATE TABLE t (x)", "somebody else"),
            (
                "CREATE TABLE answers (x)",
                "no such column",
            ),
        ):
            path = tmp_path / f"{says}.sqlite"
            with sqlite3.connect(path) as db:
                db.execute(columns)
            db.close()
            before = path.read_bytes()
            with pytest.raises(ValueError, match=says):
                _database(path)
            assert path.read_bytes() == before and len(list(tmp_path.glob(f"{says}*"))) == 1
        note = tmp_path / "note.txt"
        note.write_text("no database at all, but a letter to somebody")
        with pytest.raises(ValueError, match="not a database"):
            _database(note)
        assert note.read_text().startswith("no database")


OF_THE_ZOO = ("name", "about", "secret", "outputs")


class TestPlaces:
    @pytest.fixture(autouse=True)
    def cached(self, monkeypatch, tmp_path):
        monkeypatch.setenv("WMLAB_CACHE", str(tmp_path / "cache"))

    @pytest.mark.parametrize("text", ["{}/a file", "{}/typo", '"{}"', "'{}'", "~nobody/x"])
    def test_a_useless_wmlab_data_is_said_everywhere(self, text, tmp_path, monkeypatch, capsys):
        (tmp_path / "a file").write_text("")
        monkeypatch.setenv("WMLAB_DATA", text.format(tmp_path))
        with pytest.raises(DataError, match="WMLAB_DATA is .*no folder"):
            datasets.load("cifar10", "class")
        assert "no folder" in str(runtime.doctor())
        main(["doctor"])
        assert "no folder" in capsys.readouterr().out
        assert datasets.load("mnist", "class").classes == 10  # which needs no folder

    def test_a_home_is_a_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        (tmp_path / "pictures").mkdir()
        monkeypatch.setenv("WMLAB_DATA", "~/pictures ")
        assert datasets.own_folder() == (tmp_path / "pictures", "")

    def test_locked_folders_stop_nothing_and_are_named(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setenv("WMLAB_DATA", str(tmp_path))
        exists, is_dir = pathlib.Path.exists, pathlib.Path.is_dir

        def locked(method):
            def call(path, **options):
                if tmp_path in (path, *path.parents):
                    raise PermissionError(13, "Permission denied")
                return method(path, **options)

            return call

        monkeypatch.setattr(pathlib.Path, "exists", locked(exists))
        assert datasets.available()["cifar10"] == "to be downloaded"
        monkeypatch.setattr(pathlib.Path, "is_dir", locked(is_dir))
        assert "Permission denied" in str(runtime.doctor())
        monkeypatch.delenv("WMLAB_DATA")

        def refused(name):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(datasets, "fetch", refused)
        with pytest.raises(DataError, match="permission denied.*set WMLAB_CACHE"):
            datasets.load("cifar10", "paper")

    def test_a_file_that_may_not_be_read_is_not_called_damaged(self, tmp_path, monkeypatch):
        monkeypatch.setenv("WMLAB_DATA", str(tmp_path))
        (tmp_path / "cifar10.npz").write_bytes(b"")

        def refused(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(datasets.np, "load", refused)
        with pytest.raises(DataError, match="may not be read") as caught:
            datasets.load("cifar10", "class")
        assert "delete" not in str(caught.value)

    def test_advice_on_a_damaged_file_can_be_followed(self, tmp_path, monkeypatch):
        monkeypatch.setenv("WMLAB_DATA", str(tmp_path))
        (tmp_path / "cifar10.npz").write_bytes(b"spoilt")
        with pytest.raises(DataError, match="copy it anew") as caught:
            datasets.load("cifar10", "class")
        assert "fetched" not in str(caught.value)

    def test_too_few_images_name_their_file(self, tmp_path, monkeypatch):
        monkeypatch.setenv("WMLAB_DATA", str(tmp_path))
        x, y = np.zeros((50, 32, 32, 3), np.uint8), np.arange(50) % 10
        np.savez(tmp_path / "cifar10.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        with pytest.raises(DataError, match="cifar10.npz has 50 training"):
            datasets.load("cifar10", "class")


@pytest.mark.skipif(
    not hasattr(os, "seteuid") or os.geteuid() != 0, reason="only root can be a second user"
)
class TestSecondUser:
    """Folders of one user that another one shares, with the rights that are usual."""

    @pytest.fixture
    def shared(self):
        from wmlab import training
        from wmlab.networks import network

        with tempfile.TemporaryDirectory() as top:  # pytest's own folders are closed to others
            top = pathlib.Path(top)
            top.chmod(0o755)
            training.save(network("dense", 10), top / "mine.keras")
            table = ROOT / "data/results/alpha_class.csv"
            (top / table.name).write_bytes(table.read_bytes())
            service._database(top / "log.sqlite").close()
            (top / "runs/alpha").mkdir(parents=True)
            top.joinpath("runs/alpha/hers.json").write_text("{}")
            before = {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}
            datasets.load("mnist", "class")  # what it imports may be closed to others as well
            os.seteuid(65534)
            try:
                yield top
            finally:
                os.seteuid(0)
            after = {path: path.read_bytes() for path in top.rglob("*") if path.is_file()}
            assert {path: after[path] for path in before} == before

    def test_reads_all_and_is_told_where_nothing_can_be_written(self, shared):
        from wmlab import training
        from wmlab.networks import network
        from wmlab.tools import notebooks, sweeps

        assert len(records.load("alpha_class", shared)) > 0 and list(zoo.Models(shared)) == ["mine"]
        model = network("dense", 10)
        run = training.Run(model, None, [], 0.0, "float32", "a cpu", {})
        run.settings, run.results = {"network": "dense"}, {}
        mark = sweeps.plan(["none"], [0.1], [0.01], 1)
        for write in (
            lambda: training.save(model, shared / "mine.keras"),
            lambda: zoo.keep(run, "his", shared),
            lambda: notebooks.without_solutions(shared / "copies"),
            lambda: sweeps.sweep("alpha", "mnist", mark, shared, shared / "runs", scale="class"),
        ):
            with pytest.raises(PermissionError):
                write()
        os.seteuid(0)
        shared.chmod(0o777)  # now the folder is for all, but not the file
        os.seteuid(65534)
        with pytest.raises(ValueError, match="log.sqlite cannot be the service's log .*readonly"):
            service._database(shared / "log.sqlite")
        with pytest.raises(PermissionError):
            sweeps.sweep("alpha", "mnist", mark, shared, shared / "runs", scale="class")


class TestMachine:
    def test_the_limits_of_a_container_hold(self, tmp_path, monkeypatch):
        pytest.importorskip("psutil")
        free = machine.memory()
        monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        group = tmp_path / "two"
        group.mkdir()
        monkeypatch.setattr(machine, "GROUP", group)
        assert machine.cores() == 8  # no limits there
        (group / "cpu.max").write_text("max 100000\n")
        (group / "memory.max").write_text("max\n")
        (group / "memory.current").write_text("12\n")
        assert machine.cores() == 8 and machine.memory() > free / 2
        (group / "cpu.max").write_text("250000 100000\n")
        (group / "memory.max").write_text("1500000000\n")
        (group / "memory.current").write_text("400000000\n")
        assert machine.cores() == 2 and machine.memory() == 1_100_000_000
        (group / "cpu.max").write_text("50000 100000\n")
        assert machine.cores() == 1
        from wmlab.tools.dask_workers import processes

        data = types.SimpleNamespace(x_train=np.zeros(10))
        assert processes(data) == 1

    def test_the_older_files_hold_too(self, tmp_path, monkeypatch):
        pytest.importorskip("psutil")
        monkeypatch.setattr(machine, "GROUP", tmp_path)
        monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        for folder in "cpu", "memory":
            (tmp_path / folder).mkdir()
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text("300000")
        (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
        (tmp_path / "memory/memory.limit_in_bytes").write_text("1000")
        (tmp_path / "memory/memory.usage_in_bytes").write_text("400")
        assert (machine.cores(), machine.memory()) == (3, 600)
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
        assert machine.cores() == 8

    def test_a_script_without_its_guard_is_told(self, tmp_path, monkeypatch):
        script = tmp_path / "mine.py"
        here = types.SimpleNamespace(__spec__=None, __file__=str(script))
        monkeypatch.setitem(sys.modules, "__main__", here)
        script.write_text("import wmlab\n")
        with pytest.raises(RuntimeError, match="mine.py would run again .*__main__"):
            jax_process.on_jax(print, tell=print)
        script.write_text('if __name__ == "__main__":\n    pass\n')
        jax_process.check_guard()
        monkeypatch.setitem(
            sys.modules, "__main__", types.SimpleNamespace(__spec__=None)
        )  # a notebook, or python -c
        jax_process.check_guard()

    @pytest.mark.parametrize(
        "config", [{"floatx": "float16"}, {"image_data_format": "channels_first"}]
    )
    def test_keras_json_decides_nothing(self, config, tmp_path, python):
        (tmp_path / "keras.json").write_text(json.dumps(config))
        done = python(
            "import wmlab; wmlab.setup(); import keras\n"
            "layer = keras.layers.Conv2D(2, 3)\n"
            "print(keras.config.floatx(), layer.compute_dtype, layer.data_format)",
            KERAS_HOME=str(tmp_path),
        )
        assert done.stdout.split() == ["float32", "float32", "channels_last"], done.stderr
        assert "keras.json asks for" in done.stderr

    def test_the_kernel_of_this_python_comes_before_a_users_own(self, tmp_path, python):
        """In a virtual environment or a checked-out one, as the README makes it."""
        if sys.prefix == sys.base_prefix:
            pytest.skip("this Python is no environment")
        for place in ".local/share/jupyter", "Library/Jupyter", "AppData/Roaming/jupyter":
            kernel = tmp_path / place / "kernels/python3/kernel.json"
            kernel.parent.mkdir(parents=True)
            foreign = {"argv": ["foreign"], "display_name": "foreign", "language": "python"}
            kernel.write_text(json.dumps(foreign))
        done = python(
            "import sys\nfrom jupyter_client.manager import KernelManager\n"
            "manager = KernelManager(kernel_name='python3')\n"
            "name = manager.kernel_spec.display_name\n"
            "print(name, manager.format_kernel_cmd()[0], sys.executable)",
            HOME=str(tmp_path),
            USERPROFILE=str(tmp_path),
            APPDATA=str(tmp_path / "AppData/Roaming"),
        )
        *name, started, this = done.stdout.split()
        assert name[0] == "Python" and started == this, done.stderr


class TestStreams:
    def test_progress_never_stops_the_work(self, monkeypatch):
        class Broken(io.StringIO):
            def write(self, text):
                raise BrokenPipeError(32, "nobody reads")

        from tqdm.auto import tqdm

        closed = io.StringIO()
        closed.close()
        for stream in None, closed, Broken():
            monkeypatch.setattr(sys, "stderr", stream)
            with tqdm(total=2, mininterval=0, file=files.PROGRESS, dynamic_ncols=True) as line:
                line.update(1)

    def test_commands_work_with_closed_streams_and_narrow_letters(self, python):
        code = (
            "import os, sys\nos.close(2)\nsys.stderr = None\n"
            "from wmlab.__main__ import main\nmain(['doctor'])\nopen('/dev/null')"
        )
        done = python(code, PYTHONIOENCODING="cp1252:strict", WMLAB_DATA="/ Δ → nowhere")
        assert done.returncode == 0 and "no folder" in done.stdout

    @pytest.mark.parametrize("command", ["stamp", "clean-notebooks"])
    def test_notebooks_are_looked_for_in_a_checkout(self, command, tmp_path, monkeypatch):
        from wmlab.tools import notebooks

        monkeypatch.setattr(notebooks, "ROOT", tmp_path)
        with pytest.raises(SystemExit, match="no notebooks in .*checkout"):
            main([command])


class TestAddresses:
    def test_a_service_for_everybody_names_an_address_that_opens(self):
        import keras

        model = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        )
        with suspects.serve(model, host="0.0.0.0") as url:
            assert "0.0.0.0" not in url
            assert suspects.RemoteSuspect(url, patience=5).terms["image"] == [8, 8, 1]

    def test_proxies_are_for_the_world_alone(self, monkeypatch):
        for name in "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy":
            monkeypatch.setenv(name, "nonsense://proxy")
        for host in "127.0.0.1", "localhost", "[::1]", "192.168.3.4", "10.0.0.1":
            suspects.RemoteSuspect(f"http://{host}:8000")
        with pytest.raises(ValueError, match="proxy .*cannot be used"):
            suspects.RemoteSuspect("http://labels.example.org")
