"""Where wmlab's own files are, and how a file is written so that it is whole or not there."""

import contextlib
import errno
import os
import pathlib
import secrets
import sys
import time

REPLACES = 1.0  # seconds in which a file that another program holds open is replaced


def data_dir():
    """Return the folder of what ships with wmlab: the sample, the models, the recorded results.

    Raises:
        FileNotFoundError: this copy of wmlab has none.
    """
    package = pathlib.Path(__file__).resolve().parent
    checkout = package.parent
    if (package / "_data").is_dir():
        return package / "_data"
    # Beside an installed package there may be anybody's folder named data.
    if (checkout / "pyproject.toml").is_file() and (checkout / "data").is_dir():
        return checkout / "data"
    raise FileNotFoundError(f"wmlab's data folder is missing from {package}: install wmlab again.")


@contextlib.contextmanager
def writing(path):
    """Write a file to the side and move it into place, so that `path` is never half a file.

    Yields a path in the same folder (made if missing) with the same suffix. After an error, or a
    stopped cell, that file is gone and the old one at `path` is as it was.

    Raises:
        OSError: the disk is full, said in one sentence; or what the writer raised.
    """
    path = pathlib.Path(path)
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _replace(part, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        old = "the old file is untouched" if path.exists() else "nothing was left behind"
        raise OSError(error.errno, f"The disk is full: {path} was not written; {old}.") from error
    finally:
        part.unlink(missing_ok=True)


def _replace(part, path):
    """os.replace, tried again: a virus scanner or a synchronised folder holds files for a while."""
    deadline = time.monotonic() + REPLACES
    while True:
        try:
            return os.replace(part, path)
        except PermissionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def there(path):
    """Whether a file exists, as far as this user may see."""
    try:
        return pathlib.Path(path).exists()
    except OSError:
        return False


class _Progress:
    """Standard error for progress lines: if nobody can read them any more, work goes on."""

    def write(self, text):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # no stream, closed, broken
            sys.stderr.write(text)

    def flush(self):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()

    def __getattr__(self, name):  # what tqdm asks: encoding, isatty, fileno
        return getattr(sys.stderr, name)


PROGRESS = _Progress()
