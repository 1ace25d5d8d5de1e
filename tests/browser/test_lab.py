"""The harness itself: a notebook opens in JupyterLab, runs, and shows its output."""

import subprocess
import sys
from unittest import mock

import nbformat
import pytest

pytestmark = pytest.mark.browser


def notebook(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def test_run_all_shows_the_output(start_lab, tmp_path):
    notebook(tmp_path / "tiny.ipynb", "number = 6", "print(number * 7)")
    page = start_lab(tmp_path)
    page.open("tiny.ipynb")
    assert page.outputs() == [[], []]
    page.run_all()
    assert page.errors() == []
    assert page.outputs()[1][0]["text"] == "42\n"
    assert "42" in page.text(".jp-OutputArea-output")
    assert page.screenshot(tmp_path / "tiny.png").stat().st_size > 10_000
    assert page.console_errors() == []


def test_an_error_in_a_cell_is_seen(start_lab, tmp_path):
    notebook(tmp_path / "wrong.ipynb", "1 / 0")
    page = start_lab(tmp_path)
    page.open("wrong.ipynb")
    page.run_all()
    assert page.errors() == ["ZeroDivisionError: division by zero"]


def test_the_server_that_make_sets_up_holds_no_answer_back():
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

    from wmlab.tools.jupyter import PromptConnection

    shown = subprocess.run(
        [sys.executable, "-m", "jupyterlab", "--show-config"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "wmlab.tools.jupyter.PromptConnection" in shown.stdout
    connection = PromptConnection.__new__(PromptConnection)
    with (
        mock.patch.object(ZMQChannelsWebsocketConnection, "connect", return_value="connected"),
        mock.patch.object(PromptConnection, "websocket_handler", mock.Mock()),
    ):
        assert connection.connect() == "connected"
        PromptConnection.websocket_handler.set_nodelay.assert_called_once_with(True)
