"""Lesson 05: every number against an independent computation or a simulation."""

import fractions
import html
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab.lessons import check
from wmlab.lessons import expected_queries as lesson
from wmlab.show import figures

F = fractions.Fraction
FAR = 4.5  # standard errors
MADE = ("race", "running_mean", "batch", "compare", "notice")
VERDICT = {True: "marked", False: "not marked", None: "still undecided"}


@pytest.fixture(scope="module")
def panels():
    return {name: getattr(lesson, name)() for name in MADE}


@pytest.fixture(autouse=True)
def from_the_start(panels):
    for panel in panels.values():
        panel.reset()


def text(panel):
    return html.unescape(re.sub("<[^>]*>", "", panel.caption_text))


def moved(panel, ways):
    """The panel at each of some settings: yields its traces by name, its layout, its settings."""
    for way in ways:
        panel.reset()
        panel.set(**way)
        drawn = {html.unescape(trace["name"]): trace for trace in panel.figure["data"]}
        yield drawn, panel.figure["layout"], panel.settings()


def ends(control):
    values = [value for _, value in getattr(control, "options", ())] or [control.min, control.max]
    return values[0], values[-1]


def assert_mean(samples, expected):
    samples = np.asarray(samples, float)
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) <= FAR * error + 1e-9, (samples.mean(), error, expected)


def assert_share(samples, expected):
    """Of things that happen or not, and perhaps hardly ever."""
    error = math.sqrt(expected * (1 - expected) / len(samples))
    seen = np.mean(samples)
    assert abs(seen - expected) <= FAR * error + 1 / len(samples), (seen, error, expected)


# judges and tests written once more, in fractions or answer by answer


def tail(hits, n, p):
    """Probability of so many hits or more."""
    hit, of = F(str(p)).as_integer_ratio()
    ways = sum(math.comb(n, k) * hit**k * (of - hit) ** (n - k) for k in range(hits, n + 1))
    return float(F(ways, of**n))


def count_test(p, p0, power=0.9, fpr=0.1):
    """(queries, hits needed), by trying all."""
    for n in range(1, 99):
        for hits in range(n + 1):
            if tail(hits, n, p) >= power and tail(hits, n, p0) <= fpr:
                return n, hits


def accuracy(p, n, tau, strict=True):
    """Probability to pass the batch rule."""
    share = F(str(tau))
    passes = [m for m in range(n + 1) if (m < share * n if strict else m <= share * n)]
    return tail(n - passes[-1], n, p) if passes else 0.0


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


def streams(p, count=4000, length=120):
    return (np.random.default_rng(11).random((count, length)) < p).tolist()


# every panel


def test_every_panel_draws_at_all_ends_and_every_control_changes_what_it_says(panels):
    for name, panel in panels.items():
        assert panel.first == 1 < len(panel.controls)
        for preset in panel.presets.values():
            panel.reset()
            panel.set(**preset)
        places = {setting: ends(control) for setting, control in panel.controls.items()}
        said = {}
        for values in itertools.product(*places.values()):
            panel.set(**dict(zip(places, values, strict=True)))
            said[values] = text(panel)
            assert "nan" not in said[values] and "inf" not in said[values]
            for trace in panel.figure["data"]:
                numbers = [v for v in (*trace["x"], *trace["y"]) if v is not None]
                assert len(trace["x"]) == len(trace["y"]) and np.isfinite(numbers).all()
        for place, setting in enumerate(places):
            other = {}
            for values, words in said.items():
                rest = values[:place] + values[place + 1 :]
                other.setdefault(rest, set()).add(words)
            assert any(len(each) > 1 for each in other.values()), f"{name}: {setting}"


def test_a_value_that_a_control_cannot_take_is_refused(panels):
    wrong = {
        "race": [{"p": 1.2}, {"p0": 0}, {"keys": 61}, {"stream": 0}],
        "running_mean": [{"trials": 7}, {"p": 0}, {"keys": 0}],
        "batch": [{"p": 0.3}, {"tau": 0.9}, {"accuracy": 1}],
        "compare": [{"p0": 0.8}, {"p": 1}, {"power": 0.5}, {"fpr": "few"}, {"gamma": 1}],
        "notice": [{"noticed": 0}, {"price": -1}, {"keys": 0}],
    }
    for name, way in ((name, way) for name, ways in wrong.items() for way in ways):
        panel = panels[name]
        before = panel.settings(), panel.caption_text
        with pytest.raises(ValueError, match="cannot be|has no gamma"):
            panel.set(**way)
        assert (panel.settings(), panel.caption_text) == before


