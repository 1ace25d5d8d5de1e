"""A paid service of labels over HTTP. An answer is on file before it is sent, so that no request is
paid for twice.

POST /label: n images, the bytes of an `.npy` file; the answer has their n labels. The header
Idempotency-Key names the request: sent again under its name, it gets the stored answer and costs
nothing. GET /: what is sold. GET /account: what was sold. Any other request gets a status of 4xx
and {"error": one sentence}.
"""

import asyncio
import concurrent.futures
import contextlib
import datetime
import hashlib
import io
import json
import logging
import math
import re
import socket
import sqlite3
import threading
import time

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Route

from wmlab.keys import check_images

BATCH = 500  # images in one request; `predict` takes as many at a time
HEADER = 256  # bytes of an .npy header; numpy writes 118 for images
ARRIVES = 30  # seconds in which a request has to arrive
CONNECTIONS = 200  # at a time; the next one gets the status 503
ENDS = 5  # seconds that running requests have when the service stops
HANG_UP = {"Connection": "close"}  # else uvicorn would go on reading
NAME = re.compile(r"[!-~]{1,100}")  # visible ASCII
COLUMNS = "name, digest, time, n, labels, charged"
TABLE = """CREATE TABLE IF NOT EXISTS answers
           (name TEXT PRIMARY KEY, digest TEXT, time TEXT, n INTEGER, labels TEXT, charged REAL)"""

_log = logging.getLogger(__name__)


def read_images(body, shape):
    """The images in the bytes of an .npy file of uint8, float32 or float64: float32 (n, *shape) in
    [0, 1].

    The header is checked before anything else is read, and nothing is unpickled. Raises
    HTTPException with one sentence.
    """
    got, fortran, dtype, start = _header(body)
    _check_header(got, dtype, shape)
    missing = math.prod(got) * dtype.itemsize - (len(body) - start)
    if missing:
        says = f"goes on for {-missing} bytes after its end"
        if missing > 0:
            says = f"ends {missing} bytes early"
        raise HTTPException(400, f"the .npy file {says}: send all of it and nothing else")
    images = np.frombuffer(body, dtype, offset=start).reshape(got, order="F" if fortran else "C")
    if dtype == np.uint8:
        return images / np.float32(255)
    try:
        check_images(images)
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    return np.ascontiguousarray(images, np.float32)


def _header(body):
    """(shape, whether in Fortran's order, dtype, where the values start) of an .npy file."""
    head = io.BytesIO(body[: HEADER + 10])
    try:
        if np.lib.format.read_magic(head) != (1, 0):
            raise ValueError("another version")
        got, fortran, dtype = np.lib.format.read_array_header_1_0(head, max_header_size=HEADER)
    except Exception as error:  # numpy evaluates the header, which can raise anything
        raise HTTPException(
            400, "the body is no .npy file of version 1.0: send what numpy.save writes"
        ) from error
    return got, fortran, dtype, head.tell()


def _check_header(got, dtype, shape):
    wanted = f"(n, {', '.join(map(str, shape))})"
    if dtype.str[1:] not in ("u1", "f4", "f8"):
        raise HTTPException(
            400, f"the array holds {str(dtype)[:50]}: send uint8, or float32 or float64 in [0, 1]"
        )
    if len(got) != 4 or got[1:] != shape or got[0] < 1:
        raise HTTPException(
            400, f"the images have shape {str(got)[:100]}: send at least one, of shape {wanted}"
        )
    if got[0] > BATCH:
        raise HTTPException(
            413, f"{str(got[0])[:50]} images are too many for one request: send {BATCH} at most"
        )


async def read_body(request, limit):
    """The body of a request, of at most `limit` bytes. Raises HTTPException if it is longer, or
    takes too long.
    """
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(ARRIVES):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    body += part
                # A client that still sends reads no answer, so read on for a while.
                elif size > 4 * limit:
                    break
    except TimeoutError as error:
        raise HTTPException(
            408, f"the request took longer than {ARRIVES} s to arrive: send fewer images", HANG_UP
        ) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the request ended early: send it again") from error
    if size > limit:
        raise HTTPException(
            413, f"the request is longer than {limit} bytes: send {BATCH} images at most", HANG_UP
        )
    return bytes(body)


