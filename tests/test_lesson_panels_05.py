"""Notebook 05's panels: every number against an independent computation or a simulation, every
position of every control.
"""

import fractions
import html
import itertools
import math
import re
import statistics
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wmlab import lessons
from wmlab.lessons import check, expected_queries
from wmlab.show import figures

F = fractions.Fraction
FAR = 4.5  # standard errors
TRIALS = 40_000
MADE = {
    "race": expected_queries.race,
    "settle": expected_queries.settle,
    "batch": expected_queries.batch,
    "compare": expected_queries.compare,
    "notice": expected_queries.notice,
}
every_panel = pytest.mark.parametrize("name", MADE)


@pytest.fixture(scope="module")
def panels():
    return {name: make() for name, make in MADE.items()}


@pytest.fixture(autouse=True)
def from_the_start(panels):
    for panel in panels.values():
        panel.reset()


def text(panel):
    return html.unescape(re.sub("<[^>]*>", "", panel.caption.value))


def positions(control):
    """All values that a control can take, or some fifteen of them."""
    if hasattr(control, "options"):
        return [value for _, value in control.options]
    steps = round((control.max - control.min) / control.step)
    return [
        round(control.min + step * control.step, 9)
        for step in range(0, steps + 1, max(1, steps // 15))
    ] + [control.max]


def assert_mean(samples, expected):
    samples = np.asarray(samples, float)
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) <= FAR * error + 1e-9, (
        f"{samples.mean()} ± {error}, expected {expected}"
    )


def assert_share(samples, expected):
    """Of things that happen or not, and perhaps hardly ever."""
    error = math.sqrt(expected * (1 - expected) / len(samples))
    assert abs(np.mean(samples) - expected) <= FAR * error + 1 / len(samples), (
        f"{np.mean(samples)} ± {error}, expected {expected}"
    )


def tail(hits, n, p):
    """Probability of so many hits or more, in fractions."""
    p = F(str(p))
    return float(sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(hits, n + 1)))


def count_test(p, p0, power=0.9, fpr=0.1):
    """(queries, hits needed), by trying all."""
    return next(
        (n, hits)
        for n in range(1, 99)
        for hits in range(n + 1)
        if tail(hits, n, p) >= power and tail(hits, n, p0) <= fpr
    )


def accuracy(p, n, tau, strict=True):
    """Probability to pass the batch rule, in fractions."""
    hit, share = F(str(p)), F(str(tau))
    return float(
        sum(
            math.comb(n, m) * (1 - hit) ** m * hit ** (n - m)
            for m in range(n + 1)
            if (m < share * n if strict else m <= share * n)
        )
    )


# judges written once more, answer by answer


def first_hit(hits, keys):
    for n in range(keys):
        if hits[n]:
            return n + 1, True
    return keys, False


def fixed_batch(hits, keys, tau):
    misses = sum(1 for hit in hits[:keys] if not hit)
    return keys, misses < F(str(tau)) * keys


def wald(hits, p1, p0, power=0.9, fpr=0.1):
    """By the ratio itself, a product."""
    ratio = 1.0
    for n, hit in enumerate(hits, 1):
        ratio *= p1 / p0 if hit else (1 - p1) / (1 - p0)
        if ratio * fpr >= 1 or ratio <= 1 - power:
            return n, ratio > 1
    return len(hits), None


def streams(p, length=120, seed=11):
    return np.random.default_rng(seed).random((TRIALS, length)) < p


# every panel


@every_panel
def test_every_position_of_every_control_draws_and_says_something_else(panels, name):
    panel = panels[name]
    for setting, control in panel.controls.items():
        said = set()
        for value in positions(control):
            panel.set(**{setting: value})
            assert panel.error is None
            said.add(panel.caption.value)
            for trace in panel.figure.data:
                numbers = [
                    v
                    for axis in (trace.x, trace.y)
                    if axis is not None
                    for v in axis
                    if v is not None
                ]
                assert np.isfinite(np.array(numbers, float)).all(), f"{setting} = {value}"
        panel.reset()
        assert len(said) > 1, f"{setting} changes nothing"


@every_panel
def test_extremes_together(panels, name):
    panel = panels[name]
    ends = {
        setting: (positions(control)[0], positions(control)[-1])
        for setting, control in panel.controls.items()
    }
    for values in itertools.product(*ends.values()):
        panel.set(**dict(zip(ends, values, strict=True)))
        assert panel.error is None and "nan" not in text(panel) and "inf" not in text(panel)