def test_dust_on_a_slider_is_wiped_off():
    """0.1 + 0.2 is 0.30000000000000004, which would allow one miss more in 40 keys."""
    assert lesson.race_of(1, 0.8, 40, 0.1 + 0.2, 0.1)["allowed"] == 11
    assert lesson.race_of(1, 0.8, 25, 0.28 + 1e-16, 0.1)["allowed"] == 6
    dusty, clean = (lesson.batch_of(0.8, 40, tau, 0.9) for tau in (0.1 + 0.2, 0.3))
    assert dusty["first"] == clean["first"]
    assert (dusty["curves"]["θ < τ|K|"] == clean["curves"]["θ < τ|K|"]).all()
    dusty = lesson.compare_of(0.1, 0.7 + 0.1, 0.9, 0.1, 0.1 + 0.2, 40)
    assert dusty["curves"] == lesson.compare_of(0.1, 0.8, 0.9, 0.1, 0.3, 40)["curves"]
    dusty, clean = (lesson.notice_of(0.05, 1, p, 0.1, 40) for p in (0.7 + 0.1, 0.8))
    assert dusty["exact"] == clean["exact"]


# the race


@given(
    st.integers(0, 20).map(lambda n: n / 20),
    st.integers(1, 200),
    st.integers(1, 60),
    st.integers(1, 19).map(lambda n: n / 20),
    st.sampled_from(lesson.P0),
)
def test_verdicts_are_those_of_judges_written_once_more(p, stream, keys, tau, p0):
    race = lesson.race_of(stream=stream, p=p, keys=keys, tau=tau, p0=p0)
    hits = race["hits"].tolist()
    assert race["ends"] == {
        "first hit": first_hit(hits, keys),
        "fixed batch": fixed_batch(hits, keys, tau),
        "sequential": wald(hits, 0.8, p0),
    }
    assert race["misses"] == keys - sum(hits[:keys])
    assert race["allowed"] == max(m for m in range(-1, keys + 1) if m < F(str(tau)) * keys)
    asked = np.arange(race["ends"]["sequential"][0] + 1)
    got = np.r_[0, np.cumsum(hits)][asked]
    likely = [stats.binom.logpmf(got, asked, rate) for rate in (0.8, p0)]
    assert np.allclose(race["evidence"], likely[0] - likely[1])


def test_exactly_as_many_misses_as_the_threshold_do_not_convict():
    races = [lesson.race_of(stream, 0.7, 10, 0.3, 0.1) for stream in range(1, 201)]
    assert sum(race["misses"] == 3 for race in races) > 20
    assert all(race["ends"]["fixed batch"] == (10, race["misses"] < 3) for race in races)


def test_a_stream_hits_with_p_and_p_moves_it_one_way():
    def hits(stream, p):
        return lesson.race_of(stream=stream, p=p, keys=9, tau=0.3, p0=0.1)["hits"]

    rows = [hits(stream, 0.35) for stream in range(1, 201)]
    assert_mean(np.concatenate(rows), 0.35)
    assert len({row.tobytes() for row in rows}) == 200
    more = hits(3, 0.6)
    assert (more >= rows[2]).all() and more.sum() > rows[2].sum(), "more hits, none lost"
    assert not hits(3, 0.0).any() and hits(3, 1.0).all()


def test_means_and_shares_of_the_race_against_simulated_judges():
    ways = ((0.8, 40, 0.3, 0.1), (0.1, 12, 0.3, 0.1), (0.5, 7, 0.5, 0.3), (0.05, 25, 0.8, 0.003))
    for p, keys, tau, p0 in ways:
        race, rows = lesson.race_of(stream=1, p=p, keys=keys, tau=tau, p0=p0), streams(p)
        simulated = {
            "first hit": [first_hit(row, keys) for row in rows],
            "fixed batch": [fixed_batch(row, keys, tau) for row in rows],
            "sequential": [wald(row, 0.8, p0) for row in rows],
        }
        for name, judge in simulated.items():
            bought, marked = np.array(judge, float).T
            assert_mean(bought, race["means"][name])
            assert_share(marked, race["found"][name])


