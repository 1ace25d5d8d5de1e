import hashlib
import hmac
import math
import statistics
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab.secret import Commitment, Secret, Stream

SECRET = Secret("correct horse")
DIGEST = hashlib.sha256(b"some keys").hexdigest()
TEXTS = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=80).filter(str.strip)


def philox(counter, key):
    """One block of Philox 4x64-10, written after Salmon et al. (SC 2011): four 64-bit words."""
    low = 2**64 - 1
    c, k = [counter >> 64 * i & low for i in range(4)], [key >> 64 * i & low for i in range(2)]
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [b >> 64 ^ c[1] ^ k[0], b & low, a >> 64 ^ c[3] ^ k[1], a & low]
        k = [(k[0] + 0x9E3779B97F4A7C15) & low, (k[1] + 0xBB67AE8584CAA73B) & low]
    return c


def words(text, stream, blocks):
    seed = hmac.new(text.encode(), b"stream\0" + stream.encode(), hashlib.sha256).digest()
    key, start = int.from_bytes(seed[:16], "big"), int.from_bytes(seed[16:], "big") << 128
    return [word for i in range(1, blocks + 1) for word in philox(start + i, key)]


def test_stream_is_philox_seeded_by_hmac():
    for stream in ["embed", "verify", "décor"]:
        expected = [((word >> 12) + 0.5) / 2**52 for word in words("correct horse", stream, 25)]
        assert SECRET.rng(stream).uniform(100).tolist() == expected


def test_normals_agree_with_another_implementation():
    expected = [
        statistics.NormalDist().inv_cdf(((w >> 12) + 0.5) / 2**52)
        for w in words("correct horse", "embed", 250)
    ]
    assert np.allclose(SECRET.rng("embed").normal(1000), expected, rtol=0, atol=1e-13)


def test_same_secret_same_bytes_on_every_machine():
    stream = SECRET.rng("embed")
    assert hashlib.sha256(stream.uniform(1000).astype("<f8").tobytes()).hexdigest() == (
        "691125df15094e05c4636c63b311a8fafaf78e43823a0a048ac55dd800763f33"
    )
    assert stream.permutation(10).tolist() == [1, 3, 9, 4, 2, 6, 0, 8, 5, 7]


@given(TEXTS, st.text(max_size=20).filter(lambda name: name.isprintable()))
def test_same_secret_same_stream(text, name):
    assert np.array_equal(Secret(text).rng(name).uniform(5), Secret(text).rng(name).uniform(5))
    assert not np.array_equal(
        Secret(text).rng(name).uniform(5), Secret(text + "x").rng(name).uniform(5)
    )
    assert not np.array_equal(
        Secret(text).rng(name).uniform(5), Secret(text).rng(name + "x").uniform(5)
    )


@given(st.integers(0, 40), st.integers(0, 40))
def test_longer_draw_extends_a_shorter_one(n, m):
    whole = SECRET.rng("embed").normal(n + m)
    stream = SECRET.rng("embed")
    assert np.array_equal(np.concatenate([stream.normal(n), stream.normal(m)]), whole)
    assert np.array_equal(
        SECRET.rng("embed").normal((n, 3)).ravel(), SECRET.rng("embed").normal(3 * n)
    )


def test_normals_are_normal():
    x = SECRET.rng("embed").normal(200_000)
    n = len(x)
    assert abs(x.mean()) * math.sqrt(n) <= 4.5
    assert abs((x**2).mean() - 1) * math.sqrt(n / 2) <= 4.5
    assert abs((x**3).mean()) * math.sqrt(n / 15) <= 4.5
    assert abs((x**4).mean() - 3) * math.sqrt(n / 96) <= 4.5
    assert stats.kstest(x, "norm").pvalue > 1e-5


def test_uniforms_are_uniform_and_inside_the_open_interval():
    u = SECRET.rng("embed").uniform(200_000)
    assert 0 < u.min() and u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-5


@pytest.mark.parametrize("word, expected", [(0, 2.0**-53), (2**64 - 1, 1 - 2.0**-53)])
def test_extreme_bits_give_finite_normals(monkeypatch, word, expected):
    stream = SECRET.rng("embed")
    monkeypatch.setattr(
        stream,
        "_bits",
        type("Bits", (), {"random_raw": lambda _, n: np.full(n, word, np.uint64)})(),
    )
    assert stream.uniform(1)[0] == expected
    assert np.isfinite(stream.normal(1)).all()


def test_streams_are_independent():
    for other, name in [
        (SECRET, "verify"),
        (SECRET, "Embed"),
        (SECRET, ""),
        (Secret("correct horse."), "embed"),
        (Secret("Correct horse"), "embed"),
    ]:
        n = 100_000
        x, y = SECRET.rng("embed").normal(n), other.rng(name).normal(n)
        for u, v in ((x, y), (x**2, y**2), (x[1:], y[:-1]), (x[:-1], y[1:])):
            assert abs(np.corrcoef(u, v)[0, 1]) * math.sqrt(n) <= 4.5


