"""JupyterLab, or Notebook 7, in headless Chromium, for the tests in this folder.

`start_lab(folder)` serves a folder; the `LabPage` it returns opens notebooks, runs them and looks.
"""

import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from hands import DRAWN

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--window-size=1400,1100",
)
# The front ends, by the module that starts them: what lets the page see its application, and where
# that opens a notebook.
FRONT_ENDS = {
    "jupyterlab": ("--LabApp.expose_app_in_browser=True", "lab/tree"),
    "notebook": ("--JupyterNotebookApp.expose_app_in_browser=True", "notebooks"),
    "nbclassic": ("--ServerApp.log_level=WARN", "notebooks"),
}  # its application is no secret
# What runs in the page: the notebook that is in front, or null before there is one.
PANEL = """
const panel = window.jupyterapp?.shell.currentWidget;
const session = panel?.sessionContext;
const notebook = panel?.content;
"""


@pytest.fixture(scope="session")
def chrome(tmp_path_factory):
    """A running headless Chromium, driven by selenium; one for all tests."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        missing = f"there is no {'chromedriver' if browser else 'Chromium'} on PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    # without the focus of a window on a screen, JupyterLab has no notebook in front
    chrome.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def start_lab(chrome, tmp_path_factory):
    """A function: serve a folder with JupyterLab or another front end, from this Python or another,
    and return its LabPage. Servers stay until the end of all tests.
    """
    servers = []

    def start(folder, front_end="jupyterlab", python=sys.executable):
        exposed, place = FRONT_ENDS[front_end]
        own = tmp_path_factory.mktemp("jupyter")
        settings = own / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)  # or a question covers part of every screenshot
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        token = secrets.token_hex(16)
        log = open(own / "server.log", "w+b")
        server = subprocess.Popen(
            [python, "-m", front_end, "--no-browser", "--allow-root", exposed]
            + [f"--ServerApp.{name}" for name in ("ip=127.0.0.1", f"port={port}", "port_retries=0")]
            + [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"],
            # The settings and kernels of whoever runs the tests stay out of them.
            env={
                **os.environ,
                "WMLAB_SCALE": "class",
                "IPYTHONDIR": str(own / "ipython"),
                "JUPYTER_CONFIG_DIR": str(own / "config"),
                "JUPYTER_DATA_DIR": str(own / "data"),
                "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
                "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        servers.append((server, log))
        _wait_for_server(
            f"http://127.0.0.1:{port}/api/status?token={token}", server, own / "server.log"
        )
        return LabPage(chrome, f"http://127.0.0.1:{port}", token, place)

    yield start
    for server, log in servers:
        server.terminate()  # takes its kernels with it
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


@pytest.fixture(scope="session")
def lab(start_lab, tmp_path_factory):
    """JupyterLab on a folder of its own: a LabPage, one for all tests."""
    folder = tmp_path_factory.mktemp("served")
    page = start_lab(folder)
    page.folder = folder
    return page


def _wait_for_server(address, server, log, timeout=300):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


class LabPage:
    """A front end in the browser, with at most one notebook in front."""

    def __init__(self, chrome, url, token, place="lab/tree"):
        self.chrome, self.url, self.token, self.place = chrome, url, token, place

    def open(self, notebook, timeout=600):
        """Open a notebook (path from the served folder) and wait until its kernel is idle. Kernels
        of notebooks that were open before are shut down.
        """
        # an earlier page may complain of being left, and that is not ours to answer for
        self.chrome.get("about:blank")
        self.chrome.get_log("browser")
        for session in self.ask("GET", "sessions"):
            self.ask("DELETE", f"sessions/{session['id']}")
        path = urllib.parse.quote(str(notebook))
        self.chrome.get(f"{self.url}/{self.place}/{path}?reset&token={self.token}")
        self.wait(
            "return notebook?.widgets?.length > 0 && session.session?.kernel?.status == 'idle'",
            timeout,
        )

    def ask(self, method, what):
        """Ask the server's own interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{what}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def run_all(self, timeout=900):
        """Run all cells and wait until they are done, the kernel is idle and the pictures are
        drawn.
        """
        self.js(
            "window.ran = null; window.jupyterapp.commands.execute('notebook:run-all-cells')"
            ".then(() => { window.ran = true }, error => { window.ran = String(error) })"
        )
        self.wait("return window.ran !== null && session.session.kernel.status == 'idle'", timeout)
        self.wait(f"return {DRAWN}", 600)

    def outputs(self):
        """The outputs of every code cell, as nbformat has them: a list of lists."""
        return json.loads(
            self.js(
                "return JSON.stringify(notebook.widgets.filter(cell => cell.model.type == 'code')"
                ".map(cell => cell.model.outputs.toJSON()))"
            )
        )

    def errors(self):
        """What cells raised: "ZeroDivisionError: division by zero" and the like."""
        return [
            f"{output['ename']}: {output['evalue']}"
            for cell in self.outputs()
            for output in cell
            if output["output_type"] == "error"
        ]

    def text(self, selector=".jp-Notebook"):
        """The text of the first element that matches, drawn or scrolled out of view."""
        return self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def console_errors(self):
        """Errors in the browser's console since the last call or open()."""
        return [
            entry["message"]
            for entry in self.chrome.get_log("browser")
            if entry["level"] == "SEVERE"
        ]

    def screenshot(self, path):
        """Save what the window shows as a PNG and return its path."""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.chrome.save_screenshot(str(path))
        return path

    def js(self, script, *arguments):
        """Run JavaScript in the page, where `notebook`, `panel` and `session` are at hand."""
        return self.chrome.execute_script(PANEL + script, *arguments)

    def wait(self, script, timeout):
        """Wait until the JavaScript `script` returns something true."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.js(script):
                return
            time.sleep(0.2)
        pytest.fail(f"after {timeout} s still not: {script}")