def test_the_picture_of_the_race(panels):
    panel = panels["race"]
    ways = ({}, {"p": 0.5, "stream": 6}, {"p": 0.0}, {"p": 1.0}, {"keys": 60})
    for drawn, layout, _ in moved(panel, (*ways, {"p0": 0.001, "p": 0.2})):
        run = panel.result
        for name, which in (("hit", True), ("miss", False)):
            x = [x for x in drawn[name]["x"] if x is not None]
            assert x == [n for n, got in enumerate(run["hits"], 1) if got == which]
            assert len(drawn[name]["x"]), "a trace without points is left out of the legend"
            lanes = {layout["yaxis"]["ticktext"][3 - y] for y in drawn[name]["y"] if y is not None}
            assert lanes <= {"answers"}
        for name, (bought, marked) in run["ends"].items():
            lane = drawn[name]
            assert list(lane["x"]) == [0, bought] and lane["y"][0] == lane["y"][1]
            assert layout["yaxis"]["ticktext"][3 - lane["y"][0]] == name
            assert lane["text"][1].strip() == f"{VERDICT[marked]}, {bought}"
            assert (lane["textposition"] == "middle right") == (bought <= 36), "or it won't fit"
        names = ("hit", "miss", *lesson.JUDGES)
        assert len({drawn[name]["marker"]["symbol"] for name in names}) == 5
        low, high = layout["yaxis2"]["range"]
        evidence, limits = drawn["evidence"], sorted(shape["y0"] for shape in layout["shapes"])
        assert np.allclose(evidence["y"], run["evidence"]) and evidence["yaxis"] == "y2"
        assert list(evidence["x"]) == list(range(len(run["evidence"])))
        assert low < min(evidence["y"]) and max(evidence["y"]) < high
        assert np.allclose(limits, [-math.log(10), math.log(10)])
        assert low < limits[0] and limits[1] < high


def test_the_sentence_of_the_race(panels):
    panel = panels["race"]
    panel.set(p=0.5, stream=6)
    hits = panel.result["hits"].tolist()
    assert (first_hit(hits, 40)[0], wald(hits, 0.8, 0.1)[0], sum(hits[:40])) == (2, 3, 40 - 19)
    assert text(panel).startswith(
        "Stream 6 of a suspect with p = 0.50: first hit says marked after 2; fixed batch says not "
        "marked after 40 (19 misses, 11 allowed); sequential says marked after 3."
    )
    means, shares = (
        re.search(pattern, text(panel))[1].split(", ")
        for pattern in ("buy (.*) answers", "“marked” in (.*) of them")
    )
    sequential = panel.result["means"]["sequential"]
    assert [float(mean) for mean in means] == [2, 40, float(f"{sequential:.3g}")]
    assert shares[:2] == ["100.0%", f"{accuracy(0.5, 40, 0.3):.1%}"]


# the running mean


def test_the_running_mean_comes_to_the_exact_one():
    for p, keys in ((0.8, 40), (0.001, 40), (0.1, 5), (0.02, 100), (0.99, 3), (0.5, 1)):
        run, hit = lesson.running_mean_of(100_000, p, keys), F(str(p))
        stop = {k: (1 - hit) ** (k - 1) * hit for k in range(1, keys + 1)}
        limited, missed = sum(k * chance for k, chance in stop.items()), (1 - hit) ** keys
        exact = limited + keys * missed
        formulas = (exact, limited, 1 / hit, math.ceil(1 / hit))
        names = ("E[q]", "the paper's sum", "1/p", "⌈1/p⌉")
        assert list(run["formulas"]) == list(names)
        assert list(run["formulas"].values()) == pytest.approx(list(map(float, formulas)))
        assert abs(run["mean"][-1] - float(exact)) <= FAR * run["error"][-1] + 1e-12
        assert run["x"][0] == 2 and run["x"][-1] == 100_000 and (np.diff(run["x"]) > 0).all()
        variance = sum(k**2 * chance for k, chance in stop.items()) + keys**2 * missed - exact**2
        error = math.sqrt(variance / 100_000)
        assert run["error"][-1] == pytest.approx(error, rel=0.05, abs=1e-12)