@every_panel
def test_presets_and_reset_come_from_the_front_end_without_an_error(panels, name):
    panel = panels[name]
    start = panel.settings()
    for button in panel.widget.children[1].children:
        if button.description in panel.presets:
            button.click()
            assert (
                panel.error is None
                and panel.settings() == start | panel.presets[button.description]
            )
    panel.reset()
    assert panel.settings() == start


@every_panel
def test_it_opens_with_one_slider(panels, name):
    panel = panels[name]
    assert len(panel._row.children) == 1 < len(panel.controls)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("race", {"p": 1.2}),
        ("race", {"p0": 0}),
        ("race", {"keys": 61}),
        ("race", {"stream": 0}),
        ("settle", {"trials": 7}),
        ("settle", {"p": 0}),
        ("settle", {"keys": 0}),
        ("batch", {"p": 0.3}),
        ("batch", {"tau": 0.9}),
        ("batch", {"accuracy": 1}),
        ("compare", {"p0": 0.8}),
        ("compare", {"p": 1}),
        ("compare", {"power": 0.5}),
        ("compare", {"fpr": "few"}),
        ("notice", {"noticed": 0}),
        ("notice", {"price": -1}),
        ("notice", {"keys": 0}),
        ("compare", {"gamma": 1}),
    ],
)
def test_a_value_that_a_control_cannot_take_is_refused(panels, name, wrong):
    panel = panels[name]
    before, said = panel.settings(), panel.caption.value
    with pytest.raises(ValueError, match="cannot be|has no gamma"):
        panel.set(**wrong)
    assert panel.settings() == before and panel.caption.value == said


@every_panel
def test_a_change_takes_less_than_50_ms(panels, name):
    """Of processor time, as others share the machine; the median over positions that were not drawn
    before.
    """
    panel, taken = MADE[name](), []
    worst = {
        "compare": {"power": 0.99, "fpr": 0.001, "p0": 0.3},
        "settle": {"trials": 100_000},
        "notice": {"p0": 0.3},
    }
    panel.set(**worst.get(name, {}))
    for value in positions(panel.controls["p"]):
        started = time.process_time()
        panel.set(p=value)
        taken.append(time.process_time() - started)
    assert statistics.median(taken) < 0.05, [f"{1000 * each:.0f} ms" for each in taken]


def test_neither_lesson_nor_panels_load_keras(python):
    code = (
        "import sys, wmlab\nwmlab.setup(keras=False)\nfrom wmlab.lessons import expected_queries\n"
        "expected_queries.race(), expected_queries.settle(), expected_queries.batch(), expected_queries.compare(), expected_queries.notice()\n"
        "print(*[name for name in ('keras', 'tensorflow', 'jax', 'torch') if name in sys.modules])"
    )
    done = python(code)
    assert done.returncode == 0 and done.stdout.strip() == "", done.stderr


# the race


@settings(max_examples=60)
@given(
    st.integers(0, 20).map(lambda n: n / 20),
    st.integers(1, 200),
    st.integers(1, 60),
    st.integers(1, 19).map(lambda n: n / 20),
    st.sampled_from(expected_queries.P0),
)
def test_verdicts_are_those_of_judges_written_once_more(p, stream, keys, tau, p0):
    race = expected_queries.race_of(stream=stream, p=p, keys=keys, tau=tau, p0=p0)
    hits = race["hits"].tolist()
    assert race["ends"] == {
        "first hit": first_hit(hits, keys),
        "fixed batch": fixed_batch(hits, keys, tau),
        "sequential": wald(hits, 0.8, p0),
    }
    assert race["misses"] == keys - sum(hits[:keys])
    assert race["allowed"] == max(m for m in range(-1, keys + 1) if m < F(str(tau)) * keys)
    bought = race["ends"]["sequential"][0]
    got = np.r_[0, np.cumsum(hits[:bought])]
    likely = stats.binom.logpmf(got, range(bought + 1), 0.8) - stats.binom.logpmf(
        got, range(bought + 1), p0
    )
    assert np.allclose(race["evidence"], likely)


def test_exactly_as_many_misses_as_the_threshold_do_not_convict():
    races = [expected_queries.race_of(stream, 0.7, 10, 0.3, 0.1) for stream in range(1, 201)]
    tied = [race for race in races if race["misses"] == 3]
    assert len(tied) > 20 and not any(race["ends"]["fixed batch"][1] for race in tied)
    assert all(race["ends"]["fixed batch"][1] == (race["misses"] < 3) for race in races)


