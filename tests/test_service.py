"""The paid service and its client: right answers, one sentence for whatever is wrong, and nothing
paid for twice.
"""

import asyncio
import concurrent.futures
import io
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import types
import uuid

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response, StreamingResponse

from wmlab import service, suspects
from wmlab.__main__ import main
from wmlab.keys import KeySet
from wmlab.suspects import LocalSuspect, RemoteSuspect, SuspectError, serve
from wmlab.verification import batch, first_hit

SHAPE = (4, 4, 1)
SOME = np.random.default_rng(0).random((1200, *SHAPE), np.float32)
EIGHT = (np.round(SOME * 255) / 255).astype(np.float32)


class Linear:
    """A model of one layer, without keras; it can be slow, or fail a number of times."""

    input_shape = (None, *SHAPE)
    weights = np.random.default_rng(1).normal(size=(16, 5)).astype(np.float32)

    def __init__(self, seconds=0.0, failures=0):
        self.seconds, self.failures = seconds, failures

    def __call__(self, images, training=False):
        time.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise MemoryError("no room")
        return images.reshape(len(images), -1) @ self.weights


HTTP = httpx.Client(trust_env=False, timeout=300)  # a busy machine takes its time
LABELS = Linear()(SOME).argmax(axis=1)


class Lossy(httpx.BaseTransport):
    """A network that loses requests on the way there, and replies on the way back."""

    def __init__(self, transport, seed, lost=0.3):
        self.transport, self.rng, self.lost, self.losses = transport, random.Random(seed), lost, 0

    def handle_request(self, request):
        fate = self.rng.random()
        if fate < self.lost / 2:
            self.losses += 1
            raise httpx.ConnectError("lost on the way there", request=request)
        reply = self.transport.handle_request(request)
        if fate < self.lost:
            self.losses += 1
            reply.read()
            reply.close()
            raise httpx.ReadError("lost on the way back", request=request)
        return reply


def lossy(url, seed, lost=0.3):
    suspect = RemoteSuspect(url)
    suspect._http._transport = Lossy(suspect._http._transport, seed, lost)
    return suspect


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def post(url, body, name=None):
    return HTTP.post(
        f"{url}/label", content=body, headers={"Idempotency-Key": name or str(uuid.uuid4())}
    )


def account(url):
    return HTTP.get(f"{url}/account").json()


def together(count, work):
    """What `work(i)` returns in `count` threads that begin at the same time."""
    ready = threading.Barrier(count)

    def begin(i):
        ready.wait()
        return work(i)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


@pytest.fixture
def url():
    with serve(Linear()) as address:
        yield address


