"""Notebook 09's panels and tables, on invented scores and runs: every number against an independent
computation.
"""

import fractions
import html
import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import queries
from wmlab.lessons import evasion
from wmlab.show import figures

BETAS = (1e-5, 1e-3, 1e-2, 3e-2)
SHIFT = dict(zip(BETAS, (0, 1, 3, 8), strict=True))
FAR = 4.5  # standard errors


def invented(seed=0):
    """Scores of three detectors: one that grows surer with β, one that guesses, and one that gives
    whole numbers, so ties.
    """
    rng = np.random.default_rng(seed)

    def of(shift, ties=False):
        drawn = {group: rng.normal(0, 1, n) for group, n in (("aside", 100), ("clean", 200))}
        drawn |= {beta: rng.normal(shift * SHIFT[beta], 1, 150) for beta in BETAS}
        return {group: np.round(values) for group, values in drawn.items()} if ties else drawn

    return {"grows": of(1), "guesses": of(0), "whole": of(0.5, ties=True)}


@pytest.fixture(scope="module")
def scores():
    return invented()


@pytest.fixture(scope="module")
def hits():
    rng = np.random.default_rng(9)
    return {
        beta: rng.random(150) < share for beta, share in zip(BETAS, (0, 0.3, 0.9, 1), strict=True)
    }


def text(panel):
    return html.unescape(re.sub("<[^>]*>", "", panel.caption.value))


def clear(figure):
    """Nothing in a figure that JSON does not know."""
    for trace in figure.data:
        for values in (trace.x, trace.y):
            assert all(
                value is None or math.isfinite(value)
                for value in (() if values is None else values)
            ), trace.name


def threshold_by_hand(values, share):
    """The lowest of the values that no more than the share of them lie above."""
    allowed = math.floor(fractions.Fraction(str(share)) * len(values))
    return next(t for t in sorted(values) if sum(v > t for v in values) <= allowed)


def student(values):
    """Student's 95 % interval of a mean."""
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


# detectors and their thresholds


def test_every_detector_scores_every_set():
    sets = {"aside": np.array([1.0]), "clean": np.array([2.0, 3.0]), 0.01: np.array([4.0])}
    found = evasion.scored(
        {"double": lambda images: 2 * images, "minus": lambda images: -images},
        sets["aside"],
        sets["clean"],
        {0.01: sets[0.01]},
    )
    assert list(found) == ["double", "minus"] and list(found["double"]) == ["aside", "clean", 0.01]
    for group, images in sets.items():
        assert (
            found["double"][group].tolist() == (2 * images).tolist()
            and found["minus"][group].tolist() == (-images).tolist()
        )


@given(
    seed=st.integers(0, 30),
    alarms=st.sampled_from(evasion.ALARMS),
    name=st.sampled_from(["grows", "whole"]),
)
def test_the_threshold_comes_from_the_images_set_aside_alone(seed, alarms, name):
    of = invented(seed)[name]
    threshold, clean, keys = evasion.flagged(of, 0.01, alarms)
    assert threshold == threshold_by_hand(of["aside"], alarms)
    assert clean.tolist() == [score > threshold for score in of["clean"]]
    assert keys.tolist() == [score > threshold for score in of[0.01]]


def test_histograms_are_shares_over_one_range():
    clean, keys = np.array([0.0, 0.0, 1.0, 39.0]), np.array([40.0, 20.5])
    middles, *shares = evasion.histograms(clean, keys)
    assert middles.tolist() == (np.arange(40) + 0.5).tolist()
    assert shares[0][[0, 1, 39]].tolist() == [0.5, 0.25, 0.25] and shares[1][[20, 39]].tolist() == [
        0.5,
        0.5,
    ]
    assert sum(shares[0]) == sum(shares[1]) == 1


