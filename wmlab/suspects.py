"""Suspects: black boxes that answer a label for each image, count the queries, and charge for them.

A LocalSuspect is in this process, a RemoteSuspect at an address where `serve` sells a model. keras
is not imported at the top, because a client does not need it.
"""

import contextlib
import functools
import hashlib
import io
import ipaddress
import json
import math
import time
import uuid

import numpy as np

from wmlab.keys import check_images

LONGEST = 10**6  # bytes of a reply that are read


class SuspectError(RuntimeError):
    """A suspect did not answer as agreed: one label for each image."""


class LocalSuspect:
    """A model in this process that sells its labels.

    model: a keras model that gives each image logits or probabilities. price: of one answer, in
    any currency. queries, cost: answers bought so far, and what they cost. Raises ValueError for a
    model that does not take images or names no classes.
    """

    def __init__(self, model, price=0.01):
        from wmlab.networks import check_classifier

        check_classifier(model)
        self.model, self.price, self.queries = model, price, 0

    @property
    def cost(self):
        """Price of all answers so far."""
        return self.queries * self.price

    def ask(self, images):
        """Labels of the images (n, height, width, channels), floats in [0, 1]: int64 (n,). Each is
        one paid query. Raises SuspectError, and charges nothing, if outputs are no numbers.
        """
        from wmlab.training import predict

        if len(images):
            check_images(images)
        labels = predict(self.model, images)
        if (labels < 0).any():
            raise SuspectError(
                f"the model gives outputs that are not finite for {(labels < 0).sum()} of "
                f"{len(labels)} images: they name no label"
            )
        self.queries += len(images)
        return labels


class Seized(LocalSuspect):
    """A model that a court has seized: its weights and activations can be read, and `model` is it.
    Arguments and errors as in `LocalSuspect`.
    """


def opened(suspect, access):
    """The keras model of a `Seized` suspect, or of one that is given as a model.

    access: what a scheme reads, "activations" or "weights". Raises SuspectError, in one sentence,
    for a suspect that sells labels.
    """
    if isinstance(suspect, Seized):
        return suspect.model
    if hasattr(suspect, "ask"):
        raise SuspectError(
            f"this mark is read from {access}, and a {type(suspect).__name__} sells labels only: "
            "have the model seized, and pass Seized(model)"
        )
    return Seized(suspect).model