@pytest.fixture(scope="module")
def model():
    """A keras model of one layer."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(5)])


class TestAnswers:
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("images", [SOME, EIGHT], ids=["floats", "8 bits"])
    def test_are_those_of_the_model_in_this_process(self, model, images, dtype):
        with serve(model, price=0.25) as url:
            remote, local = RemoteSuspect(url), LocalSuspect(model, price=0.25)
            labels, here = (each.ask(images.astype(dtype)) for each in (remote, local))
            assert np.array_equal(labels, here) and labels.dtype == np.int64
            assert len(set(labels.tolist())) > 2
            assert (remote.queries, remote.cost) == (local.queries, local.cost) == (1200, 300)
            assert account(url) == {"requests": 3, "queries": 1200, "cost": 300}

    def test_images_arrive_as_they_were(self):
        for images in (SOME[:9], EIGHT[:9], EIGHT[:9].astype(np.float64), np.zeros((1, *SHAPE))):
            arrived = service.read_images(suspects._packed(images), SHAPE)
            assert np.array_equal(arrived, images.astype(np.float32))
            assert arrived.dtype == np.float32
        assert len(suspects._packed(EIGHT)) < len(suspects._packed(SOME)) / 3.9

    def test_any_way_to_write_a_file(self, url):
        pixels = np.arange(32).reshape(2, *SHAPE)
        labels = Linear()((pixels / 255).astype(np.float32)).argmax(axis=1).tolist()
        for dtype, order in itertools.product(["u1", "<f4", ">f4", "<f8", ">f8"], "CF"):
            images = pixels.astype(dtype) if dtype == "u1" else (pixels / 255).astype(dtype)
            answer = post(url, npy(np.asarray(images, order=order))).json()
            assert answer["labels"] == labels, (dtype, order)

    def test_no_images_cost_nothing(self):
        suspect = RemoteSuspect("http://127.0.0.1:1")
        assert suspect.ask(SOME[:0]).tolist() == [] and (suspect.queries, suspect.cost) == (0, 0)

    def test_what_is_no_image_is_refused_as_locally(self, url):
        remote, local = RemoteSuspect(url), LocalSuspect(Linear())
        for images in (SOME[0], SOME[:2].astype(np.uint8), SOME[:2] * 255, SOME[:2].tolist()):
            with pytest.raises((TypeError, ValueError)) as here:
                local.ask(images)
            with pytest.raises(here.type, match=f"^{re.escape(str(here.value))}$"):
                remote.ask(images)
        assert account(url)["requests"] == 0

    def test_images_of_another_shape(self, url):
        suspect = RemoteSuspect(url)
        says = r"refused the request: the images have shape \(2, 8, 8, 3\): send at least one"
        with pytest.raises(SuspectError, match=says):
            suspect.ask(np.zeros((2, 8, 8, 3)))
        assert suspect.queries == account(url)["queries"] == 0

    def test_what_is_sold(self, url):
        sold = {"image": [*SHAPE], "batch": 500}
        assert HTTP.get(url).json() == sold | {"price": 0.01, "rate": None}
        with serve(Linear(), price=0, rate=7.5) as other:
            assert RemoteSuspect(other).terms == sold | {"price": 0, "rate": 7.5}


class TestPaidOnce:
    def test_again(self, url):
        body, name = npy(SOME[:3]), "one-and-the-same"
        first, second = post(url, body, name), post(url, body, name)
        answer = {"labels": LABELS[:3].tolist(), "queries": 3, "charged": 0.03}
        assert first.json() == second.json() == answer
        replayed = ["Idempotency-Replayed" in reply.headers for reply in (first, second)]
        assert replayed == [False, True]
        assert account(url) == {"requests": 1, "queries": 3, "cost": 0.03}

    def test_the_same_name_for_other_images(self, url):
        post(url, npy(SOME[:3]), "mine")
        reply = post(url, npy(SOME[:2]), "mine")
        assert reply.status_code == 409
        assert "another request of this name" in reply.json()["error"]
        assert account(url)["queries"] == 3

    def test_twice_at_once(self):
        with serve(Linear(seconds=0.05)) as url:
            replies = together(20, lambda i: post(url, npy(SOME[:2]), f"name-{i % 2}"))
            assert {reply.status_code for reply in replies} == {200}
            assert len({reply.text for reply in replies}) == 1
            assert sum("Idempotency-Replayed" not in reply.headers for reply in replies) == 2
            assert account(url)["requests"] == 2

    def test_lost_requests_and_replies(self, url):
        suspect = lossy(url, seed=0, lost=0.5)
        assert [suspect.ask(SOME[i : i + 1])[0] for i in range(12)] == LABELS[:12].tolist()
        assert suspect._http._transport.losses > 5
        assert account(url) == {"requests": 12, "queries": suspect.queries, "cost": suspect.cost}

    def test_asked_again_after_giving_up(self, url):
        suspect = RemoteSuspect(url, patience=0)
        suspect.terms  # noqa: B018
        network = suspect._http._transport
        suspect._http._transport = Lossy(network, seed=0, lost=2)
        suspect._http._transport.rng.random = lambda: 1.5  # every reply is lost
        with pytest.raises(SuspectError, match="lost on the way back"):
            suspect.ask(SOME[:5])
        assert account(url)["queries"] == 5 and suspect.queries == 0
        suspect._http._transport = network
        assert suspect.ask(SOME[:5]).tolist() == LABELS[:5].tolist()
        assert account(url)["queries"] == suspect.queries == 5
        suspect.ask(SOME[:5])
        assert account(url)["queries"] == suspect.queries == 10

    def test_a_file_outlives_the_service(self, tmp_path):
        log, body = tmp_path / "log.sqlite", npy(SOME[:3])
        with serve(Linear(), log=log) as url:
            before, port = post(url, body, "kept"), httpx.URL(url).port
            RemoteSuspect(url).ask(SOME[:700])
        with serve(Linear(failures=9), log=log, port=port, price=5) as url:
            assert post(url, body, "kept").json() == before.json()  # nobody asks the model
            assert account(url) == {"requests": 3, "queries": 703, "cost": 7.03}
        columns = "SELECT name, n, labels, charged, time, digest FROM answers"
        rows = sqlite3.connect(log).execute(columns).fetchall()
        assert [row[1] for row in rows] == [3, 500, 200] and rows[0][0] == "kept"
        assert json.loads(rows[1][2]) == LABELS[:500].tolist() and rows[1][3] == 5.0
        for *_, sold, digest in rows:
            assert time.strptime(sold[:19], "%Y-%m-%dT%H:%M:%S") and len(digest) == 64

    def test_two_services_on_one_file(self, tmp_path):
        log = tmp_path / "log.sqlite"
        slow = Linear(seconds=0.2)
        with serve(slow, log=log) as one, serve(slow, log=log) as other:
            replies = together(2, lambda i: post((one, other)[i], npy(SOME[:2]), "same"))
            assert replies[0].json() == replies[1].json() and account(one) == account(other)
            assert account(one)["requests"] == 1

    def test_a_failing_model_is_not_paid_for(self, caplog):
        with serve(Linear(failures=2)) as url:
            reply = post(url, npy(SOME[:2]))
            assert reply.status_code == 500 and "charged nothing" in reply.json()["error"]
            suspect = RemoteSuspect(url)
            assert suspect.ask(SOME[:2]).tolist() == LABELS[:2].tolist()
            assert account(url)["queries"] == suspect.queries == 2
        assert "no room" in caplog.text


@pytest.mark.parametrize(
    "clients, requests", [(15, 3), pytest.param(50, 200, marks=pytest.mark.slow)]
)
def test_many_clients_at_once(clients, requests, tmp_path):
    def client(i):
        suspect = lossy(url, seed=i) if i % 5 == 0 else RemoteSuspect(url)
        suspect.timeout = suspect.patience = 300
        rng, wrong = np.random.default_rng(i), 0
        for _ in range(requests):
            chosen = rng.choice(len(SOME), rng.integers(1, 9))
            wrong += not np.array_equal(suspect.ask(SOME[chosen]), LABELS[chosen])
        return wrong, suspect.queries, suspect.cost

    with serve(Linear(), log=tmp_path / "log.sqlite") as url:
        wrong, queries, cost = zip(*together(clients, client), strict=True)
        assert sum(wrong) == 0
        books = account(url)
        assert books["queries"] == sum(queries) and books["cost"] == pytest.approx(sum(cost))
        assert books["requests"] == clients * requests


class TestRate:
    @pytest.fixture
    def clock(self, monkeypatch):
        """The clock of the service, which stands still unless it is set."""
        clock = types.SimpleNamespace(now=1000.0, sleep=time.sleep)
        clock.monotonic = lambda: clock.now
        monkeypatch.setattr(service, "time", clock)
        return clock

    def test_too_early(self, clock):
        with serve(Linear(), rate=10) as url:
            first = post(url, npy(SOME[:35]), "first")
            reply = post(url, npy(SOME[:1]))
            assert (first.status_code, reply.status_code) == (200, 429)
            assert reply.headers["Retry-After"] == "3"
            assert "10 images a second are sold" in reply.json()["error"]
            assert "after 3 s" in reply.json()["error"]
            assert post(url, npy(SOME[:35]), "first").json() == first.json()  # what is sold is sold
            assert account(url)["queries"] == 35
            clock.now += 3
            assert post(url, npy(SOME[:1])).status_code == 200

    def test_a_second_of_images_at_once(self, clock):
        with serve(Linear(), rate=8) as url:
            for sold in (9, 4):  # until a second's images are sold in advance; half a second later
                statuses = [post(url, npy(SOME[:1])).status_code for _ in range(15)]
                assert statuses == [200] * sold + [429] * (15 - sold)
                clock.now += 0.5

    def test_the_client_waits(self):
        with serve(Linear(), rate=400) as url:
            suspect = RemoteSuspect(url, timeout=300, patience=300)
            for _ in range(2):
                assert suspect.ask(SOME[:300]).tolist() == LABELS[:300].tolist()
            assert account(url)["queries"] == suspect.queries == 600

    def test_the_client_does_not_wait_for_ever(self, clock):
        with serve(Linear(), rate=1) as url:
            suspect = RemoteSuspect(url, timeout=300, patience=5)
            suspect.ask(SOME[:100])
            says = r"no answer within 5 s \(1 images a second are sold, .* after 99 s\)"
            with pytest.raises(SuspectError, match=says):
                suspect.ask(SOME[:1])


# What no service can answer: (method, path, headers, body)

GOOD = npy(SOME[:3])
LIMIT = service.HEADER + 10 + 500 * 16 * 8


def header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def claims(shape, descr="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(48)


def pickled(thing):
    full = (
        np.array({"a": thing}) if isinstance(thing, list) else np.full((1, *SHAPE), thing, object)
    )
    return npy(full, allow_pickle=True)


def spoilt(position, value):
    images = SOME[:3].astype(np.float64)
    images.flat[position] = value
    return npy(images)


BODIES = st.one_of(
    st.binary(max_size=2000),
    st.sampled_from([*"? i1 i2 u2 i8 f2 c8 S3 U2 M8[s]".split(), [("x\n", "f4"), ("y", "u1")]]).map(
        lambda dtype: npy(np.zeros((3, *SHAPE), dtype))
    ),
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(pickled),
    st.lists(st.integers(0, 6), max_size=5)
    .filter(lambda shape: not shape[:1] or shape[0] < 1 or shape[1:] != [*SHAPE])
    .map(lambda shape: npy(np.zeros(shape, np.uint8))),
    st.builds(
        spoilt,
        st.integers(0, 47),
        st.sampled_from([np.nan, np.inf, -np.inf, 255.0, 1e300])
        | st.floats(max_value=-1e-300)
        | st.floats(min_value=1.001),
    ),
    st.integers(0, len(GOOD) - 1).map(lambda end: GOOD[:end]),
    st.binary(min_size=1, max_size=100).map(lambda more: GOOD + more),
    st.integers(1, 30).map(lambda digits: claims((10**digits, *SHAPE))),
    st.integers(-(10**6), 0).map(lambda n: claims((n, *SHAPE))),
    st.sampled_from(
        [
            b"(" * 250,
            b"-" * 250 + b"1",
            b"[" * 128 + b"]" * 128,
            b"{[]: 1}",
            b"{1: 2, 'a': 3}",
            b"__import__('os').abort()",
            b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 4, 4, 1)}",
            b"{'descr': 1e999, 'fortran_order': 0, 'shape': ()}",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 4, 4, 1)",
            b"'\\d'",
            b"1_",
            b"\xff\xfe",
            b"",
            b"x" * 60000,
        ]
    ).map(lambda text: header(text) + bytes(64)),
    st.text(max_size=250).map(lambda text: header(text.encode("utf-8", "replace")[:250])),
    st.tuples(st.integers(2, 255), st.integers(0, 255)).map(
        lambda version: GOOD[:6] + bytes(version) + GOOD[8:]
    ),
    st.integers(LIMIT, 6 * LIMIT).map(lambda size: npy(np.zeros(size, np.uint8))),
    st.just(npy(np.zeros((501, *SHAPE), np.uint8))),
)
NAMED = st.builds(
    lambda body: ("POST", "/label", {"Idempotency-Key": str(uuid.uuid4())}, body), BODIES
)
NAMES = st.sampled_from([b"", b"a b", b"\xe9", b"a\tb"]) | st.integers(101, 9000).map(
    lambda n: b"x" * n
)
UNNAMED = st.just({}) | NAMES.map(lambda name: {"Idempotency-Key": name})
ELSEWHERE = st.tuples(
    st.sampled_from(["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADE-UP"]),
    st.sampled_from(["/label", "/label/", "/answers", "/../x", "/a%0Ab", "/%00", "/label?x=1"]),
) | st.tuples(st.just("POST"), st.sampled_from(["/", "/account", "/label/", "//label", "/LABEL"]))
BAD = st.one_of(
    NAMED,
    NAMED,
    st.builds(lambda headers: ("POST", "/label", headers, GOOD), UNNAMED),
    st.builds(lambda where, headers: (*where, headers, GOOD), ELSEWHERE, UNNAMED),
)


@pytest.fixture(scope="module")
def shop():
    with serve(Linear()) as address, httpx.Client(base_url=address, timeout=300) as client:
        client.suspect = RemoteSuspect(address, timeout=300)
        yield client


def test_whatever_is_wrong_gets_a_sentence_and_costs_nothing(shop):
    statuses = []

    @given(BAD)
    @settings(max_examples=120)
    def check(bad):
        method, path, headers, body = bad
        reply = shop.request(method, path, headers=headers, content=body)
        assert 400 <= reply.status_code < 500
        says = reply.json()["error"]
        assert reply.json().keys() == {"error"} and "\n" not in says
        assert 20 < len(says) < 250 and ": " in says
        assert shop.suspect.ask(SOME[:3]).tolist() == LABELS[:3].tolist()
        assert shop.get("/account").json()["queries"] == shop.suspect.queries
        statuses.append(reply.status_code)

    check()
    assert len(statuses) >= 100 and {400, 404, 405, 413} <= set(statuses)


def test_files_with_some_bits_turned(shop):
    rng, sold = np.random.default_rng(0), 0
    before = shop.get("/account").json()["queries"]
    for _ in range(100):
        body = bytearray(GOOD)
        for place in rng.integers(0, 140, rng.integers(1, 4)):
            body[place] ^= 1 << rng.integers(8)
        reply = post(shop.base_url, bytes(body))
        assert (
            reply.status_code == 200 or reply.status_code == 400 and ": " in reply.json()["error"]
        )
        sold += reply.json().get("queries", 0)
    assert shop.get("/account").json()["queries"] == before + sold < before + 150
    shop.suspect.queries += sold


HALF = b"POST /label HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nContent-Length: 9999\r\n\r\nhalf"


class TestConnections:
    def opened(self, url):
        address = httpx.URL(url)
        return socket.create_connection((address.host, address.port), 300)

    def test_a_request_that_never_arrives(self, url, monkeypatch):
        monkeypatch.setattr(service, "ARRIVES", 0.2)
        with self.opened(url) as line:
            line.sendall(HALF)
            said = line.recv(9999)
            assert b"408" in said and b"longer than 0.2 s" in said + line.recv(9999)
        monkeypatch.undo()
        assert post(url, GOOD).status_code == 200

    def test_a_client_that_hangs_up(self, url, caplog):
        for _ in range(5):
            with self.opened(url) as line:
                line.sendall(HALF)
        with self.opened(url) as line:
            line.sendall(b"What is this?\r\n\r\n")
            assert b"400 Bad Request" in line.recv(9999)
        assert post(url, GOOD).status_code == 200 and account(url)["requests"] == 1
        assert "Traceback" not in caplog.text

    def test_a_body_without_end(self, url):
        def endless():
            while True:
                yield bytes(10**5)

        try:
            headers = {"Idempotency-Key": "a"}
            reply = HTTP.post(f"{url}/label", content=endless(), headers=headers)
            assert reply.status_code == 413
        except httpx.WriteError:
            pass  # who does not stop talking need not hear why
        assert post(url, GOOD).status_code == 200 and account(url)["requests"] == 1

    def test_a_line_an_answer_is_logged(self, url, caplog):
        caplog.set_level("INFO", "wmlab")
        post(url, GOOD, "a"), post(url, GOOD, "a"), post(url, b"", "b"), HTTP.get(f"{url}/a%0Ab")
        records = [record for record in caplog.records if record.name == "wmlab.service"]
        assert [record.getMessage().partition(": ")[0] for record in records] == [
            "POST /label 200 queries 3, charged 0.03",
            "POST /label 200 queries 3, charged 0.03, again, so charged before",
            "POST /label 400 error the body is no .npy file of version 1.0",
            "GET /a%0Ab 404 error there is nothing here",
        ]


class TestServe:
    @pytest.mark.parametrize(
        "model, options, says",
        [
            (Linear(), {"price": -1}, "price is -1"),
            (Linear(), {"price": float("nan")}, "price is nan"),
            (Linear(), {"rate": 0}, "rate is 0"),
            (object(), {}, "the model takes None"),
            (Linear(), {"log": "."}, "service's log"),
            (Linear(), {"log": __file__}, "file is not a database"),
        ],
    )
    def test_what_cannot_be_served(self, model, options, says):
        with pytest.raises(ValueError, match=says), serve(model, **options):
            pass

    def test_a_model_of_no_images(self):
        flat = Linear()
        flat.input_shape = (None, 16)
        with pytest.raises(ValueError, match=r"takes \(None, 16\)"), serve(flat):
            pass

    def test_a_log_of_something_else(self, tmp_path):
        with sqlite3.connect(tmp_path / "x.sqlite") as db:
            db.execute("CREATE TABLE answers (question TEXT)")
        log = {"log": tmp_path / "x.sqlite"}
        with pytest.raises(ValueError, match="no such column"), serve(Linear(), **log):
            pass

    def test_an_address_that_is_in_use_or_none(self, url):
        for where in ({"port": httpx.URL(url).port}, {"port": 70000}, {"host": "256.0.0.1"}):
            with pytest.raises(RuntimeError, match="choose another port"), serve(Linear(), **where):
                pass
        assert account(url)["requests"] == 0

    def test_stops(self):
        before = threading.active_count()
        with serve(Linear()) as url, httpx.Client(timeout=300) as client:
            client.get(url)
        assert threading.active_count() == before
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)

    def test_stops_after_an_error(self):
        with pytest.raises(KeyError), serve(Linear()) as url:
            raise KeyError
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def answering(reply):
    """An ASGI application that sells like the service and answers every purchase with `reply`."""

    async def app(scope, receive, send):
        await (JSONResponse({"batch": 10}) if scope["path"] == "/" else reply)(scope, receive, send)

    return app


def paid(**changes):
    return JSONResponse({"labels": [1, 2], "queries": 2, "charged": 0.02} | changes)


async def murmur():
    while True:
        yield b" "
        await asyncio.sleep(0.05)


async def shout():
    while True:
        yield bytes(10**5)
        await asyncio.sleep(0)


def without_end(talk):
    async def app(scope, receive, send):
        await StreamingResponse(talk())(scope, receive, send)

    return app


class TestBadServices:
    @pytest.mark.parametrize(
        "reply, says",
        [
            (paid(labels=[1]), "gave 1 labels for 2 images"),
            (paid(labels=[1.0, 2.0]), "answered float64 values"),
            (paid(labels=[[1], [2, 3]]), "uneven length"),
            (paid(charged=None), "did not say what it charged"),
            (paid(charged=-1), "did not say what it charged"),
            (Response('{"labels": [1, 2], "charged": NaN}'), "did not say what it charged"),
            (Response("<html>Welcome"), "did not say what it charged"),
            (Response("[" * 10**5), "did not say what it charged"),
            (Response("<html>Gone", 404), "refused the request: HTTP status 404"),
            (Response("", 302), "HTTP status 302"),
            (JSONResponse({"error": "no. " * 9999}, 400), "refused the request: no. no. "),
            (
                Response("{}", headers={"Content-Encoding": "gzip"}),
                r"no answer within 0.5 s \(Error -3",
            ),
            (JSONResponse({"error": "on fire"}, 503), r"no answer within 0.5 s \(on fire\)"),
            (
                JSONResponse({"error": "later"}, 429, {"Retry-After": "9" * 5000}),
                r"no answer within 0.5 s \(later\)",
            ),
            (
                JSONResponse({"error": "later"}, 429, {"Retry-After": "Fri, 31 Dec 1999"}),
                r"no answer within 0.5 s \(later\)",
            ),
            (without_end(shout), "talks without end"),
            (without_end(murmur), "it answers too slowly"),
        ],
    )
    def test_get_one_sentence(self, reply, says):
        with service.listening(answering(reply), "127.0.0.1", 0) as url:
            suspect = RemoteSuspect(url, timeout=300, patience=0.5)
            assert suspect.terms
            suspect.timeout = 0.5 if "slowly" in says else 300
            with pytest.raises(SuspectError, match=says) as error:
                suspect.ask(SOME[:2])
        assert len(str(error.value)) < 500 and "\n" not in str(error.value)

    def test_no_service_of_labels(self):
        with service.listening(Response("<html>"), "127.0.0.1", 0) as url:
            says = "there is no service of labels at http://127.0.0.1:.*: check the address"
            with pytest.raises(SuspectError, match=says):
                RemoteSuspect(url).ask(SOME[:1])

    def test_nobody_there(self, url):
        with serve(Linear()) as gone:
            suspect = RemoteSuspect(gone, timeout=300, patience=1)
            suspect.ask(SOME[:1])
        says = f"the service at {gone} gave no answer within 1 s .*: see that it runs"
        with pytest.raises(SuspectError, match=says):
            suspect.ask(SOME[:1])
        assert suspect.queries == 1

    def test_somebody_who_is_silent(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}"
            with pytest.raises(SuspectError, match="no answer within 1 s"):
                RemoteSuspect(url, timeout=0.5, patience=1).ask(SOME[:1])

    def test_no_address(self):
        for url in ("127.0.0.1:8000", "ftp://x", "http://", "", "http://x:99999", None):
            with pytest.raises(ValueError, match="an address such as http://127.0.0.1:8000"):
                RemoteSuspect(url)


class TestCommand:
    def test_errors_are_sentences(self, tmp_path, model, url):
        from wmlab.training import save

        save(model, tmp_path / "a.keras")
        for arguments, says in [
            ([tmp_path / "b.keras"], "b.keras cannot be read as a Keras model"),
            ([tmp_path / "a.keras", "--price=-1"], "price is -1"),
            ([tmp_path / "a.keras", f"--port={httpx.URL(url).port}"], "choose another port"),
            ([tmp_path / "a.keras", "--log", tmp_path], "cannot be the service's log"),
        ]:
            with pytest.raises(SystemExit, match=says):
                main(["serve", *map(str, arguments)])

    def test_a_client_needs_no_keras(self, url, python):
        done = python(f"""if True:
            import sys, wmlab.suspects, wmlab.verification, numpy
            heavy = {{"keras", "tensorflow", "jax", "torch", "starlette", "uvicorn"}}
            assert not (heavy | {{"httpx", "tenacity"}}) & set(sys.modules)
            suspect = wmlab.suspects.RemoteSuspect("{url}", timeout=300)
            print(suspect.ask(numpy.zeros((3, 4, 4, 1))), suspect.cost)
            assert not heavy & set(sys.modules)""")
        assert done.stdout == "[0 0 0] 0.03\n", done.stderr


@pytest.fixture
def command(tmp_path, model):
    """A function that runs `python -m wmlab serve` on one model, port and file, and returns the
    process and the URL.
    """
    from wmlab.training import save

    save(model, tmp_path / "model.keras")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = []

    def start():
        serving = [sys.executable, "-m", "wmlab", "serve", tmp_path / "model.keras"]
        root = pathlib.Path(__file__).parent.parent
        with open(tmp_path / "said.txt", "w") as said:
            command = [*serving, "--port", str(port)]
            running.append(subprocess.Popen(command, cwd=root, stderr=said))
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 600
        while time.monotonic() < end and running[-1].poll() is None:
            try:
                account(url)
                return running[-1], url
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"it does not start: {(tmp_path / 'said.txt').read_text()}")

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no such kill")
def test_killed_and_restarted_in_the_middle_of_a_verification(command, model, tmp_path):
    labels = LocalSuspect(model).ask(EIGHT)
    classes, counts = np.unique(labels, return_counts=True)
    rare, common = int(classes[counts.argmin()]), int(classes[counts.argmax()])
    others, last = EIGHT[labels != rare], EIGHT[labels == rare][:1]
    single = KeySet(np.concatenate([others[:400], last]), rare, np.zeros(401, int), "fresh", 0.01)
    many = KeySet(EIGHT, common, np.zeros(1200, int), "fresh", 0.01)

    server, url = command()
    before = post(url, npy(EIGHT[:7]), "asked-before").json()
    suspect = RemoteSuspect(url, timeout=300, patience=600)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(first_hit, suspect, single)
        while account(url)["queries"] < 50 and not verdict.done():
            time.sleep(0.005)
        server.send_signal(signal.SIGKILL)
        server.wait()
        assert not verdict.done() and 0 < suspect.queries < 400
        server, _ = command()
        assert verdict.result() == first_hit(LocalSuspect(model), single)
        assert verdict.result().queries == suspect.queries == 401
        assert post(url, npy(EIGHT[:7]), "asked-before").json() == before
        assert account(url) == {"requests": 402, "queries": 408, "cost": 4.08}

        server.send_signal(signal.SIGKILL)
        server.wait()
        verdict = pool.submit(batch, suspect, many, 0.5, 5)
        server, _ = command()
        assert verdict.result() == batch(LocalSuspect(model), many, 0.5, 5)
        assert account(url) == {"requests": 405, "queries": 1608, "cost": 16.08}
        assert (suspect.queries, suspect.cost) == (1601, 16.01)

    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=600) == 0
    said = (tmp_path / "said.txt").read_text()
    assert "POST /label 200 queries 500, charged 5.0" in said and "Traceback" not in said
    assert "Stopped. What was sold is in" in said.splitlines()[-1]
    with sqlite3.connect(tmp_path / "model.sqlite") as db:
        count = "SELECT count(DISTINCT name), sum(n) FROM answers"
        assert db.execute(count).fetchone() == (405, 1608)