class TestWatch:
    def test_it_opens_with_one_slider(self, scores):
        panel = evasion.watch(scores)
        assert (
            panel.settings() == {"beta": 1e-2, "alarms": 0.01, "detector": "grows"}
            and panel.error is None
        )
        assert panel._row.children == (panel.controls["beta"],)

    @pytest.mark.parametrize("alarms", [0.001, 0.02, 0.2])
    def test_every_position_draws_and_says_what_was_counted(self, scores, alarms):
        panel = evasion.watch(scores)
        for beta, name in itertools.product(BETAS, scores):
            panel.set(beta=beta, alarms=alarms, detector=name)
            of, t = scores[name], threshold_by_hand(scores[name]["aside"], alarms)
            clean, keys, line, *curves, point = panel.figure.data
            clear(panel.figure)
            assert (clean.name, keys.name) == ("clean images", "keys") and set(line.x) == {t}
            edges = np.linspace(min(*of["clean"], *of[beta]), max(*of["clean"], *of[beta]), 41)
            for bars, values in ((clean, of["clean"]), (keys, of[beta])):
                assert np.allclose(bars.x, (edges[1:] + edges[:-1]) / 2) and np.allclose(
                    bars.width, edges[1] - edges[0]
                )
                assert np.allclose(bars.y, np.histogram(values, edges)[0] / len(values))
            found, false = (np.mean([v > t for v in values]) for values in (of[beta], of["clean"]))
            assert (point.x[0], point.y[0]) == pytest.approx((false, found))
            assert text(panel) == (
                f"β = {beta:g}, {name}: area {pairs(of['clean'], of[beta]):.3f}. A threshold for at most {alarms:.1%} of Bob's "
                f"100 images flags {found:.1%} of the keys and {false:.1%} of 200 other clean images."
            )
            assert [curve.name for curve in curves] == list(scores)
            assert panel.figure.layout.annotations[-1].text == "<br>".join(
                f"{each}: area {pairs(s['clean'], s[beta]):.3f}" for each, s in scores.items()
            )

    def test_curves_are_those_of_all_thresholds(self, scores):
        panel = evasion.watch(scores)
        panel.set(beta=1e-3)
        for curve, of in zip(panel.figure.data[3:6], scores.values(), strict=True):
            points = set(zip(np.round(curve.x, 9), np.round(curve.y, 9), strict=True))
            for t in [*of["clean"], *of[1e-3]]:
                assert (
                    round(np.mean(of["clean"] > t), 9),
                    round(np.mean(of[1e-3] > t), 9),
                ) in points
            assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)

    @pytest.mark.parametrize(
        "wrong", [{"beta": 0.5}, {"alarms": 0.5}, {"detector": "nose"}, {"gamma": 1}]
    )
    def test_what_no_control_can_take_is_refused(self, scores, wrong):
        panel = evasion.watch(scores)
        with pytest.raises(ValueError, match="cannot be|has no gamma"):
            panel.set(**wrong)
        assert panel.settings() == {"beta": 1e-2, "alarms": 0.01, "detector": "grows"}


def pairs(clean, keys):
    """The share of pairs in which the key scores higher, half of the ties."""
    more = np.subtract.outer(keys, clean)
    return np.mean(more > 0) + np.mean(more == 0) / 2