def test_a_stream_hits_with_p_and_p_moves_it_one_way():
    rates = [
        expected_queries.race_of(stream=stream, p=0.35, keys=9, tau=0.3, p0=0.1)["hits"]
        for stream in range(1, 201)
    ]
    assert_mean(np.concatenate(rates), 0.35)
    assert len({hits.tobytes() for hits in rates}) == 200
    more = expected_queries.race_of(stream=3, p=0.6, keys=9, tau=0.3, p0=0.1)["hits"]
    assert (more >= rates[2]).all() and more.sum() > rates[2].sum(), (
        "more hits, where there were none"
    )
    assert not expected_queries.race_of(stream=3, p=0.0, keys=9, tau=0.3, p0=0.1)["hits"].any()
    assert expected_queries.race_of(stream=3, p=1.0, keys=9, tau=0.3, p0=0.1)["hits"].all()


@pytest.mark.parametrize(
    ("p", "keys", "tau", "p0"),
    [(0.8, 40, 0.3, 0.1), (0.1, 12, 0.3, 0.1), (0.5, 7, 0.5, 0.3), (0.05, 25, 0.8, 0.003)],
)
def test_means_and_shares_of_the_race_against_simulated_judges(p, keys, tau, p0):
    race, hits = expected_queries.race_of(stream=1, p=p, keys=keys, tau=tau, p0=p0), streams(p)
    ends = (
        [first_hit(row, keys) for row in hits[:4000].tolist()],
        [fixed_batch(row, keys, tau) for row in hits[:4000].tolist()],
        [wald(row, 0.8, p0) for row in hits[:20_000].tolist()],
    )
    for judge, mean, found in zip(ends, race["means"], race["found"], strict=True):
        bought, marked = np.array(judge, float).T
        assert_mean(bought, mean)
        assert_share(marked, found)


def test_the_picture_of_the_race(panels):
    panel = panels["race"]
    for settings_ in (
        {},
        {"p": 0.5, "stream": 6},
        {"p": 0.0},
        {"p": 1.0},
        {"keys": 60},
        {"p0": 0.001, "p": 0.2},
    ):
        panel.reset()
        panel.set(**settings_)
        hit, miss, *lanes, evidence = panel.figure.data
        hits = panel.result["hits"]
        drawn = [[x for x in trace.x if x is not None] for trace in (hit, miss)]
        assert drawn == [
            [n for n, got in enumerate(hits, 1) if got == which] for which in (True, False)
        ]
        for lane, (name, (bought, marked)) in zip(lanes, panel.result["ends"].items(), strict=True):
            assert lane.name == name and list(lane.x) == [0, bought] and len(set(lane.y)) == 1
            assert (
                lane.text[1].strip()
                == f"{ {True: 'marked', False: 'not marked', None: 'still undecided'}[marked] }, {bought}"
            )
            assert (lane.textposition == "middle right") == (bought <= 36), "or it would not fit"
        assert (
            len({lane.y[0] for lane in lanes}) == 3
            and len({trace.marker.symbol for trace in panel.figure.data[:5]}) == 5
        )
        low, high = panel.figure.layout.yaxis2.range
        assert (
            np.allclose(evidence.y, panel.result["evidence"])
            and low < min(evidence.y)
            and max(evidence.y) < high
        )
        limits = sorted(shape.y0 for shape in panel.figure.layout.shapes)
        assert (
            np.allclose(limits, [-math.log(10), math.log(10)])
            and low < limits[0]
            and limits[1] < high
        )


def test_the_caption_of_the_race(panels):
    panel = panels["race"]
    panel.set(p=0.5, stream=6)
    hits = panel.result["hits"].tolist()
    misses = 40 - sum(hits[:40])
    wanted = (first_hit(hits, 40)[0], 40, wald(hits, 0.8, 0.1)[0])
    assert wanted == (2, 40, 3) and misses == 19
    assert text(panel).startswith(
        "Stream 6 of a suspect with p = 0.50: first hit says marked after 2; fixed batch says not marked "
        "after 40 (19 misses, 11 allowed); sequential says marked after 3."
    )
    means, shares = (
        re.search(pattern, text(panel))[1].split(", ")
        for pattern in ("buy (.*) answers", "“marked” in (.*) of them")
    )
    assert [float(mean) for mean in means] == [2, 40, float(f"{panel.result['means'][2]:.3g}")]
    assert shares[:2] == ["100.0%", f"{accuracy(0.5, 40, 0.3):.1%}"]