def test_a_stream_has_no_memory():
    x = SECRET.rng("embed").normal(100_000)
    for lag in (1, 2, 4, 784):
        assert abs(np.corrcoef(x[lag:], x[:-lag])[0, 1]) * math.sqrt(len(x)) <= 4.5


def test_permutations_are_even():
    stream = SECRET.rng("order")
    counts = np.zeros((5, 5))
    for _ in range(2000):
        order = stream.permutation(5)
        assert sorted(order) == list(range(5))
        counts[np.arange(5), order] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 1e-5


@given(TEXTS)
def test_nothing_printed_shows_the_text(text):
    secret = Secret(text)
    assert {repr(secret), str(secret), f"{secret}", f"{secret!r:}"} == {"Secret(hidden)"}
    commitment = secret.commit(DIGEST)
    shown = repr(commitment) + str(commitment)
    assert commitment.nonce.hex() not in shown and repr(commitment.nonce)[2:-1] not in shown


def test_a_secret_has_no_hash_to_test_guesses_against():
    with pytest.raises(TypeError, match="unhashable"):
        hash(SECRET)


def test_one_word_in_two_encodings_is_one_secret():
    for text in ["é", "Å", "한국어", "ñandú"]:
        composed, taken_apart = (
            unicodedata.normalize("NFC", text),
            unicodedata.normalize("NFD", text),
        )
        assert composed != taken_apart
        assert Secret(composed) == Secret(taken_apart)
        assert np.array_equal(
            Secret(composed).rng("embed").uniform(9), Secret(taken_apart).rng("embed").uniform(9)
        )


@given(TEXTS, TEXTS)
def test_secrets_are_equal_if_their_texts_are(one, two):
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", two)
    assert (Secret(one) == Secret(two)) is same
    assert (Secret(one) != Secret(two)) is not same
    assert Secret(one) != one


def test_a_secret_of_a_secret_is_the_same():
    assert Secret(Secret("Ünique")) == Secret("Ünique")


def test_an_empty_secret_is_refused():
    for text in ["", " ", "\n\t ", "\u3000"]:
        with pytest.raises(ValueError, match="the secret is empty"):
            Secret(text)


def test_a_secret_is_a_text():
    for text in [None, 7, 1.5, b"bytes", ["a"], True]:
        with pytest.raises(TypeError, match=f"a secret is a text, not {type(text).__name__}"):
            Secret(text)


def test_random_secrets_differ_and_have_128_bits():
    made = [Secret.random() for _ in range(50)]
    assert all(made[i] != made[j] for i in range(50) for j in range(i))
    assert all(len(secret._text) == 32 for secret in made)


def test_commitment_is_the_published_formula():
    nonce = bytes(range(32))
    inner = hashlib.sha256(b"correct horse").digest()
    assert (
        SECRET.commit(DIGEST, nonce).published
        == hashlib.sha256(nonce + inner + DIGEST.encode()).hexdigest()
    )


@given(TEXTS)
def test_commitment_opens_for_what_was_committed_and_nothing_else(text):
    secret = Secret(text)
    commitment = secret.commit(DIGEST)
    assert commitment.opens(secret, DIGEST)
    assert not commitment.opens(Secret(text + "x"), DIGEST)
    assert not commitment.opens(secret, DIGEST[:-1] + ("0" if DIGEST[-1] != "0" else "1"))
    assert not commitment.opens(secret, "")
    assert not Commitment(commitment.published, bytes(32)).opens(secret, DIGEST)
    assert not Commitment(SECRET.commit("else").published, commitment.nonce).opens(secret, DIGEST)


def test_two_commitments_to_one_thing_tell_nothing():
    one, two = SECRET.commit(DIGEST), SECRET.commit(DIGEST)
    assert one.published != two.published and one.nonce != two.nonce
    assert len(one.nonce) == len(two.nonce) == 32


def test_a_nonce_has_32_bytes():
    for length in [0, 16, 31, 33, 64]:
        with pytest.raises(ValueError, match=f"a nonce has 32 bytes, this one has {length}"):
            SECRET.commit(DIGEST, bytes(length))


def test_no_stream_can_be_rebuilt_from_a_commitment():
    for text in [
        "correct horse",
        "a phrase longer than the 64 bytes of a block of SHA-256, on purpose, yes",
    ]:
        for stream in ["embed", "verify", "pattern"]:
            secret = Secret(text)
            commitment = secret.commit(DIGEST, bytes(range(32)))
            published, nonce = bytes.fromhex(commitment.published), commitment.nonce
            # whatever a reader of the published value, or of the opened nonce, may take for a seed
            tries = [Stream(published), Stream(nonce), Secret(commitment.published).rng(stream)]
            for key in (published, commitment.published.encode(), nonce, nonce + published):
                tries.append(Stream(hmac.digest(key, b"stream\0" + stream.encode(), "sha256")))
                tries.append(Stream(hashlib.sha256(key).digest()))
            true = secret.rng(stream).uniform(50)
            for guess in tries:
                assert not np.isclose(guess.uniform(50), true, atol=1e-6).any()