def test_mean_and_error_are_those_of_the_trials_so_far():
    bought = np.minimum(lesson._trials(0.3), 8)
    for trials in (30, 3000):
        run = lesson.running_mean_of(trials, 0.3, 8)
        assert run["x"][-1] == trials
        for x, mean, error in zip(run["x"], run["mean"], run["error"], strict=True):
            assert mean == pytest.approx(bought[:x].mean())
            assert error == pytest.approx(bought[:x].std(ddof=1) / math.sqrt(x), abs=1e-12)


def test_the_picture_of_the_running_mean(panels):
    panel = panels["running_mean"]
    ways = [dict(p=p, trials=n) for p, n in ((0.8, 100), (0.001, 1000), (0.1, 10), (0.99, 100_000))]
    for drawn, layout, now in moved(panel, ways):
        run = panel.result
        band, mean = drawn.pop("± 2 standard errors"), drawn.pop("mean of the trials so far")
        assert np.array_equal(mean["x"], run["x"]) and np.array_equal(mean["y"], run["mean"])
        assert list(band["x"]) == [*run["x"], *run["x"][::-1]]
        above, below = np.split(np.asarray(band["y"]), 2)
        assert np.allclose(above, run["mean"] + 2 * run["error"])
        assert np.allclose(below[::-1], run["mean"] - 2 * run["error"])
        low, top = layout["yaxis"]["range"]
        assert low == 0 and run["formulas"]["E[q]"] < top / 1.5
        assert 10 ** layout["xaxis"]["range"][1] >= 100_000
        told = {}
        for name, level in drawn.items():
            *same, shown = name.split(" = ")
            value = run["formulas"][same[0]]
            assert shown == f"{value:.4g}" and level["y"] == [value, value]
            assert (name in text(panel).partition("Above the picture: ")[2]) == (value > top)
            told |= dict.fromkeys(same, shown)
        assert told == {name: f"{value:.4g}" for name, value in run["formulas"].items()}
        assert len({level["line"]["dash"] for level in drawn.values()}) == len(drawn)
        assert len(set(told.values())) == len(drawn), "no line lies on another"
        assert f"{now['trials']:,} trials took {run['mean'][-1]:.4g} queries" in text(panel)
        assert f"standard error of {run['error'][-1]:.2g}" in text(panel)


# the batch rule


def test_the_saw_tooth_and_the_numbers_that_reach():
    ways = (
        (0.8, 0.3, 0.9),
        (0.75, 0.3, 0.9),
        (0.85, 0.3, 0.99),
        (0.8, 0.28, 0.8),
        (0.9, 0.29, 0.95),
        (0.7, 0.3, 0.9),
        (0.6, 0.2, 0.9),
    )
    for (p, tau, wanted), (name, strict) in itertools.product(ways, lesson.RULES.items()):
        run = lesson.batch_of(p, 40, tau, wanted)
        exact = np.array([accuracy(p, n, tau, strict) for n in range(1, 321)])
        assert np.allclose(run["curves"][name], exact[:160])
        assert run["here"][name] == pytest.approx(exact[39])
        reach = [n for n in range(1, 161) if exact[n - 1] >= wanted]
        tens = [n for n in reach if n % 10 == 0]
        first = run["first"][name]
        assert first["fewest"] == (reach[0] if reach else None)
        assert first["multiple of ten"] == (tens[0] if tens else None)
        lasting = first["lasting"]
        if p + tau <= 1 + 1e-9:
            assert lasting is None
        else:
            assert exact[lasting - 2] < wanted or lasting == 1
            assert lasting > 320 or (exact[lasting - 1 :] >= wanted).all()


def test_the_picture_of_the_batch_rule(panels):
    panel = panels["batch"]
    ways = ({}, {"p": 0.75, "keys": 97}, {"tau": 0.2, "accuracy": 0.99}, {"p": 0.7})
    for drawn, layout, now in moved(panel, ways):
        mine, keys, (wanted,) = drawn.pop("your |K|"), now["keys"], layout["shapes"]
        assert list(drawn) == ["θ < τ|K|", "θ ≤ τ|K|"]
        for name, trace in drawn.items():
            assert list(trace["x"]) == list(range(1, 161))
            assert np.allclose(trace["y"], panel.result["curves"][name])
            said = f"with {name}, Acc({keys}) = {trace['y'][keys - 1]:.4f}, and the first |K| to "
            assert f"{said}reach {now['accuracy']:.0%} is" in text(panel)
        assert mine["x"] == [keys, keys]
        assert mine["y"] == [trace["y"][keys - 1] for trace in drawn.values()]
        assert wanted["y0"] == wanted["y1"] == now["accuracy"]
    assert "no number up to 160, of multiples of ten none, for good none" in text(panel)
    panel.reset()
    assert (
        "is 24, of multiples of ten 40, for good 34; with θ ≤ τ|K|, Acc(40) = 0.9568, and"
        in text(panel)
    )