def test_areas_are_drawn_over_every_beta():
    found = {
        name: np.linspace(0.5, top, len(evasion.BETAS)).tolist()
        for name, top in (("a", 1), ("b", 0.9), ("c", 0.8), ("d", 0.7), ("e", 0.6))
    }
    figure = evasion.areas(found)
    assert {trace.name: list(trace.y) for trace in figure.data} == found and all(
        t.x == evasion.BETAS for t in figure.data
    )
    looks = {(trace.line.color, trace.line.dash, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == 5 and figure.layout.yaxis.range[0] < 0.5 < 1 < figure.layout.yaxis.range[1]


# base rates


@given(found=st.floats(0.01, 1), false=st.floats(0.001, 1), rate=st.floats(1e-5, 1))
def test_precision_is_bayes(found, false, rate):
    joint = {"key": found * rate, "clean": false * (1 - rate)}
    assert evasion.precision(found, false, rate) == pytest.approx(
        joint["key"] / sum(joint.values()), rel=1e-9
    )
    assert (
        evasion.precision(found, false, 1) == evasion.precision(found, 0, rate) == 1
        and evasion.precision(0, false, rate / 2) == 0
    )
    assert (
        evasion.precision(found, false, rate) <= evasion.precision(found, false / 2, rate) + 1e-12
    )


def test_precision_is_that_of_a_simulation_and_unknown_where_nothing_is_flagged():
    rng = np.random.default_rng(1)
    keys = rng.random(400_000) < 0.02
    flags = rng.random(400_000) < np.where(keys, 0.7, 0.05)
    share = keys[flags].mean()
    assert abs(share - evasion.precision(0.7, 0.05, 0.02)) <= FAR * math.sqrt(
        share * (1 - share) / flags.sum()
    )
    assert np.isnan(evasion.precision(0, 0, 0.5)) and evasion.precision(
        [1, 0.5], 0.5, 0.5
    ).tolist() == [2 / 3, 0.5]


class TestRare:
    def test_rates_are_counted_and_bounded_exactly(self, scores):
        at = evasion.worth(scores, 0.01, "grows", 0.05, 1e-2)
        for name, of in scores.items():
            t = threshold_by_hand(of["aside"], 0.05)
            false = sum(of["clean"] > t)
            exact = stats.binomtest(int(false), 200).proportion_ci(0.95, "exact")
            assert at["rates"][name] == pytest.approx(
                (np.mean(of[1e-2] > t), false / 200, exact.low, exact.high)
            )

    @pytest.mark.parametrize("rate", evasion.RATES)
    def test_lines_band_and_dot_follow_the_one_formula(self, scores, rate):
        panel = evasion.rare(scores)
        for name, alarms in itertools.product(scores, (0.001, 0.1)):
            panel.set(rate=rate, detector=name, alarms=alarms, beta=1e-3)
            band, *lines, dot = panel.figure.data
            clear(panel.figure)
            rates = panel.result["rates"]
            for line, (found, false, *_) in zip(lines, rates.values(), strict=True):
                expected = [
                    found * x / (found * x + false * (1 - x)) if found or false else None
                    for x in line.x
                ]
                assert (
                    line.y == pytest.approx(expected)
                    if None not in expected
                    else set(line.y) == {None}
                )
            found, false, low, high = rates[name]
            here = found * rate / (found * rate + false * (1 - rate)) if found or false else None
            assert dot.x[0] == rate and (
                dot.y[0] == pytest.approx(here) if here is not None else dot.y[0] is None
            )
            low_end, high_end = band.y[: len(lines[0].x)], band.y[len(lines[0].x) :][::-1]
            assert all(
                a is None or b is None or a <= b + 1e-12
                for a, b in zip(low_end, high_end, strict=True)
            )
            said = text(panel)
            count = max(10_000, round(1 / rate))
            assert (
                f"of {count:,} queries {count * rate:,.0f} are keys; Bob flags {count * rate * found:,.1f} of them"
                in said
            )
            assert (
                f"{count * (1 - rate) * false:,.0f} clean images" in said
                and "200 clean images" in band.name
            )
            assert ("nothing is flagged" in said) is (here is None)
            exact = stats.binomtest(round(200 * false), 200).proportion_ci(0.95, "exact")
            ends = [
                found * rate / (found * rate + end * (1 - rate))
                for end in (exact.high, exact.low)
                if found or end
            ]
            assert (
                here is None
                or f"right in {here:.1%} of cases [{ends[0]:.1%}, {ends[-1]:.1%}]." in said
            )

    def test_it_opens_at_one_in_a_hundred_with_one_slider(self, scores):
        panel = evasion.rare(scores)
        assert panel._row.children == (panel.controls["rate"],) and panel.settings()["rate"] == 0.01
        assert [name for name, _ in panel.controls["rate"].options][1:] == [
            f"1 in {n}" for n in ("10", "100", "1,000", "10,000", "100,000")
        ]


# refusal


class TestAsk:
    @pytest.mark.parametrize("keys", [1, 7, 40])
    def test_chance_and_mean_are_those_of_a_simulation(self, scores, hits, keys):
        at, rng = evasion.asked(scores, hits, "grows", 0.05, keys), np.random.default_rng(2)
        threshold = threshold_by_hand(scores["grows"]["aside"], 0.05)
        for number, (beta, hit) in enumerate(hits.items()):
            flags = scores["grows"][beta] > threshold
            assert at["hit"][number] == pytest.approx(np.mean(hit)) and at["answered"][
                number
            ] == pytest.approx(np.mean(~flags))
            assert at["both"][number] == pytest.approx(
                np.mean([h and not f for h, f in zip(hit, flags, strict=True)])
            )
            drawn = (hit & ~flags)[rng.integers(0, len(hit), (20_000, keys))]
            proof, needed = (
                drawn.any(axis=1),
                np.where(drawn.any(axis=1), drawn.argmax(axis=1) + 1, keys),
            )
            error = max(needed.std() / math.sqrt(20_000), 1e-9)
            assert abs(needed.mean() - at["mean"][number]) <= FAR * error
            error = math.sqrt(max(proof.mean() * (1 - proof.mean()), 1e-4) / 20_000)
            assert abs(proof.mean() - at["chance"][number]) <= FAR * error

    def test_a_refused_key_is_no_hit_however_well_it_hits(self, scores):
        at = evasion.asked(scores, {3e-2: np.ones(150, bool)}, "grows", 0.2, 40)
        assert (
            at["both"] == at["answered"] < 0.01
            and at["hit"] == 1
            and at["mean"][0] == queries.expected(at["both"][0], 40)
        )

    def test_every_position_draws_and_names_the_best_keys(self, scores, hits):
        panel = evasion.ask(scores, hits)
        assert panel._row.children == (panel.controls["alarms"],)
        for name, alarms, keys in itertools.product(scores, (0.001, 0.2), (1, 200)):
            panel.set(detector=name, alarms=alarms, keys=keys)
            at = evasion.asked(scores, hits, name, alarms, keys)
            clear(panel.figure)
            shown = [trace.y.tolist() for trace in panel.figure.data]
            assert shown == [at[what].tolist() for what in ("answered", "hit", "both", "chance")]
            assert all(trace.x == BETAS for trace in panel.figure.data)
            best = max(range(4), key=lambda n: at["both"][n])
            assert text(panel) == (
                f"{name}, at most {alarms:.1%} false alarms: Alice's best keys have β = {BETAS[best]:g}: "
                f"{at['answered'][best]:.1%} are answered, {at['both'][best]:.1%} answered and hits; {keys} of them prove the mark "
                f"with {at['chance'][best]:.1%}, at {at['mean'][best]:.1f} queries on average."
            )

    def test_where_no_key_passes_it_says_so(self, scores):
        panel = evasion.ask(scores, {beta: np.zeros(150, bool) for beta in BETAS})
        assert "Alice has no proof here" in text(panel) and panel.error is None


# records


SETTINGS = [
    ("no attack", np.nan, 0.0, 0.95),
    ("pruning, global", 0.5, 1.0, 0.9),
    ("JPEG", 90, 0.5, 0.9),
    ("JPEG", 10, 1.5, 0.1),
    ("median", 3, 1.2, 0.02),
    ("median", 5, 13, 0.01),
    ("bit depth", 1, 4, 0.005),
    ("noise on queries", 0.01, 90, 1.0),
    ("random answers to noisy images", np.nan, 1, 0.0),
]


def recorded(
    seeds=3,
    marks=(("new label", 0), ("wrong label", 0), ("new label", 600), ("unmarked", 0)),
    seed=0,
):
    """An attacks table of networks that nobody has attacked."""
    rng, rows = np.random.default_rng(seed), []
    for (scheme, decoys), number in itertools.product(marks, range(seeds)):
        plain = rng.uniform(0.94, 0.98)
        for attack, strength, lost, key in SETTINGS:
            noise = rng.normal(0, 0.002, 2) * (attack != "no attack")
            key = float(np.clip(key + 5 * noise[1] + 0.01 * decoys / 600, 0, 1))
            rows.append(
                {
                    "scheme": scheme,
                    "decoys": decoys,
                    "alpha": 0.1,
                    "beta": 0.01,
                    "seed": number,
                    "attack": attack,
                    "strength": strength,
                    "clean_accuracy": plain - lost / 100 + noise[0],
                    "fresh_key_accuracy": key,
                    "key_label_rate_clean": 0.9 if lost == 90 else 0.001,
                    "true_label_rate": 1 - key,
                    "decision": "marked" if key > 0.02 else "not marked",
                    "queries": 1 if key > 0.02 else 40,
                }
            )
    return pd.DataFrame(rows)


def by_hand(table, scheme, decoys, attack, strength):
    """Rows of one mark and filter with the points they lost, by plain loops."""
    found = []
    for _, row in table.iterrows():
        if (row.scheme, row.decoys, row.attack) == (scheme, decoys, attack) and (
            row.strength == strength or np.isnan(strength)
        ):
            (plain,) = (
                other.clean_accuracy
                for _, other in table.iterrows()
                if other.attack == "no attack"
                and (other.scheme, other.decoys, other.seed) == (scheme, decoys, row.seed)
            )
            found.append((100 * (plain - row.clean_accuracy), row.fresh_key_accuracy))
    return np.array(found)


def test_a_filter_is_compared_with_the_same_network_without_it():
    table = recorded()
    before = table.copy()
    rows = evasion.prices(table.sample(frac=1, random_state=1))
    assert table.equals(before) and set(rows.attack) == {attack for attack, *_ in SETTINGS} - {
        "pruning, global"
    }
    assert (
        set(rows["mark"]) == {"new label", "wrong label", "decoys", "unmarked"}
        and len(rows) == 4 * 3 * 8
    )
    for mark, scheme, decoys in (
        ("new label", "new label", 0),
        ("decoys", "new label", 600),
        ("wrong label", "wrong label", 0),
    ):
        for attack, strength in (("JPEG", 10), ("median", 3)):
            mine = rows[
                (rows["mark"] == mark) & (rows.attack == attack) & (rows.strength == strength)
            ]
            expected = by_hand(table, scheme, decoys, attack, strength)
            assert np.allclose(sorted(mine.lost), sorted(expected[:, 0])) and len(mine) == 3
    assert rows[rows.attack == "no attack"].lost.abs().max() == 0


def test_networks_of_other_keys_have_their_own_accuracy_without_a_filter():
    weak = recorded(2, seed=8).assign(beta=0.001)
    weak["clean_accuracy"] -= 0.3
    both = evasion.prices(pd.concat([recorded(2), weak], ignore_index=True))
    alone = evasion.prices(weak)
    assert (
        np.allclose(both[both.beta == 0.001].lost, alone.lost)
        and both[both.attack == "no attack"].lost.abs().max() == 0
    )


@pytest.mark.parametrize(
    ("attack", "strength", "words"),
    [
        ("JPEG", 10.0, "JPEG, quality 10"),
        ("median", 3.0, "median, size 3"),
        ("noise on queries", 0.001, "noise on queries, variance 0.001"),
        ("random answers to noisy images", np.nan, "random answers to noisy images"),
        ("no filter", np.nan, "no filter"),
    ],
)
def test_titles(attack, strength, words):
    assert evasion.title(attack, strength) == words


def test_what_bob_can_afford_comes_cheapest_for_alice_first():
    rows = evasion.prices(recorded())
    new = rows[rows["mark"] == "new label"]
    assert [name for name, _ in evasion.within(new, 2)] == [
        "random answers to noisy images",
        "median, size 3",
        "JPEG, quality 10",
        "JPEG, quality 90",
    ]
    assert [name for name, _ in evasion.within(new, 5)][1] == "bit depth, bits 1"
    assert evasion.within(
        new, -1
    ) == [] and "No filter on record costs -1 points or less." == evasion.says(new, -1)


def test_the_axis_keeps_the_order_and_zero():
    points = np.array([-2, -0.5, 0, 1, 90])
    assert (np.diff(evasion.wide(points)) > 0).all() and evasion.wide(0) == 0
    assert np.allclose(np.sinh(evasion.wide(points)), points)


class TestFiltered:
    @pytest.fixture(params=[1, 3, 7])
    def made(self, request):
        table = recorded(request.param)
        return (
            request.param,
            table,
            evasion.filtered({"small": table, "other": recorded(request.param, seed=5)}),
        )

    def test_dots_means_and_intervals(self, made):
        n, table, panel = made
        for mark, scheme, decoys in (("new label", "new label", 0), ("decoys", "new label", 600)):
            panel.set(mark=mark)
            clear(panel.figure)
            for number, (attack, word) in enumerate(evasion.FAMILIES.items()):
                dots, means = panel.figure.data[2 * number : 2 * number + 2]
                strengths = [strength for name, strength, *_ in SETTINGS if name == attack]
                each = [by_hand(table, scheme, decoys, attack, strength) for strength in strengths]
                assert means.name == attack and np.allclose(
                    sorted(dots.y), sorted(np.concatenate(each)[:, 1])
                )
                assert np.allclose(sorted(np.sinh(dots.x)), sorted(np.concatenate(each)[:, 0]))
                assert np.allclose(np.sinh(means.x), [group[:, 0].mean() for group in each])
                assert np.allclose(means.y, [group[:, 1].mean() for group in each])
                assert list(means.text) == [
                    "" if word is None else f"{strength:g}" for strength in strengths
                ]
                if n < 6:
                    assert not len(means.error_y.array) and not len(means.error_x.array)
                    continue
                for group, x, y, more in zip(each, means.x, means.y, range(len(each)), strict=True):
                    (left, right), (low, high) = (student(values) for values in group.T)
                    assert np.allclose(
                        [y - means.error_y.arrayminus[more], y + means.error_y.array[more]],
                        [low, high],
                    )
                    assert np.allclose(
                        np.sinh(
                            [x - means.error_x.arrayminus[more], x + means.error_x.array[more]]
                        ),
                        [left, right],
                    )

    @pytest.mark.parametrize("loss", [0, 2, 20])
    def test_the_region_ends_where_his_patience_does(self, made, loss):
        panel = made[2]
        panel.set(loss=loss)
        line, region = panel.figure.layout.shapes
        assert np.sinh([line.x0, line.x1, region.x1]) == pytest.approx(
            [loss] * 3
        ) and region.x0 < np.arcsinh(-3)

    def test_it_says_which_filter_leaves_least(self, made):
        n, table, panel = made
        panel.set(loss=2, mark="wrong label")
        name, best = evasion.within(panel.result["rows"], 2)[0]
        assert name in text(panel) and panel.result["mark"] == "wrong label"
        marked = sum(best.decision == "marked")
        assert f"“marked” for {marked} of {n} network{'s' if n > 1 else ''}." in text(panel)
        assert ("[" in text(panel)) is (n >= 6)

    def test_another_experiment_is_another_picture(self, made):
        panel = made[2]
        before = panel.figure.data[0].x.tolist()
        panel.set(of="other")
        assert panel.figure.data[0].x.tolist() != before
        with pytest.raises(ValueError, match="cannot be"):
            panel.set(of="third")
        assert panel.settings()["of"] == "other" and panel._row.children == (
            panel.controls["loss"],
        )

    def test_marks_that_no_run_has_are_not_offered(self):
        panel = evasion.filtered({"one": recorded(2, marks=(("wrong label", 0), ("unmarked", 0)))})
        assert panel.controls["mark"].options == ("wrong label",)


def test_one_network_has_no_range():
    bill = evasion.bill(recorded(1), "new label")
    assert bill.loc["no filter", "clean accuracy lost, points"] == "0.0" and "(" not in "".join(
        bill["keys that hit"]
    )


@pytest.mark.parametrize("n", [2, 6])
def test_the_bill_has_a_row_for_each_filter(n):
    table = recorded(n)
    bill = evasion.bill(table, "decoys")
    assert list(bill.index) == [
        "no filter",
        "JPEG, quality 90",
        "JPEG, quality 10",
        "median, size 3",
        "median, size 5",
        "bit depth, bits 1",
        "noise on queries, variance 0.01",
        "random answers to noisy images",
    ]
    mine = by_hand(table, "new label", 600, "JPEG", 10)
    row = bill.loc["JPEG, quality 10"]
    low, high = student(mine[:, 1]) if n >= 6 else (min(mine[:, 1]), max(mine[:, 1]))
    brackets = "[{:.1%}, {:.1%}]" if n >= 6 else "({:.1%} to {:.1%})"
    assert row["keys that hit"] == f"{mine[:, 1].mean():.1%} " + brackets.format(low, high)
    assert (
        row["clean accuracy lost, points"].startswith(f"{mine[:, 0].mean():.1f} ")
        and row["networks"] == n
    )
    marked = sum(key > 0.02 for key in mine[:, 1])
    assert (
        row["Ver says marked"] == f"{marked} of {n}"
        and row["mean queries of Ver"] == f"{(marked + 40 * (n - marked)) / n:.1f}"
    )
    assert bill.loc["noise on queries, variance 0.01", "clean images with the key label"] == "90.0%"


def test_every_look_on_a_panel_is_another(scores, hits):
    panels = (
        evasion.watch(scores),
        evasion.rare(scores),
        evasion.ask(scores, hits),
        evasion.filtered({"one": recorded(2)}),
    )
    for panel in panels:
        # a change of some names in a batch takes the names of all others away in the browser
        names = [trace.name for trace in panel.figure.data]
        panel.redraw()
        assert [trace.name for trace in panel.figure.data] == names and None not in [
            trace.name for trace in panel.figure.data if trace.showlegend is not False
        ]
    for panel in panels[:3]:
        lines = [
            (trace.line.color, trace.line.dash)
            for trace in panel.figure.data
            if trace.type == "scatter" and trace.mode and "lines" in trace.mode and not trace.fill
        ]
        assert len(set(lines)) == len(lines)
    assert len(figures.SPARE) >= 4