def test_dust_on_a_slider_is_wiped_off():
    """0.1 + 0.2 is 0.30000000000000004, which would allow one miss more in 40 keys."""
    assert expected_queries.race_of(1, 0.8, 40, 0.1 + 0.2, 0.1)["allowed"] == 11
    assert expected_queries.race_of(1, 0.8, 25, 0.28 + 1e-16, 0.1)["allowed"] == 6
    dusty, clean = (expected_queries.batch_of(0.8, 40, tau, 0.9) for tau in (0.1 + 0.2, 0.3))
    assert (
        dusty["first"] == clean["first"]
        and (dusty["curves"]["θ < τ|K|"] == clean["curves"]["θ < τ|K|"]).all()
    )
    dusty = expected_queries.compare_of(0.1, 0.7 + 0.1, 0.9, 0.1, 0.1 + 0.2, 40)
    assert dusty["curves"] == expected_queries.compare_of(0.1, 0.8, 0.9, 0.1, 0.3, 40)["curves"]
    assert (
        expected_queries.notice_of(0.05, 1, 0.7 + 0.1, 0.1, 40)["exact"]
        == expected_queries.notice_of(0.05, 1, 0.8, 0.1, 40)["exact"]
    )


# the mean that settles


@pytest.mark.parametrize(
    ("p", "keys"), [(0.8, 40), (0.001, 40), (0.1, 5), (0.02, 100), (0.99, 3), (0.5, 1)]
)
def test_the_mean_settles_on_the_exact_one(p, keys):
    drawn = expected_queries.settling(100_000, p, keys)
    hit = F(str(p))
    limited = sum(k * (1 - hit) ** (k - 1) * hit for k in range(1, keys + 1))
    exact = {
        "E[q]": limited + keys * (1 - hit) ** keys,
        "the paper's sum": limited,
        "1/p": 1 / hit,
        "⌈1/p⌉": math.ceil(1 / hit),
    }
    assert drawn["lines"] == {name: pytest.approx(float(value)) for name, value in exact.items()}
    assert abs(drawn["mean"][-1] - float(exact["E[q]"])) <= FAR * drawn["error"][-1] + 1e-12
    assert drawn["x"][0] == 2 and drawn["x"][-1] == 100_000 and (np.diff(drawn["x"]) > 0).all()
    spread = (
        sum(k**2 * (1 - hit) ** (k - 1) * hit for k in range(1, keys + 1))
        + keys**2 * (1 - hit) ** keys
        - exact["E[q]"] ** 2
    )
    assert drawn["error"][-1] == pytest.approx(math.sqrt(spread / 100_000), rel=0.05, abs=1e-12)


def test_mean_and_error_are_those_of_the_trials_so_far():
    few, many = expected_queries.settling(30, 0.3, 8), expected_queries.settling(3000, 0.3, 8)
    bought = np.minimum(expected_queries._trials(0.3), 8)
    for drawn in (few, many):
        for x, mean, error in zip(drawn["x"], drawn["mean"], drawn["error"], strict=True):
            assert mean == pytest.approx(bought[:x].mean())
            assert error == pytest.approx(bought[:x].std(ddof=1) / math.sqrt(x), abs=1e-12)
    assert few["x"][-1] == 30


def test_the_picture_of_the_mean(panels):
    panel = panels["settle"]
    for p, trials in ((0.8, 100), (0.001, 1000), (0.1, 10), (0.99, 100_000)):
        panel.set(p=p, trials=trials)
        band, mean, *lines = panel.figure.data
        half = len(panel.result["x"])
        assert list(mean.x) == panel.result["x"].tolist() and np.allclose(
            mean.y, panel.result["mean"]
        )
        assert list(band.x) == [*mean.x, *mean.x[::-1]]
        assert np.allclose(band.y[:half], panel.result["mean"] + 2 * panel.result["error"])
        assert np.allclose(band.y[half:], (panel.result["mean"] - 2 * panel.result["error"])[::-1])
        low, top = panel.figure.layout.yaxis.range
        for line, (name, value) in zip(lines, panel.result["lines"].items(), strict=True):
            assert list(line.y) == [value, value] and line.name == f"{name} = {value:.4g}"
            assert (line.name in text(panel).partition("Above the picture: ")[2]) == (value > top)
        assert low == 0 and panel.result["lines"]["E[q]"] < top / 1.5
        assert len({line.line.dash for line in lines}) == 4
        assert f"{trials:,} trials took {panel.result['mean'][-1]:.4g} queries" in text(panel)
        assert f"standard error of {panel.result['error'][-1]:.2g}" in text(panel)
        assert panel.figure.layout.xaxis.range[1] >= 5


