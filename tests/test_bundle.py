"""The classroom without a network: what a bundle holds, what it refuses, and that it installs and runs with no network at all."""
import contextlib
import errno
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
import zipfile

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from wmlab import __main__, _bundle, _house, _start, runtime

ROOT = pathlib.Path(__file__).parent.parent
HERE = _start.here()
OTHER = "windows" if sys.platform != "win32" else "linux"
OTHER_TAG = _bundle.SYSTEMS[OTHER][1][0]
MY_TAG = next((tags[0] for name, tags in _bundle.SYSTEMS.values() if HERE.startswith(name)), "any")
needs_uv = pytest.mark.skipif(not importlib.util.find_spec("uv"), reason="uv is not installed")


def wheel(folder, name, version, requires=(), tag="py3-none-any"):
    """Write a wheel that has a name, needs and no code."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{re.sub(r'[-.]', '_', name)}-{version}"
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as file:
        file.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        file.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{stem}.dist-info/RECORD", "")


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index, as pip and uv ask for one, over a folder of files; it notes which files it gave away."""

    def do_GET(self):
        place, path = pathlib.Path(self.directory), self.path.partition("#")[0]
        if path.startswith("/simple/"):
            name = path.split("/")[2]
            files = [file.name for file in place.iterdir() if re.sub(r"[-_.]+", "-", file.name.split("-")[0]).lower() == name]
            page = "".join(f'<a href="/{file}">{file}</a>' for file in files).encode()
            self.send_response(200 if files else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
        else:
            self.server.given.append(path[1:])
            time.sleep(self.server.delay)
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index on this machine, the only one that pip and uv know: a server with `folder`, `given` and `delay`."""
    folder = tmp_path / "index"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Index, directory=str(folder)))
    server.folder, server.given, server.delay = folder, [], 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/simple"
    for name, value in {"PIP_INDEX_URL": address, "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "",
                        "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "5", "UV_DEFAULT_INDEX": address,
                        "UV_NO_CACHE": "1", "UV_NO_CONFIG": "1", "UV_HTTP_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WMLAB_DATA", raising=False)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def house(tmp_path, index):
    """A small checkout that needs one package everywhere, one on each system, and one of those for its laboratory."""
    root = tmp_path / "house"
    (root / "wmlab").mkdir(parents=True)
    (root / "wmlab" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "wmlab"\nversion = "0.1.0"\n'
        'dependencies = ["every.where>=1", "on-windows; sys_platform == \'win32\'", "on-others; sys_platform != \'win32\'"]\n'
        '[project.optional-dependencies]\nlab = ["lab"]\n')
    (root / "LICENSE").write_text("free")
    (root / "notebooks" / "images").mkdir(parents=True)
    (root / "notebooks" / "00_start_here.ipynb").write_text("{}")
    (root / "notebooks" / "images" / "a.png").write_bytes(b"png")
    (root / "notebooks" / ".ipynb_checkpoints").mkdir()
    (root / "notebooks" / ".ipynb_checkpoints" / "00.ipynb").write_text("old")
    python = "cp" + HERE.rsplit("-", 1)[1].replace(".", "")
    wheel(index.folder, "every.where", "1.2")
    wheel(index.folder, "lab", "3.0", ["nested"])
    for tag in MY_TAG, OTHER_TAG:
        wheel(index.folder, "nested", "0.1", tag=f"{python}-{python}-{tag}")
    wheel(index.folder, "on-windows", "1.0")
    wheel(index.folder, "on-others", "1.0")
    return root


def listed(dest, target=HERE):
    """{package: version} of a list in a bundle."""
    lines = (dest / "packages" / f"{target}.txt").read_text().splitlines()
    return dict(line.split()[0].split("==") for line in lines)


MINE = {"every-where": "1.2", "lab": "3.0", "nested": "0.1", "wmlab": "0.1.0",
        "on-windows" if sys.platform == "win32" else "on-others": "1.0"}


class TestBundle:
    def test_holds_all_that_is_needed(self, house, index, tmp_path, monkeypatch):
        (house / "html").mkdir()
        (house / "html" / "index.html").write_text("<p>pages")
        own = tmp_path / "own"
        own.mkdir()
        for name in "mnist.npz", "cifar10.npz", "holidays.jpg":
            (own / name).write_bytes(name.encode())
        monkeypatch.setenv("WMLAB_DATA", str(own))
        dest = tmp_path / "course"
        size = _bundle.bundle(dest, root=house)
        files = {file.relative_to(dest).as_posix() for file in dest.rglob("*") if file.is_file()}
        assert {name for name in files if not name.startswith("wheels/")} == {
            "READ_ME.txt", "start.py", "LICENSE", "bundle.json", f"packages/{HERE}.txt", "notebooks/00_start_here.ipynb",
            "notebooks/images/a.png", "html/index.html", "data/mnist.npz", "data/cifar10.npz"}
        assert listed(dest) == MINE and len(list((dest / "wheels").iterdir())) == len(MINE)
        assert size == sum(file.stat().st_size for file in dest.rglob("*") if file.is_file())
        assert HERE in (dest / "READ_ME.txt").read_text()
        assert (dest / "start.py").read_bytes() == pathlib.Path(_start.__file__).read_bytes()
        sums = {"{}=={}".format(*parse_wheel_filename(file.name)[:2]): hashlib.sha256(file.read_bytes()).hexdigest()
                for file in (dest / "wheels").iterdir()}
        lines = (dest / "packages" / f"{HERE}.txt").read_text().splitlines()  # pip compares them when it installs
        assert sorted(lines) == sorted(f"{pin} --hash=sha256:{digest}" for pin, digest in sums.items())
        assert not (tmp_path / "course.part").exists() and not (tmp_path / "course.old").exists()

    @needs_uv
    def test_other_systems_beside_this_one(self, house, tmp_path):
        python = HERE.rsplit("-", 1)[1]
        dest = tmp_path / "course"
        _bundle.bundle(dest, [OTHER], [python], root=house)
        theirs = f"{_bundle.SYSTEMS[OTHER][0]}-{python}"
        assert [file.stem for file in (dest / "packages").iterdir()] == [theirs]
        assert ("on-windows" in listed(dest, theirs)) == (OTHER == "windows") != ("on-others" in listed(dest, theirs))
        assert [file.name for file in (dest / "wheels").glob("nested*")] == [f"nested-0.1-{'cp' + python.replace('.', '')}-"
                                                                            f"{'cp' + python.replace('.', '')}-{OTHER_TAG}.whl"]

    def test_again_downloads_only_what_is_new(self, house, index, tmp_path):
        dest = tmp_path / "course"
        _bundle.bundle(dest, root=house)
        index.given.clear()
        wheel(index.folder, "every.where", "1.3")
        _bundle.bundle(dest, root=house)
        new = "every_where-1.3-py3-none-any.whl"
        assert listed(dest) == MINE | {"every-where": "1.3"}
        assert [file.name for file in (dest / "wheels").glob("every*")] == [new], "the old one would only weigh"
        given = {file.name: index.given.count(file.name) for file in (dest / "wheels").iterdir()}
        assert given.pop(new) == 2 and set(given.values()) == {0, 1}  # once to read what it needs, once to keep it; wmlab is built

    def test_a_killed_one_looks_unfinished_and_is_gone_on_with(self, house, index, tmp_path):
        dest, part = tmp_path / "course", tmp_path / "course.part"
        index.delay = 0.7
        code = f"from wmlab import _bundle; _bundle.bundle({str(dest)!r}, root={str(house)!r})"
        child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
        until = time.monotonic() + 60
        while not list((part / "wheels").glob("[!w]*.whl")):  # the first of several packages is there
            assert child.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert not dest.exists() and not (part / "bundle.json").exists() and not (part / "start.py").exists()
        index.delay, kept = 0, {file.name for file in (part / "wheels").glob("[!w]*.whl")}
        index.given.clear()
        _bundle.bundle(dest, root=house)
        assert listed(dest) == MINE and not part.exists()
        assert kept and all(index.given.count(name) <= 1 for name in kept)

    def test_without_wheel(self, house, index, tmp_path):
        """A package that has nothing but its source cannot be installed without a compiler, so none is taken."""
        (index.folder / "lab-3.0-py3-none-any.whl").rename(index.folder / "lab-3.0.tar.gz")
        with pytest.raises(_bundle.BundleError, match="could not get the packages: .* lab.* goes on"):
            _bundle.bundle(tmp_path / "course", root=house)
        assert not (tmp_path / "course").exists()


class TestRefuses:
    @pytest.mark.parametrize("there", ["file", "folder"])
    def test_what_is_no_bundle(self, house, index, tmp_path, there):
        dest = tmp_path / "theses"
        if there == "file":
            dest.write_text("mine")
        else:
            dest.mkdir()
            (dest / "mine.txt").write_text("mine")
        with pytest.raises(_bundle.BundleError, match="theses is there already and is no bundle: name a folder"):
            _bundle.bundle(dest, root=house)
        assert (dest if there == "file" else dest / "mine.txt").read_text() == "mine"
        assert index.given == []

    def test_an_empty_folder_is_taken(self, house, tmp_path):
        (tmp_path / "course").mkdir()
        _bundle.bundle(tmp_path / "course", root=house)
        assert listed(tmp_path / "course") == MINE

    @pytest.mark.parametrize("where", ["notebooks/00_start_here.ipynb", "notebooks/mine.ipynb", "venv/bin/python", "notes.txt"])
    def test_a_bundle_that_somebody_works_in(self, house, index, tmp_path, where):
        dest = tmp_path / "course"
        _bundle.bundle(dest, root=house)
        (dest / where).parent.mkdir(parents=True, exist_ok=True)
        (dest / where).write_text("hours of work")
        index.given.clear()
        with pytest.raises(_bundle.BundleError, match=rf"Somebody has worked in .*\({where.split('/')[0]}\): move it away"):
            _bundle.bundle(dest, root=house)
        assert (dest / where).read_text() == "hours of work" and index.given == []

    def test_an_installed_copy(self, tmp_path):
        with pytest.raises(_bundle.BundleError, match="from a checkout of the repository.*clone it first"):
            _bundle.bundle(tmp_path / "course", root=tmp_path)

    def test_no_network(self, house, index, tmp_path):
        index.shutdown()
        index.server_close()
        with pytest.raises(_bundle.BundleError, match="^pip could not get the packages: is there a network.*goes on"):
            _bundle.bundle(tmp_path / "course", root=house)
        assert not (tmp_path / "course").exists()

    def test_a_full_disk(self, house, tmp_path, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(shutil, "copytree", full)
        with pytest.raises(_bundle.BundleError, match="^The disk is full: no bundle was made.*kept in .*course.part: make room"):
            _bundle.bundle(tmp_path / "course", root=house)
        assert not (tmp_path / "course").exists() and list((tmp_path / "course.part" / "wheels").glob("every*"))
        monkeypatch.undo()
        (tmp_path / "course.part" / "notebooks").mkdir()  # half of a copy
        (tmp_path / "course.part" / "notebooks" / "half.ipynb").touch()
        _bundle._start_anew(tmp_path / "course.part", tmp_path / "course" / "wheels")
        assert [file.name for file in (tmp_path / "course.part").iterdir()] == ["wheels"]

    @pytest.mark.parametrize("words", ["OSError: [Errno 28] Not enough room", "No space left on device (os error 28)"])
    def test_a_full_disk_that_pip_or_uv_meets(self, house, tmp_path, monkeypatch, words):
        real = subprocess.run

        def full(command, **options):
            if "download" in command:
                command = [sys.executable, "-c", f"import sys; sys.exit({words!r})"]
            return real(command, **options)

        monkeypatch.setattr(subprocess, "run", full)
        with pytest.raises(_bundle.BundleError, match="^The disk is full"):
            _bundle.bundle(tmp_path / "course", root=house)

    def test_other_systems_without_uv(self, house, tmp_path, monkeypatch):
        real = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uv" else real(name))
        with pytest.raises(_bundle.BundleError, match="which is not installed: .* -m pip install uv"):
            _bundle.bundle(tmp_path / "course", [OTHER], root=house)


class TestCommand:
    def test_choices_are_all_there_is(self, capsys):
        for option, choices in ("--platform", _bundle.SYSTEMS), ("--python", [f"3.{n}" for n in range(11, 14)]):
            with pytest.raises(SystemExit):
                __main__.main(["bundle", "x", option, "nonsense"])
            assert re.findall(r"'([^']+)'", capsys.readouterr().err.split("choose from")[1]) == list(choices)
        assert runtime.PYTHONS == ((3, 11), (3, 13))

    def test_says_what_is_wrong_in_one_sentence(self, tmp_path):
        (tmp_path / "mine").write_text("")
        with pytest.raises(SystemExit, match="is there already and is no bundle"):
            __main__.main(["bundle", str(tmp_path / "mine")])


class TestStart:
    def test_settings_are_those_of_make(self):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        made = {re.search(rf"'\$\({name}\)' >\.venv/(\S+);", makefile).group(1): json.loads(value)
                for name, value in re.findall(r"^(\w+) := (\{.*\})$", makefile, flags=re.M)}
        assert made == _start.SETTINGS

    def test_runs_on_python_alone(self, python):
        done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({_start.__file__!r})"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @pytest.fixture
    def course(self, tmp_path):
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages" / "linux-x86_64-3.8.txt").write_text("")
        shutil.copy(_start.__file__, tmp_path / "start.py")
        return tmp_path

    def test_a_python_that_does_not_fit(self, course):
        done = subprocess.run([sys.executable, course / "start.py"], capture_output=True, text=True)
        assert done.returncode == 1 and not (course / "venv").exists()
        assert done.stderr == (f"This bundle has packages for linux-x86_64-3.8, and this is {HERE}: start it with a Python that "
                               "fits, or ask for a bundle that has them.\n")


class TestInstructorsPage:
    README = (ROOT / "README.md").read_text(encoding="utf-8")
    LESSONS = {path.stem: nbformat.read(path, as_version=4) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}

    def test_says_which_lessons_load_keras(self):
        said = dict(re.findall(r"^\| (\d\d_\w+) \| .+ \| \d+ \| (yes|no) \| \d+ \|$", self.README, flags=re.M))
        assert said == {name: "no" if any("wmlab.setup(keras=False)" in cell.source for cell in lesson.cells) else "yes"
                        for name, lesson in self.LESSONS.items()}

    def test_routes_lead_to_sections_that_are_there(self):
        page = self.README.partition("## For instructors")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (\d\d_\w+) \|(.*)\|(.*)\|$", page, flags=re.M)
        assert len(rows) > 5
        for lesson, *routes in rows:
            text = "\n".join(cell.source for cell in self.LESSONS[lesson].cells if cell.cell_type == "markdown")
            headings = set(re.findall(r"^##+ (.*)$", text, flags=re.M))
            assert set(re.findall(r"\*([^*]+)\*", "".join(routes))) <= headings
        shorter, longer = (sum(map(int, re.findall(r"\((\d+)\)", "".join(column)))) for column in list(zip(*rows, strict=True))[1:])
        assert 40 <= shorter <= 50 and 160 <= longer <= 180

    @pytest.mark.skipif(not shutil.which("perl"), reason="there is no perl")
    def test_one_line_points_all_at_a_fork(self, tmp_path):
        for name in "pyproject.toml", "README.md":
            shutil.copy(ROOT / name, tmp_path)
        shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
        (line,) = re.findall(r"^(perl .*) && make stamp$", self.README, flags=re.M)
        subprocess.run(line, shell=True, cwd=tmp_path, check=True)
        _house.stamp(tmp_path)
        for path in [tmp_path / "README.md", *(tmp_path / "notebooks").glob("*.ipynb")]:
            text = path.read_text(encoding="utf-8")
            assert "github/SCHOOL/COURSE/blob" in text and "github/wmlab-course" not in text
            assert path.suffix == ".md" or "git+https://github.com/SCHOOL/COURSE" in text


@contextlib.contextmanager
def no_network():
    """A command before another that runs it where there is no network but the machine's own."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("this system makes no namespace without a network")
    # The kernel talks to the notebook over the machine's own interface, which is down in a new namespace.
    up = ("import fcntl, os, socket, struct, sys\n"
          "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 1))\n"  # SIOCSIFFLAGS, IFF_UP
          "os.execvp(sys.argv[1], sys.argv[1:])")
    yield ["unshare", "-rn", sys.executable, "-c", up]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_installs_and_teaches_without_a_network(index, tmp_path, monkeypatch):
    """The course in a fresh venv where nothing can be fetched; other packages are stand-ins, whose code this venv lends."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in [*project["dependencies"], *project["optional-dependencies"]["lab"]]:
        needed = Requirement(line)
        version = next(v for v in ("99.0", *(f"{n}.9" for n in range(98, 0, -1))) if v in needed.specifier)
        wheel(index.folder, needed.name, version)
    dest, data, fakes = tmp_path / "course", tmp_path / "data", tmp_path / "fakes"
    data.mkdir()
    (data / "cifar10.npz").touch()
    fakes.mkdir()
    (fakes / "jupyterlab.py").write_text("import os, sys; print(sys.argv[1:], os.environ['WMLAB_DATA'])")
    monkeypatch.setenv("WMLAB_DATA", str(data))
    _bundle.bundle(dest)
    monkeypatch.delenv("WMLAB_DATA")
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(fakes))
    index.shutdown()
    with no_network() as offline:
        assert subprocess.run([*offline, sys.executable, "-c", "import socket; socket.create_connection(('1.1.1.1', 443), 3)"],
                              capture_output=True).returncode, "there is a network"
        start = [*offline, sys.executable, dest / "start.py", "--no-browser"]
        (stand_in,) = (dest / "wheels").glob("tqdm-*")
        whole = stand_in.read_bytes()
        stand_in.write_bytes(whole + b"a bad copy")
        done = subprocess.run(start, capture_output=True, text=True, timeout=300)
        assert done.returncode == 1 and "is the copy of this folder whole" in done.stderr
        assert "tqdm" in (dest / "install.log").read_text()
        stand_in.write_bytes(whole)
        for said in "Installing; this takes a few minutes, but only once.\n", "":
            done = subprocess.run(start, capture_output=True, text=True, timeout=300)
            opened = f"['--no-browser', '{dest / 'notebooks' / '00_start_here.ipynb'}'] {dest / 'data'}\n"
            assert done.stdout == said + opened, done
        assert "Retrying" not in (dest / "install.log").read_text()
        run = ("import nbformat, nbclient, wmlab\n"
               f"assert wmlab.__file__.startswith({str(dest / 'venv')!r}), wmlab.__file__\n"
               "lesson = nbformat.read('00_start_here.ipynb', as_version=4)\n"
               "lesson.cells.append(nbformat.v4.new_code_cell('print(wmlab.__file__)'))\n"
               "nbclient.NotebookClient(lesson, timeout=300).execute()\n"
               "print(lesson.cells[-1].outputs[0].text)")
        venv = dest / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        done = subprocess.run([*offline, venv, "-c", run], cwd=dest / "notebooks", capture_output=True, text=True, timeout=500,
                              env=os.environ | {"PYTHONPATH": sysconfig.get_paths()["purelib"]})
        assert done.returncode == 0 and str(dest / "venv") in done.stdout, done.stderr