class RemoteSuspect:
    """A model behind a paid service, at the address that `serve` gave.

    url: such as "http://127.0.0.1:8000". timeout: seconds that one attempt may take. patience:
    seconds in which a request is repeated if the service is away, too busy, or fails; a repeated
    request has the same name and is paid for once. queries, cost: answers bought so far, and what
    the service charged for them. Raises ValueError for a url that is no address.
    """

    def __init__(self, url, timeout=10, patience=60):
        import httpx

        try:
            address = httpx.URL(url)
        except (TypeError, httpx.InvalidURL):
            address = httpx.URL("")
        if (
            address.scheme not in ("http", "https")
            or not address.host
            or (address.port or 0) > 65535
        ):
            raise ValueError(
                f"the url is {url!r}, but must be an address such as http://127.0.0.1:8000"
            )
        self.url, self.timeout, self.patience = url, timeout, patience
        self.queries, self.cost = 0, 0.0
        self._names = {}  # of requests without an answer so far, by the digest of their bodies
        near = address.host == "localhost"  # which no proxy reaches, as no private address
        with contextlib.suppress(ValueError):
            near = ipaddress.ip_address(address.host).is_private
        try:
            self._http = httpx.Client(base_url=address, timeout=timeout, trust_env=not near)
        except (ImportError, ValueError) as error:
            raise ValueError(
                f"the proxy that the environment names cannot be used ({error}): unset ALL_PROXY, "
                "HTTP_PROXY and HTTPS_PROXY"
            ) from error

    @functools.cached_property
    def terms(self):
        """What the service sells: a dict of `image` (its shape), `price`, `batch` (the largest) and
        `rate` (images a second, or None).
        """
        terms = self._request("GET", "/")
        if not isinstance(terms.get("batch"), int) or terms["batch"] < 1:
            raise SuspectError(f"there is no service of labels at {self.url}: check the address")
        return terms

    def ask(self, images):
        """Labels of the images (n, height, width, channels), floats in [0, 1]: int64 (n,). Each is
        one paid query.

        Raises SuspectError if the service refuses, answers anything but labels, or does not answer
        for `patience` seconds. The same images asked again are then the same request, so that an
        answer that was lost is not paid for twice.
        """
        if not len(images):
            return np.empty(0, np.int64)
        check_images(images)
        batch = self.terms["batch"]
        return np.concatenate(
            [self._buy(images[i : i + batch]) for i in range(0, len(images), batch)]
        )

    def _buy(self, images):
        body = _packed(images)
        digest = hashlib.sha256(body).digest()
        name = self._names.setdefault(digest, str(uuid.uuid4()))
        answer = self._request("POST", "/label", content=body, headers={"Idempotency-Key": name})
        charged = answer.get("charged")
        if not isinstance(charged, (int, float)) or not 0 <= charged < math.inf:
            raise SuspectError(
                f"the service at {self.url} did not say what it charged: check the address"
            )
        self._names.pop(digest, None)
        self.queries += len(images)
        self.cost = round(self.cost + charged, 9)  # less what binary fractions add
        return _labels(answer.get("labels"), len(images))

    def _request(self, method, path, **content):
        """The answer of the service: a dict. Raises SuspectError if it refuses or time is up."""
        import httpx
        import tenacity

        backoff = tenacity.wait_exponential(0.1, max=5) + tenacity.wait_random(0, 0.2)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.RequestError, _Later)),
            reraise=True,
            wait=lambda state: getattr(state.outcome.exception(), "seconds", 0) + backoff(state),
            stop=tenacity.stop_before_delay(self.patience),
        )
        try:
            return attempts(self._attempt, method, path, **content)
        except (httpx.RequestError, _Later) as error:
            raise SuspectError(
                f"the service at {self.url} gave no answer within {self.patience:g} s "
                f"({str(error) or type(error).__name__}): see that it runs, and ask again"
            ) from error

    def _attempt(self, method, path, **content):
        import httpx

        start, text = time.monotonic(), bytearray()
        with self._http.stream(method, path, **content) as reply:
            for part in reply.iter_bytes():
                text += part
                if len(text) > LONGEST:
                    raise SuspectError(
                        f"the service at {self.url} talks without end: check the address"
                    )
                if time.monotonic() - start > self.timeout:
                    raise httpx.ReadTimeout("it answers too slowly")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        if reply.is_success:
            return answer
        says = str(answer.get("error") or f"HTTP status {reply.status_code}")[:300]
        if reply.is_server_error or reply.status_code in (408, 429):
            after = reply.headers.get("Retry-After", "")[:9]
            raise _Later(says, int(after) if after.isdecimal() else 0)
        raise SuspectError(f"the service at {self.url} refused the request: {says}")


class _Later(Exception):
    """The service asks for patience, for a number of seconds if it names one."""

    def __init__(self, says, seconds):
        super().__init__(says)
        self.seconds = seconds


def _packed(images):
    """The bytes of an .npy file: 8 bits a value if that loses nothing, as with keys, else 32."""
    images = np.ascontiguousarray(images, np.float32)
    pixels = np.round(images * 255).astype(np.uint8)
    exact = np.array_equal(pixels / np.float32(255), images)
    file = io.BytesIO()
    np.save(file, pixels if exact else images, allow_pickle=False)
    return file.getvalue()


@contextlib.contextmanager
def serve(model, *, price=0.01, rate=None, log=None, host="127.0.0.1", port=0):
    """Sell the labels of a model over HTTP while a `with` block lasts; yields the URL for a
    `RemoteSuspect`.

    model: takes images (n, height, width, 1 or 3) in [0, 1]. price: of one answer. rate: images
    sold a second, to all clients together, or None for no limit. log: an SQLite file with a row for
    each answer, with which a service that was stopped or killed goes on; None keeps the log in
    memory. host: the address to listen at; by default only this machine can reach it. port: 0 takes
    a free one. Raises ValueError for what cannot be served, RuntimeError for an address that is not
    free. `wmlab/service.py` describes the protocol.
    """
    from wmlab.service import Service, listening

    with (
        contextlib.closing(Service(model, price, rate, log)) as service,
        listening(service.app, host, port) as url,
    ):
        yield url


def ask(suspect, images):
    """Ask any suspect, and check the answer: labels int64 (n,). Raises SuspectError unless there is
    one label for each image.
    """
    return _labels(suspect.ask(images), len(images))


def _labels(answer, n):
    try:
        labels = np.asarray([] if answer is None else answer)
    except ValueError:
        raise SuspectError(
            "the suspect gave lists of uneven length: it owes one label a query"
        ) from None
    if labels.shape != (n,):
        raise SuspectError(
            f"the suspect gave {labels.size} labels for {n} images: it owes one a query"
        )
    if labels.dtype.kind not in "iu":
        raise SuspectError(f"the suspect answered {labels.dtype} values, not whole-numbered labels")
    return labels.astype(np.int64)