# the batch rule


@pytest.mark.parametrize(
    ("p", "tau", "wanted"),
    [
        (0.8, 0.3, 0.9),
        (0.75, 0.3, 0.9),
        (0.85, 0.3, 0.99),
        (0.8, 0.28, 0.8),
        (0.9, 0.29, 0.95),
        (0.7, 0.3, 0.9),
        (0.6, 0.2, 0.9),
    ],
)
def test_the_saw_tooth_and_the_numbers_that_reach(p, tau, wanted):
    drawn = expected_queries.batch_of(p, 40, tau, wanted)
    for name, strict in (("θ < τ|K|", True), ("θ ≤ τ|K|", False)):
        exact = np.array([accuracy(p, n, tau, strict) for n in range(1, 321)])
        assert np.allclose(drawn["curves"][name], exact[:160])
        reach = [n for n in range(1, 161) if exact[n - 1] >= wanted]
        tens = [n for n in reach if n % 10 == 0]
        fewest, ten, lasting = drawn["first"][name]
        assert (fewest, ten) == (reach[0] if reach else None, tens[0] if tens else None)
        if p + tau <= 1 + 1e-9:
            assert lasting is None
        else:
            assert exact[lasting - 2] < wanted or lasting == 1
            assert lasting > 320 or (exact[lasting - 1 :] >= wanted).all()


def test_the_picture_of_the_batch_rule(panels):
    panel = panels["batch"]
    for settings_ in ({}, {"p": 0.75, "keys": 97}, {"tau": 0.2, "accuracy": 0.99}, {"p": 0.7}):
        panel.set(**settings_)
        strict, other, mine = panel.figure.data
        for trace, name in ((strict, "θ < τ|K|"), (other, "θ ≤ τ|K|")):
            assert html.unescape(trace.name) == name and list(trace.x) == list(range(1, 161))
            assert np.allclose(trace.y, panel.result["curves"][name])
        keys, wanted = panel.settings()["keys"], panel.settings()["accuracy"]
        assert list(mine.x) == [keys, keys] and list(mine.y) == [
            strict.y[keys - 1],
            other.y[keys - 1],
        ]
        assert panel.figure.layout.shapes[0].y0 == panel.figure.layout.shapes[0].y1 == wanted
        for name, trace in zip(expected_queries.RULES, (strict, other), strict=True):
            assert (
                f"with {name}, Acc({keys}) = {trace.y[keys - 1]:.4f}, and the first |K| to reach {wanted:.0%} is"
                in text(panel)
            )
    assert "no number up to 160, of multiples of ten none, for good none" in text(panel)
    panel.reset()
    assert (
        "is 24, of multiples of ten 40, for good 34; with θ ≤ τ|K|, Acc(40) = 0.9568, and"
        in text(panel)
    )


# like with like


@pytest.mark.parametrize(
    ("p", "p0", "power", "fpr", "tau", "keys"),
    [
        (0.8, 0.1, 0.9, 0.1, 0.3, 40),
        (0.8, 0.003, 0.9, 0.1, 0.3, 40),
        (0.6, 0.3, 0.8, 0.05, 0.5, 15),
        (0.95, 0.01, 0.99, 0.001, 0.1, 5),
        (0.95, 0.3, 0.9, 0.05, 0.5, 3),
    ],
)
def test_the_table_of_judges(p, p0, power, fpr, tau, keys):
    table = expected_queries.judges(p, p0, power, fpr, tau, keys)
    assert (
        table["holds"] == ((table["marked found"] >= power) & (table["innocent accused"] <= fpr))
    ).all()
    limit = next(n for n in range(1, 99) if 1 - (1 - F(str(p))) ** n >= F(str(power)))
    for name, null in (("new label, first hit", 0), ("wrong label, first hit", p0)):
        means = [sum((1 - rate) ** k for k in range(limit)) for rate in (p, null)]
        assert table.loc[name].tolist()[:5] == [
            limit,
            *map(pytest.approx, (*means, tail(1, limit, p), tail(1, limit, null))),
        ]
    held = [
        n for n in range(1, 200) if accuracy(p, n, tau) >= power and accuracy(p0, n, tau) <= fpr
    ]
    sizes = {
        f"batch rule, |K| = {keys}": keys,
        f"batch rule, fewest |K| with τ = {tau:g}": held[0] if held else None,
    }
    for name, size in sizes.items():
        if size:
            wanted = (accuracy(p, size, tau), accuracy(p0, size, tau))
            assert table.loc[name].tolist()[:5] == [size, size, size, *map(pytest.approx, wanted)]
        else:
            assert name not in table.index
    n, hits = count_test(p, p0, power, fpr)
    row = table.loc[f"Neyman-Pearson, {hits} {'hit' if hits == 1 else 'hits'} in {n}"]
    assert (
        row.tolist()[:5] == [n, n, n, *map(pytest.approx, (tail(hits, n, p), tail(hits, n, p0)))]
        and row["holds"]
    )
    row = table.loc["sequential"]
    for rate, mean, share in (
        (p, "mean if marked", "marked found"),
        (p0, "mean if innocent", "innocent accused"),
    ):
        bought, marked = np.array(
            [wald(hits, p, p0, power, fpr) for hits in streams(rate)[:20_000].tolist()], float
        ).T
        assert_mean(bought, row[mean])
        assert_share(marked, row[share])
    assert row["holds"] and math.isinf(row["queries at most"])


