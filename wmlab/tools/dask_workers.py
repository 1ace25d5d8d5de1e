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
from wmlab.datasets import DataError, load
from wmlab.jax_process import check_guard

REACHED = 10  # seconds in which a scheduler has to answer
REPLACED = 60  # seconds that the successor of a process that died may take to start
PROCESS = 10**9  # bytes that a process takes beside the images
# Ctrl-C is for the sweep, which ends its workers.
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"

_one_at_a_time = threading.Lock()


def processes(data):
    """How many processes can train on this machine: one a core, if there is memory for as many."""
    if not machine.is_installed("distributed"):
        return 1
    room = machine.memory() // (PROCESS + 3 * data.x_train.nbytes)
    return max(1, min(machine.cores(), room))


@contextlib.contextmanager
def hired(scheduler, count):
    """Yield a Dask client of the scheduler at this address, or of `count` processes made here.

    Raises RuntimeError with one sentence if there is no such scheduler, or no Dask.
    """
    dask = distributed()
    with contextlib.ExitStack() as stack:
        if scheduler:
            try:
                # asked first, because a Client that reaches nobody complains again at the end
                address = dask.comm.get_address_host_port(scheduler)
                socket.create_connection(address, REACHED).close()
                client = dask.Client(scheduler, timeout=REACHED, set_as_default=False)
                stack.enter_context(client)
                client.wait_for_workers(1, timeout=REACHED)
            except (OSError, ValueError) as error:
                raise RuntimeError(
                    f"No Dask scheduler with a worker answers at {scheduler} ({error}): start them "
                    "with `dask scheduler` and `dask worker ADDRESS`, or leave the scheduler out."
                ) from error
        else:
            threads = str(max(1, machine.cores() // count))
            check_guard()
            cluster = dask.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
                preload=DEAF,
                memory_limit=None,  # near its limit a worker would wait for memory for ever
                env={"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads},
            )
            stack.enter_context(cluster)
            client = stack.enter_context(dask.Client(cluster, set_as_default=False))
        try:
            yield client
        finally:
            if not scheduler:
                # A process that died is being replaced: to close while its successor starts fails.
                with contextlib.suppress(TimeoutError):
                    client.wait_for_workers(count, timeout=REPLACED)


def distributed():
    """The package distributed, told to be silent. Raises RuntimeError if it is not installed."""
    try:
        import dask

        silent = {"distributed": "critical", "distributed.client": "critical"}
        dask.config.set({"logging": silent})  # read when distributed is imported
        import distributed
    except ImportError as error:
        raise RuntimeError(
            "Dask is not installed: pip install distributed, or leave the scheduler out."
        ) from error
    return distributed


def submit(client, backend, source, sha256, functions):
    """Have workers call each function with the data that they load from `source`, the arguments of
    `datasets.load`, on this keras backend; return the futures.
    """
    return [
        client.submit(
            _at_worker,
            backend,
            *source,
            sha256,
            pickle.dumps(function),
            pure=False,
        )
        for function in functions
    ]


def finished(client, futures):
    """Yield (number, future) of each future when it is done, first those that are done first."""
    numbers = {future: number for number, future in enumerate(futures)}
    try:
        for future in distributed().as_completed(futures, loop=client.loop):
            yield numbers[future], future
    finally:
        client.cancel(futures)


def _at_worker(backend, dataset, scale, sha256, function):
    with _one_at_a_time:  # seeds are a process's, so its threads cannot train side by side
        data = _data(backend, dataset, scale)
        if data.sha256 != sha256:
            raise DataError(f"this worker has another {dataset} than the sweep: {data.source}")
        return pickle.loads(function)(data)


@functools.lru_cache(1)
def _data(backend, dataset, scale):
    # whoever sends the work shows how it goes
    os.environ.update(KERAS_BACKEND=backend, TQDM_DISABLE="1")
    runtime.setup(scale=scale)
    return load(dataset, scale)
