"""A notebook is run from top to bottom in a kernel of its own, and every widget it shows becomes
its twin.
"""

import os

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

VIEW = "application/vnd.jupyter.widget-view+json"
MIME = "application/vnd.wmlab.twins+json"  # as in twins, which only a kernel loads
TWINS = "from wmlab.tools.pages import twins as wmlab_twins; wmlab_twins."


def run(path, folder):
    """Run the notebook at `path` at class scale, in the working folder `folder`; return it with
    twins as outputs.

    Raises:
        RuntimeError: the notebook fails, with its name and what it raised.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],
        shutdown_kernel="immediate",
    )
    try:
        # WMLAB_WATCH opens the questions: a page has what a reader would see after an answer.
        with client.setup_kernel(env={**os.environ, "WMLAB_SCALE": "class", "WMLAB_WATCH": "1"}):
            _ask(client, "watch()")
            for number, cell in enumerate(notebook.cells):
                client.execute_cell(cell, number)
            views = [
                output
                for cell in notebook.cells
                for output in cell.get("outputs", [])
                if VIEW in output.get("data", {})
            ]
            shown = list(dict.fromkeys(output.data[VIEW]["model_id"] for output in views))
            twins = _ask(client, f"send({shown})")[0].data[MIME]
            language = client.wait_for_reply(client.kc.kernel_info())["content"]["language_info"]
    except CellExecutionError as error:
        raise RuntimeError(f"{path.name} fails: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise RuntimeError(
            f"{path.name} did not come to its end: {' '.join(str(error).split())}"
        ) from error
    for output in views:
        output.data = nbformat.from_dict({"text/html": twins[output.data[VIEW]["model_id"]]})
    notebook.metadata.language_info = nbformat.from_dict(language)
    return notebook


def _ask(client, call):
    """Have the kernel do what no cell of the notebook says; return the outputs."""
    client.nb.cells.append(nbformat.v4.new_code_cell(TWINS + call))
    client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1, store_history=False)
    return client.nb.cells.pop().outputs