def test_the_table_reads_well():
    shown = expected_queries.readable(expected_queries.judges(0.8, 0.1))
    assert shown.loc["sequential"].tolist() == ["no limit", "2.46", "2.39", "94.7%", "3.0%", "yes"]
    assert shown.loc["new label, first hit"].to_dict() == {
        "queries at most": "2",
        "mean if marked": "1.2",
        "mean if innocent": "2",
        "marked found": "96.0%",
        "innocent accused": "0",
        "errors held": "yes",
    }
    assert shown.loc["wrong label, first hit"].tolist()[-2:] == ["19.0%", "no"]
    assert expected_queries.share(0.0009) == "0.0009" and expected_queries.share(0.001) == "0.1%"


@pytest.mark.parametrize(
    "settings_",
    [{}, {"p": 0.7, "power": 0.99, "fpr": 0.01, "tau": 0.45, "keys": 7}, {"p": 0.66, "p0": 0.3}],
)
def test_the_picture_is_that_of_the_table_at_every_null(panels, settings_):
    panel = panels["compare"]
    for p0 in expected_queries.P0:
        panel.set(**settings_ | {"p0": p0})
        at, now = expected_queries.P0.index(p0), panel.settings()
        table = expected_queries.judges(
            **{name: now[name] for name in ("p", "p0", "power", "fpr", "tau", "keys")}
        )
        (counted,) = [name for name in table.index if name.startswith("Neyman")]
        fewest = table["queries at most"].get(f"batch rule, fewest |K| with τ = {now['tau']:g}")
        wanted = {
            "new label, at most": table.loc["new label, first hit", "queries at most"],
            "new label, mean": table.loc["new label, first hit", "mean if marked"],
            "sequential, mean": table.loc["sequential", "mean if marked"],
            "Neyman-Pearson": table.loc[counted, "queries at most"],
            "batch rule, fewest |K|": fewest,
            "batch rule, your |K|": now["keys"],
        }
        assert {trace.name: trace.y[at] for trace in panel.figure.data} == wanted
        assert all(list(trace.x) == list(expected_queries.P0) for trace in panel.figure.data)
        assert panel.figure.layout.shapes[0].x0 == panel.figure.layout.shapes[0].x1 == p0
        own = table.loc[f"batch rule, |K| = {now['keys']}"]
        for part in (
            f"{counted} queries",
            f"sequential {wanted['sequential, mean']:.3g} on average",
            f"batch rule (τ = {now['tau']:.2f}) {f'{fewest:.0f}' if fewest else 'more than 400'};",
            f"new label at most {wanted['new label, at most']:.0f}, {wanted['new label, mean']:.3g} on average",
            f"Your {now['keys']} keys find {expected_queries.share(own['marked found'])} and accuse "
            f"{expected_queries.share(own['innocent accused'])}.",
        ):
            assert part in text(panel), part
    assert len({(trace.line.dash, trace.marker.symbol) for trace in panel.figure.data}) == 6, (
        "apart without colours"
    )


def test_all_counts_are_inside_the_picture(panels):
    panel = panels["compare"]
    low, high = panel.figure.layout.yaxis.range
    for p, power, fpr in itertools.product((0.6, 0.75, 0.99), (0.8, 0.99), (0.1, 0.001)):
        panel.set(p=p, power=power, fpr=fpr)
        counts = [count for trace in panel.figure.data for count in trace.y if count is not None]
        assert 10**low < min(counts) and max(counts) < 10**high


# money and suspicion