# like with like


def test_the_table_of_judges():
    for p, p0, power, fpr, tau, keys in (
        (0.8, 0.1, 0.9, 0.1, 0.3, 40),
        (0.8, 0.003, 0.9, 0.1, 0.3, 40),
        (0.6, 0.3, 0.8, 0.05, 0.5, 15),
        (0.95, 0.01, 0.99, 0.001, 0.1, 5),
        (0.95, 0.3, 0.9, 0.05, 0.5, 3),
    ):
        table, wanted = lesson.judges(p, p0, power, fpr, tau, keys), {}
        limit = next(n for n in range(1, 99) if tail(1, n, p) >= F(str(power)))
        for name, null in (("new label, first hit", 0), ("wrong label, first hit", p0)):
            means = [sum((1 - rate) ** k for k in range(limit)) for rate in (p, null)]
            wanted[name] = [limit, *means, tail(1, limit, p), tail(1, limit, null)]
        passed = {n: [accuracy(rate, n, tau) for rate in (p, p0)] for n in range(1, 200)}
        held = [n for n, (found, accused) in passed.items() if found >= power and accused <= fpr]
        wanted[f"batch rule, |K| = {keys}"] = [keys] * 3 + passed[keys]
        if held:
            name = f"batch rule, fewest |K| with τ = {tau:g}"
            wanted[name] = [held[0]] * 3 + passed[held[0]]
        n, hits = count_test(p, p0, power, fpr)
        counted = f"Neyman-Pearson, {hits} {'hit' if hits == 1 else 'hits'} in {n}"
        wanted[counted] = [n, n, n, tail(hits, n, p), tail(hits, n, p0)]
        assert list(table.index) == [*wanted, "sequential"]
        for name, row in wanted.items():
            assert table.loc[name].tolist()[:5] == pytest.approx(row), name
        sure = (table["marked found"] >= power) & (table["innocent accused"] <= fpr)
        assert (table["holds"] == sure).all() and table.loc[[counted, "sequential"], "holds"].all()
        row = table.loc["sequential"]
        assert math.isinf(row["queries at most"])
        for rate, mean, share in (
            (p, "mean if marked", "marked found"),
            (p0, "mean if innocent", "innocent accused"),
        ):
            ended = [wald(hits, p, p0, power, fpr) for hits in streams(rate)]
            bought, marked = np.array(ended, float).T
            assert_mean(bought, row[mean])
            assert_share(marked, row[share])


def test_the_table_reads_well():
    shown = lesson.readable(lesson.judges(0.8, 0.1))
    assert shown.loc["sequential"].tolist() == ["no limit", "2.46", "2.39", "94.7%", "3.0%", "yes"]
    assert shown.loc["new label, first hit"].tolist() == ["2", "1.2", "2", "96.0%", "0", "yes"]
    assert shown.columns[0] == "queries at most" and shown.columns[-1] == "errors held"
    assert shown.loc["wrong label, first hit"].tolist()[-2:] == ["19.0%", "no"]
    assert lesson.share(0.0009) == "0.0009" and lesson.share(0.001) == "0.1%"
    assert lesson.share(8e-21) == "practically none" and lesson.share(0) == "0"


def test_the_numbers_that_the_lesson_tells():
    table, measured = lesson.judges(0.8, 0.1), lesson.judges(0.8, 0.003)
    row = measured.loc["Neyman-Pearson, 1 hit in 2"]
    assert table.loc["Neyman-Pearson, 2 hits in 4", "holds"] and row["holds"]
    assert round(table.loc["sequential", "mean if marked"], 1) == 2.5
    assert (round(row["marked found"], 2), round(row["innocent accused"], 3)) == (0.96, 0.006)