class Service:
    """The labels of a model, for sale. `app` is the ASGI application; arguments and errors are
    those of `suspects.serve`.

    One thread runs model and database, a request at a time, so that a request that comes twice at
    once is sold once.
    """

    def __init__(self, model, price=0.01, rate=None, log=None):
        from wmlab.networks import check_classifier
        from wmlab.training import predict

        check_classifier(model)
        shape = getattr(model, "input_shape", None)
        if not (
            isinstance(shape, tuple) and len(shape) == 4 and all(shape[1:]) and shape[3] in (1, 3)
        ):
            raise ValueError(
                f"the model takes {shape}: a service needs one that takes images (None, height, "
                "width, 1 or 3)"
            )
        black = np.zeros((1, *shape[1:]), np.float32)
        if (
            hasattr(model, "layers")
            and predict(model, np.concatenate([black, black + 1])).min() < 0
        ):
            raise ValueError(f"{model.name} gives outputs that are not finite: train it anew")
        if not 0 <= price < math.inf:
            raise ValueError(f"the price is {price}, but must be 0 or more")
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(
                f"the rate is {rate}, but must be a number of images a second above 0, or None "
                "for no limit"
            )
        self.predict, self.model, self.shape = predict, model, shape[1:]
        self.price, self.rate = price, rate
        self.free = 0.0  # the time at which, at this rate, all of it would have been sold
        self.db = _database(log)
        self.worker = concurrent.futures.ThreadPoolExecutor(1, "wmlab-service")
        self.app = Starlette(
            routes=[
                Route("/", self.terms),
                Route("/account", self.account),
                Route("/label", self.label, methods=["POST"]),
            ],
            exception_handlers={HTTPException: self.refuse, Exception: self.fail},
        )
        self.app.router.redirect_slashes = False

    def close(self):
        """Finish what is under way and close the file."""
        self.worker.shutdown()
        self.db.close()

    async def terms(self, request):
        """GET /"""
        return _reply(
            request,
            200,
            {"image": self.shape, "price": self.price, "batch": BATCH, "rate": self.rate},
        )

    async def account(self, request):
        """GET /account"""
        requests, queries, cost = await self._work(self._sum)
        return _reply(request, 200, {"requests": requests, "queries": queries, "cost": cost})

    async def label(self, request):
        """POST /label"""
        body = await read_body(request, HEADER + 10 + BATCH * math.prod(self.shape) * 8)
        name = request.headers.get("Idempotency-Key", "")
        if not NAME.fullmatch(name):
            raise HTTPException(
                400,
                "the header Idempotency-Key must name the request: send 1 to 100 visible ASCII "
                "characters, such as a new UUID, and the same ones when you send it again",
            )
        answer, new = await self._work(self._sell, name, body)
        return _reply(request, 200, answer, {} if new else {"Idempotency-Replayed": "true"})

    async def refuse(self, request, error):
        """Say what was wrong with a request."""
        says = error.detail
        if error.status_code == 404:
            says = "there is nothing here: use GET /, GET /account or POST /label"
        elif error.status_code == 405:
            allowed = " or ".join(sorted(error.headers["Allow"].split(", ")))
            says = f"this does not take {request.method[:20]}: use {allowed}"
        return _reply(request, error.status_code, {"error": says}, error.headers)

    async def fail(self, request, error):
        """Answer for an error of the service."""
        _log.error("The service failed.", exc_info=error)
        return _reply(
            request,
            500,
            {"error": "the service failed, and charged nothing: send the request again later"},
        )

    def _work(self, function, *arguments):
        return asyncio.get_running_loop().run_in_executor(self.worker, function, *arguments)

    def _sum(self):
        return self.db.execute(
            "SELECT count(*), coalesce(sum(n), 0), round(total(charged), 9) FROM answers"
        ).fetchone()

    def _sell(self, name, body):
        """The answer to a request, and whether it is new. A new answer is on file and paid for when
        this returns.
        """
        digest = hashlib.sha256(body).hexdigest()
        found = self._find(name)
        new = not found
        if new:
            images = read_images(body, self.shape)
            self._ration(len(images))
            labels, n = self.predict(self.model, images).tolist(), len(images)
            if min(labels) < 0:
                raise HTTPException(
                    422, "the model has no finite outputs for these images: nothing was charged"
                )
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            row = name, digest, now, n, json.dumps(labels), round(self.price * n, 9)
            with self.db:  # if another service on this file was faster, its answer holds
                self.db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)
            found = self._find(name)
        if found[0] != digest:
            raise HTTPException(
                409, "there was another request of this name: give each its own, such as a new UUID"
            )
        return {"labels": json.loads(found[1]), "queries": found[2], "charged": found[3]}, new

    def _find(self, name):
        return self.db.execute(
            "SELECT digest, labels, n, charged FROM answers WHERE name = ?", (name,)
        ).fetchone()

    def _ration(self, n):
        """Refuse images that come too early for the rate. A large batch is sold at once, and the
        next request has to wait until less than a second of it is left.
        """
        if self.rate is None:
            return
        now = time.monotonic()
        if (early := self.free - now - 1) > 0:
            wait = math.ceil(early)
            raise HTTPException(
                429,
                f"{self.rate:g} images a second are sold, and these come too early: "
                f"send them again after {wait} s",
                {"Retry-After": str(wait)},
            )
        self.free = max(self.free, now) + n / self.rate