@pytest.mark.parametrize(
    ("p", "p0", "keys"), [(0.8, 0.1, 40), (0.6, 0.3, 7), (0.99, 0.001, 1), (0.7, 0.03, 100)]
)
def test_how_many_queries_each_judge_needs(p, p0, keys):
    ends, hits = expected_queries._ends(p, p0, keys), streams(p, 200)
    assert all(
        chances.sum() == pytest.approx(1) and chances.min() >= 0 for chances in ends.values()
    )
    bought = {
        "first hit": [first_hit(row, keys)[0] for row in hits[:8000].tolist()],
        "fixed batch": [keys],
        "sequential": [wald(row, p, p0)[0] for row in hits[:8000].tolist()],
        "Neyman-Pearson": [count_test(p, p0)[0]],
    }
    assert list(ends) == list(bought)
    for name, chances in ends.items():
        for n in {*bought[name][:9], 1, 2, 3}:
            assert_share(np.equal(bought[name], n), chances[n] if n < len(chances) else 0)
        assert_mean(bought[name], float(chances @ np.arange(len(chances))))


@settings(max_examples=40)
@given(st.integers(60, 99).map(lambda n: n / 100), st.floats(0.001, 0.99))
def test_a_race_of_two_geometric_waits_has_a_closed_form(p, noticed):
    stays = 1 - noticed
    long, short = expected_queries._ends(p, 0.1, 100), expected_queries._ends(p, 0.1, 17)
    assert expected_queries.undisturbed(long["first hit"], noticed) == pytest.approx(
        stays * p / (1 - stays * (1 - p))
    )
    assert expected_queries.undisturbed(short["fixed batch"], noticed) == pytest.approx(stays**17)


@pytest.mark.parametrize("p0", [0.1, 0.003])
def test_exact_and_simulated_races_agree(p0):
    for noticed, p in itertools.product(expected_queries.NOTICED, (0.6, 0.8, 0.95)):
        drawn = expected_queries.notice_of(noticed, 2.5, p, p0, 40)
        for name, exact in drawn["exact"].items():
            error = math.sqrt(exact * (1 - exact) / expected_queries.RACES)
            assert (
                abs(drawn["simulated"][name] - exact) <= FAR * error + 2 / expected_queries.RACES
            ), (name, noticed, p)
        ends = expected_queries._ends(p, p0, 40)
        means = {
            name: sum(n * chance for n, chance in enumerate(each)) for name, each in ends.items()
        }
        assert drawn["cost"] == {name: pytest.approx(2.5 * mean) for name, mean in means.items()}


def test_a_judge_against_bob_answer_by_answer():
    """An independent race: Bob looks at every key before he answers, and stops for good at the
    first that he notices.
    """
    rng, done = np.random.default_rng(3), {"first hit": [], "fixed batch": [], "sequential": []}
    for hits, seen in zip(
        streams(0.7, 60)[:6000].tolist(), rng.random((6000, 60)) < 0.1, strict=True
    ):
        before = int(seen.argmax()) if seen.any() else 60  # answers that he gives
        for name, (bought, _) in {
            "first hit": first_hit(hits, 12),
            "fixed batch": fixed_batch(hits, 12, 0.3),
            "sequential": wald(hits, 0.7, 0.1),
        }.items():
            done[name].append(bought <= before)
    exact = expected_queries.notice_of(0.1, 1, 0.7, 0.1, 12)["exact"]
    for name, each in done.items():
        assert_share(each, exact[name])


def test_the_picture_of_suspicion(panels):
    panel = panels["notice"]
    for settings_ in ({}, {"noticed": 0.2, "p": 0.7, "keys": 10, "price": 100}, {"p0": 0.003}):
        panel.set(**settings_)
        now = panel.settings()
        *lines, dots = panel.figure.data
        ends = expected_queries._ends(now["p"], now["p0"], now["keys"])
        assert [line.name for line in lines] == list(ends)
        for line, chances in zip(lines, ends.values(), strict=True):
            assert np.allclose(line.x, np.geomspace(0.001, 1, 61))
            assert np.allclose(
                line.y, [sum(c * (1 - d) ** n for n, c in enumerate(chances)) for d in line.x]
            )
            assert (np.diff(line.y) < 1e-12).all() and line.y[-1] == pytest.approx(0)
        assert list(dots.x) == [now["noticed"]] * 4 and list(dots.y) == list(
            panel.result["simulated"].values()
        )
        assert f"Bob notices one key in {1 / now['noticed']:.0f}." in text(panel)
        for name, chances in ends.items():
            chance = sum(c * (1 - now["noticed"]) ** n for n, c in enumerate(chances))
            cost = now["price"] * sum(c * n for n, c in enumerate(chances))
            assert f"{name} {chance:.1%} at {cost:.3g} cents" in text(panel)
        assert len({line.line.dash for line in lines}) == 4