def test_the_picture_is_that_of_the_table_at_every_null(panels):
    panel = panels["compare"]
    low, high = panel.figure["layout"]["yaxis"]["range"]
    ways = (
        {},
        {"p": 0.7, "power": 0.99, "fpr": 0.01, "tau": 0.45, "keys": 7},
        {"p": 0.66, "p0": 0.3},
        {"p": 0.6, "power": 0.99, "fpr": 0.001},
        {"p": 0.99, "power": 0.8},
    )
    for drawn, layout, now in moved(panel, [way | {"p0": p0} for way in ways for p0 in lesson.P0]):
        table = lesson.judges(**now)
        (counted,) = [name for name in table.index if name.startswith("Neyman")]
        most = table["queries at most"]
        fewest = most.get(f"batch rule, fewest |K| with τ = {now['tau']:g}")
        wanted = {
            "new label, at most": most["new label, first hit"],
            "new label, mean": table.loc["new label, first hit", "mean if marked"],
            "sequential, mean": table.loc["sequential", "mean if marked"],
            "Neyman-Pearson": most[counted],
            "batch rule, fewest |K|": fewest,
            "batch rule, your |K|": now["keys"],
        }
        at, (upright,) = lesson.P0.index(now["p0"]), layout["shapes"]
        assert {name: trace["y"][at] for name, trace in drawn.items()} == wanted
        assert upright["x0"] == upright["x1"] == now["p0"]
        for trace in drawn.values():
            assert list(trace["x"]) == list(lesson.P0)
            assert all(10**low < n < 10**high for n in trace["y"] if n is not None)
        own = table.loc[f"batch rule, |K| = {now['keys']}"]
        for part in (
            f"{counted} queries",
            f"sequential {wanted['sequential, mean']:.3g} on average",
            f"(τ = {now['tau']:.2f}) {f'{fewest:.0f}' if fewest else 'more than 400'};",
            f"new label at most {wanted['new label, at most']:.0f}, "
            f"{wanted['new label, mean']:.3g} on average",
            f"Your {now['keys']} keys find {lesson.share(own['marked found'])} and accuse "
            f"{lesson.share(own['innocent accused'])}.",
        ):
            assert part in text(panel), part
        looks = {(trace["line"]["dash"], trace["marker"]["symbol"]) for trace in drawn.values()}
        assert len(looks) == 6, "apart without colours"


# money and suspicion


def test_how_many_queries_each_judge_needs():
    for p, p0, keys in ((0.8, 0.1, 40), (0.6, 0.3, 7), (0.99, 0.001, 1), (0.7, 0.03, 100)):
        exact, rows = lesson._ends(p, p0, keys), streams(p, 2000, 200)
        bought = {
            "first hit": [first_hit(row, keys)[0] for row in rows],
            "fixed batch": [keys],
            "sequential": [wald(row, p, p0)[0] for row in rows],
            "Neyman-Pearson": [count_test(p, p0)[0]],
        }
        assert list(exact) == list(bought)
        for name, chances in exact.items():
            assert chances.sum() == pytest.approx(1) and chances.min() >= 0
            assert_mean(bought[name], float(chances @ np.arange(len(chances))))
            for n in {*bought[name][:9], 1, 2, 3}:
                assert_share(np.equal(bought[name], n), chances[n] if n < len(chances) else 0)


@given(st.integers(60, 99).map(lambda n: n / 100), st.floats(0.001, 0.99))
def test_a_race_of_two_geometric_waits_has_a_closed_form(p, noticed):
    stays = 1 - noticed
    long, short = (lesson._ends(p, 0.1, keys) for keys in (100, 17))
    closed = stays * p / (1 - stays * (1 - p))
    assert lesson.undisturbed(long["first hit"], noticed) == pytest.approx(closed)
    assert lesson.undisturbed(short["fixed batch"], noticed) == pytest.approx(stays**17)


def test_exact_and_simulated_races_agree():
    for p0, noticed, p in itertools.product((0.1, 0.003), lesson.NOTICED, (0.6, 0.8, 0.95)):
        run = lesson.notice_of(noticed, 2.5, p, p0, 40)
        for name, exact in run["exact"].items():
            error = math.sqrt(exact * (1 - exact) / lesson.RACES)
            far = FAR * error + 2 / lesson.RACES
            assert abs(run["simulated"][name] - exact) <= far, (name, noticed, p)
        for name, each in lesson._ends(p, p0, 40).items():
            mean = sum(n * chance for n, chance in enumerate(each))
            assert run["cost"][name] == pytest.approx(2.5 * mean)


