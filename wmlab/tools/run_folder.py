"""Who does which run: a folder of records that several sweeps share, any of which may be killed at
any moment.

A run belongs to the process that holds the lock on OUT/part/NAME.lock. The system takes the lock
from a process that ends, however it ends, so nobody has to judge whether another is still alive.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import glob
import json
import logging
import os
import pathlib
import shutil

import filelock
from tqdm.auto import tqdm

from wmlab import records, runtime

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job:
    """A run to do: a scheme, a seed, and the settings that name its record."""

    mark: object
    seed: int
    about: dict

    @functools.cached_property
    def name(self):
        """File name of its record."""
        return records.name(self.about)

    @property
    def secret(self):
        """What its keys are made with: a secret for each seed."""
        return f"{self.about['experiment']} {self.seed}"


def disk_is_full(error):
    """Whether an exception says that there is no room for a file."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def shared(out, jobs):
    """Yield the Folder of a sweep; in the end nothing is held, and what killed sweeps left of
    finished runs is cleared away.

    Raises OSError with one sentence if the disk is full.
    """
    folder = Folder(out, jobs)
    try:
        yield folder
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise OSError(
            error.errno,
            f"The disk is full: {folder.out} takes no more. The records in it are whole; make room, and "
            "the same command does the other runs.",
        ) from error
    finally:
        folder.close()


class Folder:
    """The folder, as one sweep sees it: a run is claimed, then recorded or noted as failed, then
    given back.

    jobs: all runs of the sweep; todo: those not on file when it began. written: paths of the
    records made here.
    failures: why runs failed.
    """

    def __init__(self, out, jobs):
        self.out, self.jobs = pathlib.Path(out), list({job.name: job for job in jobs}.values())
        self.todo = [job for job in self.jobs if not self._done(job)]
        self.written, self.failures, self._locks = [], [], {}

    def backup(self, job):
        """Where the epochs of an unfinished run are kept: a folder."""
        return self.out / "part" / job.name

    def claims(self):
        """Yield the runs to do, each of them claimed; None when there is none to claim for now,
        until all are done.

        A run that another sweep holds comes last, if it is not done by then. A line shows how many
        are done.
        """
        left, waiting = self.todo, False
        with tqdm(
            total=len(self.jobs),
            initial=len(self.jobs) - len(left),
            unit="run",
            mininterval=0,
            dynamic_ncols=True,
            desc=left[0].about["experiment"],
        ) as self._line:
            while left or self._locks:
                held = []
                for job in left:
                    if self._claim(job):
                        yield job
                    elif self._done(job):
                        self._line.update()
                    else:
                        held.append(job)
                if held and not waiting:
                    log.info(
                        "other sweeps are at work on %d of these runs: waiting for them", len(held)
                    )
                    waiting = True
                left = held
                if left or self._locks:
                    yield None

    @contextlib.contextmanager
    def attempt(self, job):
        """Give a claimed run back after what is done inside. Had it failed, note why, and let the
        others go on.

        Raises OSError on a full disk, and CancelledError if Dask is gone: the others would fare no
        better.
        """
        try:
            yield
        except Exception as error:
            if disk_is_full(error) or isinstance(error, concurrent.futures.CancelledError):
                raise
            self._fail(job, f"{type(error).__name__}: {error}")
        finally:
            self._give_back(job)
        self._line.update()

    def write(self, record):
        """Put the record of a claimed run on file."""
        self.written.append(records.write(record, self.out))

    def close(self):
        """Give back what is claimed, and clear away what killed sweeps left of runs that are on
        file.
        """
        for job in self.jobs:
            done = self._done(job) and any(path.exists() for path in self._remains(job))
            if job.name in self._locks or (done and self._lock(job)):
                self._give_back(job)
        with contextlib.suppress(OSError):  # not empty, or not there
            (self.out / "part").rmdir()

    def _done(self, job):
        return records.done(job.about, self.out)

    def _remains(self, job):
        return self.out / "part" / f"{job.name}.lock", self.backup(job), self._failed(job)

    def _failed(self, job):
        return (self.out / job.name).with_suffix(".failed")

    def _lock(self, job):
        lock = filelock.FileLock(self.out / "part" / f"{job.name}.lock")
        try:
            (self.out / "part").mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except (
            filelock.Timeout,
            FileNotFoundError,
        ):  # held; or another sweep, done, has just removed the folder
            return False
        self._locks[job.name] = lock
        return True

    def _claim(self, job):
        if self._done(job) or not self._lock(job):
            return False
        if self._done(job):  # since we looked
            self._give_back(job)
            return False
        for half in self.out.glob(
            f".{glob.escape(self._failed(job).stem)}.*"
        ):  # what a killed sweep was writing
            half.unlink()
        return True

    def _fail(self, job, reason):
        log.warning("%s with seed %d failed: %s", job.mark.name, job.seed, reason)
        self.failures.append(reason.partition("\n")[0].rstrip("."))
        shutil.rmtree(self.backup(job), ignore_errors=True)  # which may be what is wrong
        with runtime.writing(self._failed(job)) as part:
            part.write_text(json.dumps(job.about | {"reason": reason}, indent=1))

    def _give_back(self, job):
        lock = self._locks.pop(job.name)
        if self._done(job):
            self._failed(job).unlink(missing_ok=True)  # of an earlier attempt
            shutil.rmtree(self.backup(job), ignore_errors=True)
        # Before the lock is let go: whoever then makes a new one finds the record. Windows removes
        # no open file; there filelock does it.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.unlink(lock.lock_file)
        lock.release()