def test_judges_have_looks_of_their_own():
    assert list(expected_queries.LOOK)[:3] == list(expected_queries.JUDGES)
    for look in ("color", "dash", "symbol"):
        assert len({each[look] for each in expected_queries.LOOK.values()}) == 4
    networks = {figures.COLOURS[name] for name in ("unmarked", "wrong label", "new label")}
    assert not {each["color"] for each in expected_queries.LOOK.values()} & networks


@pytest.mark.parametrize(("p", "p0"), [(0.8, 0.1)])
def test_the_figures_of_the_lesson(p, p0):
    table, measured = expected_queries.judges(p, p0), expected_queries.judges(p, 0.003)
    assert (
        table.loc["Neyman-Pearson, 2 hits in 4", "holds"]
        and measured.loc["Neyman-Pearson, 1 hit in 2", "holds"]
    )
    assert round(table.loc["sequential", "mean if marked"], 1) == 2.5
    row = measured.loc["Neyman-Pearson, 1 hit in 2"]
    assert (round(row["marked found"], 2), round(row["innocent accused"], 3)) == (0.96, 0.006)


# the exercises


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences


BOUND = 1 - 0.05 ** (1 / 50)


@pytest.mark.parametrize(
    ("exercise", "answer", "right", "words"),
    [
        ("05.1", 2.7731, True, "there is no proof"),
        ("05.1", sum(0.7**k for k in range(5)), True, "17 %"),
        ("05.1", 1 / 0.3, False, "goes on for ever"),
        ("05.1", 1.93275, False, "the paper's sum"),
        ("05.1", 4, False, "the first k all miss"),
        ("05.1", 2.75, False, "Add up"),
        ("05.1", "few", False, "could not be used"),
        ("05.1", [2.7731, 1], False, "could not be used"),
        ("05.1", float("nan"), False, "Not yet."),
        ("05.2", 53, True, "Only from 66 on"),
        ("05.2", np.int64(53), True, "Right."),
        ("05.2", 53.0, True, "Right."),
        ("05.2", 50, False, "You allowed θ = τ|K| too"),
        ("05.2", 66, False, "a smaller number does it"),
        ("05.2", 70, False, "a smaller"),
        ("05.2", 52, False, "not enough"),
        ("05.2", 1, False, "not enough"),
        ("05.2", 53.5, False, "one whole number"),
        ("05.2", 0, False, "one whole number"),
        ("05.2", -53, False, "one whole number"),
        ("05.2", "many", False, "could not be used"),
        ("05.2", float("inf"), False, "could not be used"),
        ("05.3", (BOUND, 7), True, "p₀ = 0.058"),
        ("05.3", (0.058, 7), True, "7 queries do"),
        ("05.3", [BOUND, 7], True, "Right."),
        ("05.3", (0, 3), False, "does not mean never"),
        ("05.3", (1 - 0.025 ** (1 / 50), 9), False, "97.5 %"),
        ("05.3", (BOUND, 8), False, "8 queries are not"),
        ("05.3", (0.1, 9), False, "(1 - p₀)⁵⁰ = 0.05"),
        ("05.3", (0.02, 7), False, "Not yet."),
        ("05.3", BOUND, False, "could not be used"),
        ("05.3", (BOUND,), False, "could not be used"),
        ("05.3", ("a", 7), False, "could not be used"),
    ],
)
def test_answers_to_the_exercises(said, exercise, answer, right, words):
    assert check(exercise, answer) is right
    assert words in said[0] and said[0].startswith("Right. " if right else "Not yet. ")


def test_the_right_answers_are_those_of_other_computations():
    hit, count = F(3, 10), lambda n: accuracy(0.7, n, 0.4)
    assert float(
        sum(k * (1 - hit) ** (k - 1) * hit for k in range(1, 6)) + 5 * (1 - hit) ** 5
    ) == pytest.approx(2.7731)
    assert next(n for n in range(1, 99) if count(n) >= 0.95) == 53
    assert max(n for n in range(1, 200) if count(n) < 0.95) == 65
    assert next(n for n in range(1, 99) if accuracy(0.7, n, 0.4, strict=False) >= 0.95) == 50
    assert (
        count_test(0.8, round(BOUND, 6), 0.99, 0.01)[0] == 7
        and count_test(0.8, 0, 0.99, 0.01)[0] == 3
    )