def test_a_judge_against_bob_answer_by_answer():
    """An independent race: Bob looks at every key before he answers, and stops for good at the
    first that he notices.
    """
    seen = np.random.default_rng(3).random((2000, 60)) < 0.1
    done = {"first hit": [], "fixed batch": [], "sequential": []}
    for hits, row in zip(streams(0.7, 2000, 60), seen, strict=True):
        before = int(row.argmax()) if row.any() else 60  # answers that he gives
        judged = first_hit(hits, 12), fixed_batch(hits, 12, 0.3), wald(hits, 0.7, 0.1)
        for name, (bought, _) in zip(done, judged, strict=True):
            done[name].append(bought <= before)
    exact = lesson.notice_of(0.1, 1, 0.7, 0.1, 12)["exact"]
    for name, each in done.items():
        assert_share(each, exact[name])


def test_the_picture_of_suspicion(panels):
    panel = panels["notice"]
    ways = ({}, {"noticed": 0.2, "p": 0.7, "keys": 10, "price": 100}, {"p0": 0.003})
    for drawn, _, now in moved(panel, ways):
        dots, judged = drawn.pop("4,000 races"), lesson._ends(now["p"], now["p0"], now["keys"])
        assert dots["x"] == [now["noticed"]] * 4
        assert dots["y"] == list(panel.result["simulated"].values())
        assert f"Bob notices one key in {1 / now['noticed']:.0f}." in text(panel)
        assert list(drawn) == list(judged)
        assert len({trace["line"]["dash"] for trace in drawn.values()}) == 4
        for name, chances in judged.items():

            def first(noticed, chances=chances):
                return sum(chance * (1 - noticed) ** n for n, chance in enumerate(chances))

            x, y = drawn[name]["x"], drawn[name]["y"]
            assert np.allclose(x, np.geomspace(0.001, 1, 61))
            assert np.allclose(y, [first(d) for d in x])
            assert (np.diff(y) < 1e-12).all() and y[-1] == pytest.approx(0)
            cost = now["price"] * sum(chance * n for n, chance in enumerate(chances))
            assert f"{name} {first(now['noticed']):.1%} at {cost:.3g} cents" in text(panel)


def test_judges_have_looks_of_their_own():
    assert list(lesson.LOOK)[:3] == list(lesson.JUDGES)
    for look in ("color", "dash", "symbol"):
        assert len({each[look] for each in lesson.LOOK.values()}) == 4
    networks = {figures.COLOURS[name] for name in ("unmarked", "wrong label", "new label")}
    assert not {each["color"] for each in lesson.LOOK.values()} & networks


# the exercises

BOUND = 1 - 0.05 ** (1 / 50)


def asked_too_often(answers, keys):
    return first_hit(answers, len(answers)) if any(answers) else (keys, False)


def asked_too_seldom(answers, keys):
    return first_hit(answers, keys) if keys > 1 else (1, False)


def weighs(log, upper, lower, miss, at_the_end):
    """Wald's judge with limits or weights that may be wrong; None for the right limit."""

    def judge(row, p1, p0, power, fpr):
        evidence = 0
        for n, hit in enumerate(row, 1):
            evidence += log(p1 / p0) if hit else miss * log((1 - p1) / (1 - p0))
            if evidence >= (log(1 / fpr) if upper is None else upper):
                return n, True
            if evidence <= (log(1 - power) if lower is None else lower):
                return n, False
        return len(row), None if at_the_end else False

    return judge


def only_hits(row, p1, p0, power, fpr):
    return weighs(np.log, None, None, 0, True)(row, p1, p0, power, fpr)


