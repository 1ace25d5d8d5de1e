"""Install the course from this folder, the first time, and open it. `python -m wmlab bundle` puts this file there as start.py.

It runs before anything is installed, so it imports nothing but Python's own.
"""
import json
import os
import pathlib
import platform
import subprocess
import sys

# As `make lab` sets it up: no question about news, and nothing held back on its way to the sliders.
SETTINGS = {
    "share/jupyter/lab/settings/overrides.json": {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}},
    "etc/jupyter/jupyter_server_config.json": {"ServerApp": {"kernel_websocket_connection_class": "wmlab._lab.PromptConnection"}},
}


def here():
    """Return what packages are chosen by: system, processor and Python, as in "linux-x86_64-3.12"."""
    return "{}-{}-{}.{}".format(platform.system(), platform.machine(), *sys.version_info).lower()


def install(folder):
    """Install the packages of the bundle in `folder` into folder/venv, unless that was done before; return its Python.

    Exits with one sentence where that cannot be done.
    """
    packages, venv = folder / "packages" / f"{here()}.txt", folder / "venv"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # What a finished installation was made from, and where: a moved or stopped one is made anew.
    done, made_from = venv / "installed.txt", f"{folder}\n{packages.read_text(encoding='utf-8') if packages.is_file() else ''}"
    if done.is_file() and done.read_text(encoding="utf-8") == made_from:
        return python
    if not packages.is_file():
        known = ", ".join(sorted(file.stem for file in packages.parent.glob("*.txt")))
        sys.exit(f"This bundle has packages for {known}, and this is {here()}: start it with a Python that fits, or ask for "
                 "a bundle that has them.")
    sys.stdout.write("Installing; this takes a few minutes, but only once.\n")
    log = folder / "install.log"
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHONPATH"))}
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [str(python), "-m", "pip", "install", "--no-index", "--disable-pip-version-check",  # it compares the checksums in the list
         "--find-links", str(folder / "wheels"), "--requirement", str(packages)],
    ):
        with log.open("w", encoding="utf-8") as file:
            if subprocess.run(command, stdout=file, stderr=file, env=own | {"PIP_CONFIG_FILE": os.devnull}).returncode:
                sys.exit("The course could not be installed. Is there room on the disk, is the copy of this folder whole, and does "
                         f"this Python have venv (on Debian and Ubuntu: apt install python3-venv)? See {log}")
    for path, settings in SETTINGS.items():
        (venv / path).parent.mkdir(parents=True, exist_ok=True)
        (venv / path).write_text(json.dumps(settings), encoding="utf-8")
    done.write_text(made_from, encoding="utf-8")
    return python


def main():
    """Install if need be, and open the first lesson; what stands after `start.py` goes to JupyterLab."""
    folder = pathlib.Path(__file__).resolve().parent
    try:
        python = install(folder)
    except OSError as error:
        sys.exit(f"The course could not be installed here ({error}): copy the folder to a disk that can be written and has room.")
    if (folder / "data").is_dir():
        os.environ.setdefault("WMLAB_DATA", str(folder / "data"))
    first = folder / "notebooks" / "00_start_here.ipynb"
    sys.exit(subprocess.run([str(python), "-m", "jupyterlab", *sys.argv[1:], str(first)]).returncode)


if __name__ == "__main__":
    main()
