"""The course in one folder that installs without a network: packages, lessons, data, pages, and a script that opens it."""
import contextlib
import errno
import hashlib
import importlib.util
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys

from wmlab import _start
from wmlab._downloads import KNOWN
from wmlab._house import ROOT

# The systems a bundle can be made for from anywhere, by uv's names: what start.py calls each, and the oldest one that all
# packages have wheels for, by pip's names.
SYSTEMS = {
    "linux": ("linux-x86_64", [*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)), "manylinux2014_x86_64"]),
    "windows": ("windows-amd64", ["win_amd64"]),
    "macos": ("darwin-arm64", ["macosx_12_0_arm64"]),
}
MARK = "bundle.json"  # what makes a folder a bundle: {file: SHA-256} of all but the wheels
READ_ME = """wmlab, a course on watermarking neural networks, to install and run without a network.

1. Copy this folder to the computer's own disk.
2. In the copy, run   python start.py   (Windows: py start.py). The first time this installs, which takes some minutes
   and 3 GB; then, and ever after, it opens the course in the browser. A copy that is moved installs anew.

Python itself is not in here. Packages are, for: {targets}
In notebooks/ are the lessons. Where they are there, html/ has them as pages to read, and data/ has full data sets.
"""


class BundleError(Exception):
    """No bundle was made. The message says why, and what to do."""


def bundle(dest, systems=(), pythons=(), root=ROOT):
    """Write the course into the folder `dest`, to be installed with the network off; return how many bytes it has.

    It is made in `dest`.part and moved into place when it is whole. Packages that an earlier run downloaded, finished or
    not, are not downloaded again. A bundle that was at `dest` is replaced.

    Args:
        dest: the folder: missing, empty, or a bundle in which nobody has worked.
        systems: of SYSTEMS; by default the one of this machine.
        pythons: as "3.12"; by default the one that runs this.
        root: a checkout of the repository.

    Raises:
        BundleError: `dest` or `root` is something else, the disk is full, or a package could not be had.
    """
    dest, root = pathlib.Path(dest).absolute(), pathlib.Path(root)
    if not (root / "notebooks").is_dir():
        raise BundleError("A bundle is made from a checkout of the repository, and this is an installed copy: clone it first.")
    _refuse_to_overwrite(dest)
    part, old = (dest.with_name(f"{dest.name}.{suffix}") for suffix in ("part", "old"))
    with _full_disk_named(part):
        _start_anew(part, dest / "wheels")
        shutil.rmtree(old, ignore_errors=True)  # of a run that was stopped in the last lines of this function
        _packages(part, systems, pythons, root)
        _lessons(part, root)
        sums = {name: _sum(file) for name, file in _files(part).items()}
        (part / MARK).write_text(json.dumps(sums, indent=1, sort_keys=True), encoding="utf-8")
        if dest.exists():
            os.replace(dest, old)
        os.replace(part, dest)
    shutil.rmtree(old, ignore_errors=True)
    return sum(file.stat().st_size for file in dest.rglob("*") if file.is_file())