def _reply(request, status, content, headers=None):
    said = [
        f"{name} {content[name]}"
        for name in ("error", "queries", "charged", "cost")
        if name in content
    ]
    if status == 200 and headers:
        said.append("again, so charged before")
    # as it was sent, because a decoded path could hold a line break
    path = request.scope["raw_path"].decode("ascii", "replace")
    _log.info("%s %s %s %s", request.method, path, status, ", ".join(said))
    return JSONResponse(content, status, headers)


def _database(path):
    try:
        with contextlib.ExitStack() as stack:
            # only the thread of the service uses it
            db = stack.enter_context(
                contextlib.closing(sqlite3.connect(path or ":memory:", check_same_thread=False))
            )
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            if tables and "answers" not in tables:
                raise sqlite3.DatabaseError("it is somebody else's database")
            if tables:
                db.execute(f"SELECT {COLUMNS} FROM answers LIMIT 1").fetchone()
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a power cut loses no answer that was sent
            db.execute(TABLE)
            db.execute("DELETE FROM answers WHERE 0")  # fails where the file may only be read
            db.rollback()
            stack.pop_all()
            return db
    except sqlite3.Error as error:
        raise ValueError(
            f"{path} cannot be the service's log ({error}): name another file"
        ) from error


@contextlib.contextmanager
def listening(app, host, port):
    """Run an ASGI application in a thread; yields its URL. Raises RuntimeError if the address is
    not free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # asyncio sends at once, and not 40 ms later, only if the socket says that it is TCP
        listener = socket.socket(
            family,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
            fileno=socket.create_server((host, port), family=family).detach(),
        )
    except (OSError, OverflowError) as error:
        raise RuntimeError(
            f"no service can be at {host}, port {port} ({error}): choose another port, or 0 for any"
        ) from error
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=ENDS,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="wmlab-http", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the service did not start: the log says why")
            time.sleep(0.01)
        address = _address(family) if host in ("0.0.0.0", "::", "") else host
        yield f"http://{f'[{address}]' if ':' in address else address}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _address(family):
    """An address of this machine that others can open; without a network, its own."""
    six = family == socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # sends nothing: the system only says from where it would send
            probe.connect(("2001:db8::1" if six else "192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "::1" if six else "127.0.0.1"
