"""Work done by Dask workers: processes of this machine, or those that a scheduler knows.

No keras at the top: a worker loads this module before `_at_worker` tells it which backend to take.
"""

import contextlib
import functools
import logging
import os
import pickle
import socket
import threading

from wmlab import machine, runtime
from wmlab._downloads import DataError
from wmlab.datasets import load

REACHED = 10  # seconds in which a scheduler has to answer
# Ctrl-C is for the sweep, which ends its workers
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
PROCESS = 10**9  # bytes that a process takes beside the images

_one_at_a_time = threading.Lock()


def processes(data):
    """How many processes train fastest on this machine: one for two cores, as far as there is
    memory for their images.
    """
    import psutil

    if not machine.is_installed("distributed"):
        return 1
    room = psutil.virtual_memory().available // (PROCESS + 3 * data.x_train.nbytes)
    return max(1, min(machine.cores() // 2, room))


@contextlib.contextmanager
def hired(scheduler, count):
    """Yield a Dask client of the scheduler at this address, or without one of `count` new processes
    of this machine.

    Raises RuntimeError with one sentence if there is no such scheduler, or no Dask, or it goes
    while it is in use.
    """
    dask = distributed()
    with contextlib.ExitStack() as stack:
        if scheduler:
            try:
                # asked beforehand, because a Client that meets nobody complains once more when
                # Python ends
                socket.create_connection(
                    dask.comm.get_address_host_port(scheduler), REACHED
                ).close()
                client = stack.enter_context(
                    dask.Client(scheduler, timeout=REACHED, set_as_default=False)
                )
                client.wait_for_workers(1, timeout=REACHED)
            except (OSError, ValueError) as error:
                raise RuntimeError(
                    f"No Dask scheduler with a worker answers at {scheduler} ({error}): start them with "
                    "`dask scheduler` and `dask worker ADDRESS`, or leave the scheduler out."
                ) from error
        else:
            cluster = stack.enter_context(
                dask.LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    preload=DEAF,
                    # a worker near its limit would wait for ever for memory, since it keeps its
                    # images
                    memory_limit=None,
                    env={"TF_NUM_INTRAOP_THREADS": str(machine.cores() // count)},
                )
            )
            client = stack.enter_context(dask.Client(cluster, set_as_default=False))
        try:
            yield client
        except Exception as error:
            if client.status == "running":
                raise
            raise RuntimeError(
                "The Dask scheduler is gone: what is done is on file, the same command does the rest."
            ) from error


def distributed():
    """The package distributed, told to be silent. Raises RuntimeError if it is not installed."""
    try:
        import dask

        dask.config.set(
            {"logging": {"distributed": "critical", "distributed.client": "critical"}}
        )  # read on import
        import distributed
    except ImportError as error:
        raise RuntimeError(
            "Dask is not installed: pip install distributed, or leave the scheduler out."
        ) from error
    return distributed


def submit(client, backend, data, scale, function, **options):
    """Have `function(data)` done by a worker, on this keras backend and on its own copy of the
    data; returns a future.
    """
    return client.submit(
        _at_worker,
        backend,
        data.name,
        scale,
        data.sha256,
        pickle.dumps(function),
        pure=False,
        **options,
    )


def _at_worker(backend, dataset, scale, sha256, function):
    with _one_at_a_time:  # seeds are a process's, so its threads cannot train side by side
        data = _provisions(backend, dataset, scale)
        if data.sha256 != sha256:
            raise DataError(f"this worker has another {dataset} than the sweep: {data.source}")
        return pickle.loads(function)(data)


@functools.lru_cache(1)
def _provisions(backend, dataset, scale):
    os.environ.update(
        KERAS_BACKEND=backend, TQDM_DISABLE="1"
    )  # whoever sends the work shows how it goes
    runtime.setup(scale=scale)
    return load(dataset, scale)