def _files(folder):
    """{path from `folder`: file} of all but the wheels, which have their sums elsewhere, and the mark."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: file for name, file in files.items() if not name.startswith("wheels/") and name != MARK}


def _sum(file):
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _refuse_to_overwrite(dest):
    if not dest.exists() or dest.is_dir() and not any(dest.iterdir()):
        return
    if not (dest / MARK).is_file():
        raise BundleError(f"{dest} is there already and is no bundle: name a folder that is not there yet.")
    sums = json.loads((dest / MARK).read_text(encoding="utf-8"))
    theirs = sorted({name.partition("/")[0] for name, file in _files(dest).items() if sums.get(name) != _sum(file)})
    if theirs:
        raise BundleError(f"Somebody has worked in {dest}, and a new bundle would be without that ({', '.join(theirs)}): move it "
                          "away, or name another folder.")


def _start_anew(part, wheels):
    """Leave nothing in `part` but wheels: what an unfinished run has downloaded, and what is in the folder `wheels`."""
    (part / "wheels").mkdir(parents=True, exist_ok=True)
    for other in set(part.iterdir()) - {part / "wheels"}:
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    for wheel in wheels.glob("*.whl"):
        if not (part / "wheels" / wheel.name).exists():
            shutil.copy2(wheel, part / "wheels")


def _packages(part, systems, pythons, root):
    """Download wheels for every system and Python into part/wheels, and list each set in a file of part/packages."""
    from packaging.utils import parse_wheel_filename

    wheels, lists, sets = part / "wheels", part / "packages", {}
    lists.mkdir()
    for stale in wheels.glob("wmlab-*"):
        stale.unlink()
    offline = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    _run(part, "pip", "wheel", "--quiet", "--no-deps", *offline, "--wheel-dir", wheels, root)
    (own,) = wheels.glob("wmlab-*.whl")
    this_system, this_python = _start.here().rsplit("-", 1)
    known = [key for key, (name, _) in SYSTEMS.items() if name == this_system] or [None]
    for system in systems or known:
        name, tags = SYSTEMS.get(system, (this_system, []))
        for python in pythons or [this_python]:
            target = f"{name}-{python}"
            only = ["--only-binary", ":all:", "--python-version", python, *(word for tag in tags for word in ("--platform", tag))]
            logging.getLogger("wmlab").info("%s: choosing packages", target)
            choose = _chosen_by_pip if target == _start.here() else _chosen_by_uv
            sets[target] = choose(part, own, only, root, system, python)
            logging.getLogger("wmlab").info("%s: downloading what is missing of %d packages", target, len(sets[target]))
            wanted = part / "wanted.txt"
            wanted.write_text("\n".join(f"{package}=={version}" for package, version in sets[target]), encoding="utf-8")
            _run(part, "pip", "download", "--quiet", "--no-deps", "--dest", wheels, *only, "--requirement", wanted)
            wanted.unlink()
    sums = {}
    for wheel in wheels.iterdir():
        package = parse_wheel_filename(wheel.name)[:2]
        if wheel != own and not any(package in chosen for chosen in sets.values()):
            wheel.unlink()  # of an earlier run, and superseded
        else:
            sums.setdefault(package, []).append(f"--hash=sha256:{_sum(wheel)}")
    for target, chosen in sets.items():
        lines = [f"{name}=={version} {' '.join(sums[name, version])}\n"
                 for name, version in sorted([*chosen, parse_wheel_filename(own.name)[:2]])]
        (lists / f"{target}.txt").write_text("".join(lines), encoding="utf-8")


def _chosen_by_pip(part, own, only, *_):
    """The packages that wmlab needs here, as (name, version); pip's settings, as that of a mirror, hold."""
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    report = part / "report.json"
    _run(part, "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--target", part / "nowhere", "--report", report,
         *only, f"{own}[lab]")
    found = [each["metadata"] for each in json.loads(report.read_text(encoding="utf-8"))["install"]]
    report.unlink()
    return {(canonicalize_name(each["name"]), Version(each["version"])) for each in found if each["name"] != "wmlab"}


def _chosen_by_uv(part, _own, _only, root, system, python):
    """The same for another system or Python: pip would go by the conditions ("; sys_platform == …") of the machine it runs on."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    if not importlib.util.find_spec("uv"):
        raise BundleError("Packages for another system or Python are chosen by uv, which is not installed: "
                          f"{sys.executable} -m pip install uv")
    chosen, platform = part / "chosen.txt", ["--python-platform", system] if system else []
    _run(part, "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:", "--extra", "lab",
         *platform, "--python-version", python, "--output-file", chosen, root / "pyproject.toml")
    pins = [Requirement(line) for line in chosen.read_text(encoding="utf-8").split("\n") if line.strip()]
    chosen.unlink()
    return {(canonicalize_name(pin.name), Version(next(iter(pin.specifier)).version)) for pin in pins}


def _run(part, module, *arguments):
    """Run a module of this Python; raise BundleError with its last word if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        if f"Errno {errno.ENOSPC}" in done.stderr or "No space left" in done.stderr:
            raise OSError(errno.ENOSPC, said[-1])
        raise BundleError(f"{module} could not get the packages: is there a network? It said: {said[-1]} What was downloaded is "
                          f"kept in {part}, and the same command goes on.")


def _lessons(part, root):
    """Copy the lessons, the pages if they were made, full data sets if WMLAB_DATA has some; write what opens it all."""
    shutil.copytree(root / "notebooks", part / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints", "my_results"))
    if (root / "html").is_dir():
        shutil.copytree(root / "html", part / "html")
    shutil.copy(root / "LICENSE", part)
    shutil.copy(_start.__file__, part / "start.py")
    own = os.environ.get("WMLAB_DATA")
    for file in (pathlib.Path(own) / f"{name}.npz" for name in KNOWN if own):
        if file.is_file():
            (part / "data").mkdir(exist_ok=True)
            shutil.copy(file, part / "data")
    targets = ", ".join(sorted(file.stem for file in (part / "packages").iterdir()))
    (part / "READ_ME.txt").write_text(READ_ME.format(targets=targets), encoding="utf-8")


@contextlib.contextmanager
def _full_disk_named(part):
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BundleError(f"The disk is full: no bundle was made. What was downloaded is kept in {part}: make room, there or where "
                          "pip has its cache and its temporary files, and the same command goes on.") from error