NOT_A_NUMBER = "could not be used"
ANSWERS = {
    "05.1": [
        (first_hit, True, "nothing but the money"),
        (lambda answers, keys: lesson.first_hit(answers, keys), True, "Right."),
        (lambda answers, keys: list(first_hit(answers, keys)), True, "Right."),
        (lambda answers, keys: (first_hit(answers, keys)[0] - 1, True), False, "counts from 0"),
        (lambda answers, keys: (keys, any(answers[:keys])), False, "no answer after the first hit"),
        (lambda answers, keys: first_hit(answers, len(answers)), False, "not for all in the row"),
        (lambda answers, keys: (1, True), False, "The first answer is a miss"),
        (lambda answers, keys: (first_hit(answers, keys)[0], True), False, "gives up"),
        (asked_too_often, False, "That hit was not bought"),
        (asked_too_seldom, False, "A hit at the last key counts"),
        (lambda answers, keys: first_hit(answers, keys)[1], False, "Return two things"),
        (lambda answers, keys: None, False, "Yours returns None"),
        (lambda answers: (1, True), False, NOT_A_NUMBER),
        (3, False, NOT_A_NUMBER),
    ],
    "05.2": [
        (wald, True, "at most 10 % were agreed"),
        (lesson.sequential, True, "Right."),
        (lambda row, p1, p0, power, fpr: wald(row, 0.8, 0.1), False, "Use the four arguments"),
        (lambda row, p1, p0, power, fpr: wald(row, p1, p0), False, "Use the four arguments"),
        (weighs(np.log, 1.1, -9, 1, True), False, "take logs"),
        (weighs(np.log, 99, -9, 1, True), False, "after every answer"),
        (weighs(np.log, None, -1, 1, True), False, "One miss is worth -1.50"),
        (weighs(np.log, None, -99, 1, True), False, "a limit for innocence"),
        (weighs(np.log, None, None, 0.01, True), False, "ln(1 - power)"),
        (weighs(np.log, None, None, 1, False), False, "nothing is decided: None"),
        (only_hits, False, "ln(1 - power)"),
        (lambda row, *more: wald(row, *more)[1], False, "Return two things"),
        (lambda row: (1, True), False, NOT_A_NUMBER),
    ],
    "05.3": [
        (2.7731, True, "there is no proof"),
        (sum(0.7**k for k in range(5)), True, "17 %"),
        (1 / 0.3, False, "goes on for ever"),
        (1.93275, False, "the paper's sum"),
        (4, False, "the first k all miss"),
        (2.7, False, "Add up"),
        (2.77, True, "17 %"),
        ("2,773", True, "17 %"),
        ("few", False, NOT_A_NUMBER),
        ([2.7731, 1], False, NOT_A_NUMBER),
        (float("nan"), False, "Not yet."),
    ],
    "05.4": [
        (53, True, "Only from 66 on"),
        (np.int64(53), True, "Right."),
        (53.0, True, "Right."),
        (50, False, "You allowed θ = τ|K| too"),
        (66, False, "a smaller number does it"),
        (70, False, "a smaller"),
        (52, False, "not enough"),
        (1, False, "not enough"),
        (53.5, False, "one whole number"),
        (0, False, "one whole number"),
        (-53, False, "one whole number"),
        ("many", False, NOT_A_NUMBER),
        (float("inf"), False, NOT_A_NUMBER),
    ],
    "05.5": [
        ((BOUND, 7), True, "p₀ = 0.058"),
        ((0.058, 7), True, "7 queries do"),
        ([BOUND, 7], True, "Right."),
        ((0, 3), False, "does not mean never"),
        ((1 - 0.025 ** (1 / 50), 9), False, "97.5 %"),
        ((BOUND, 8), False, "8 queries are not"),
        ((0.1, 9), False, "(1 - p₀)⁵⁰ = 0.05"),
        ((0.02, 7), False, "Not yet."),
        (BOUND, False, NOT_A_NUMBER),
        ((BOUND,), False, NOT_A_NUMBER),
        (("a", 7), False, NOT_A_NUMBER),
    ],
}


def test_answers_to_the_exercises(said):
    for exercise, answers in ANSWERS.items():
        assert check(exercise, ...) is check(exercise, None) is None
        for answer, right, words in answers:
            assert check(exercise, answer) is right, (exercise, answer)
            assert words in said[-1], (exercise, answer)
            assert said[-1].startswith("Right. " if right else "Not yet. ")


def test_the_right_answers_are_those_of_other_computations():
    miss = F(7, 10)
    mean = sum(k * miss ** (k - 1) * (1 - miss) for k in range(1, 6)) + 5 * miss**5
    assert float(mean) == pytest.approx(2.7731)
    strict, other = ([accuracy(0.7, n, 0.4, rule) for n in range(1, 200)] for rule in (True, False))
    assert next(n for n, reached in enumerate(strict, 1) if reached >= 0.95) == 53
    assert max(n for n, reached in enumerate(strict, 1) if reached < 0.95) == 65
    assert next(n for n, reached in enumerate(other, 1) if reached >= 0.95) == 50
    assert count_test(0.8, round(BOUND, 6), 0.99, 0.01)[0] == 7
    assert count_test(0.8, 0, 0.99, 0.01)[0] == 3
