"""The harness itself: a notebook opens in JupyterLab, runs, and shows its output."""

import subprocess
import sys
from unittest import mock

import pytest
from hands import write

pytestmark = pytest.mark.browser


def test_run_all_shows_the_output_and_an_error_is_seen(lab, tmp_path):
    write(lab.folder / "tiny.ipynb", "number = 6", "print(number * 7)", "1 / 0")
    lab.open("tiny.ipynb")
    assert lab.outputs() == [[], [], []]
    lab.run_all()
    assert lab.errors() == ["ZeroDivisionError: division by zero"]
    assert lab.outputs()[1][0]["text"] == "42\n"
    assert "42" in lab.text(".jp-OutputArea-output")
    assert lab.screenshot(tmp_path / "tiny.png").stat().st_size > 10_000
    assert lab.console_errors() == []


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
