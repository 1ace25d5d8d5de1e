"""Lesson 09, on invented scores and runs: every number against an independent computation; its
checks.
"""

import fractions
import itertools
import math
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import attack_tables, filters, queries
from wmlab.lessons import check, evasion
from wmlab.show import picture
from wmlab.stats import interval

BETAS = (1e-5, 1e-3, 1e-2, 3e-2)
SHIFT = dict(zip(BETAS, (0, 1, 3, 8), strict=True))
NEW, WRONG, DECOYS = "new label", "wrong label", attack_tables.DECOYS
FAR = 4.5  # standard errors


def invented(seed=0):
    """Scores of three detectors: one that grows surer with β, one that guesses, and one that gives
    whole numbers, so ties.
    """
    rng, found = np.random.default_rng(seed), {}
    for name, shift in {"grows": 1, "guesses": 0, "whole": 0.5}.items():
        of = {group: rng.normal(0, 1, n) for group, n in (("aside", 100), ("clean", 200))}
        of |= {beta: rng.normal(shift * SHIFT[beta], 1, 150) for beta in BETAS}
        found[name] = {group: np.round(v) if name == "whole" else v for group, v in of.items()}
    return found


@pytest.fixture(scope="module")
def scores():
    return invented()


@pytest.fixture(scope="module")
def hits():
    rng, shares = np.random.default_rng(9), (0, 0.3, 0.9, 1)
    return {beta: rng.random(150) < share for beta, share in zip(BETAS, shares, strict=True)}


def text(panel):
    return re.sub("<[^>]*>", "", panel.caption_text)


def drawn(panel):
    """The traces of a panel's figure by name, as plotly takes them, with NaN as None."""
    traces = go.Figure(picture.plain(panel.figure)).data
    return {trace.name: trace for trace in traces}


def threshold_by_hand(values, share):
    """The lowest of the values that no more than the share of them lie above."""
    allowed = math.floor(fractions.Fraction(str(share)) * len(values))
    return next(t for t in sorted(values) if sum(v > t for v in values) <= allowed)


def student(values):
    """Student's 95 % interval of a mean."""
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def area(clean, keys):
    """The share of pairs in which the key scores higher, half of the ties."""
    more = np.subtract.outer(keys, clean)
    return np.mean(more > 0) + np.mean(more == 0) / 2


def test_every_detector_scores_every_set():
    sets = {"aside": np.array([1.0]), "clean": np.array([2.0, 3.0]), 0.01: np.array([4.0])}
    detectors = {"double": lambda images: 2 * images, "minus": lambda images: -images}
    found = evasion.scored(detectors, sets["aside"], sets["clean"], {0.01: sets[0.01]})
    for name, score in detectors.items():
        assert list(found[name]) == list(sets)
        for group, images in sets.items():
            assert np.array_equal(found[name][group], score(images))


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


def test_watch_draws_histograms_threshold_and_every_roc(scores):
    panel = evasion.watch(scores)
    assert panel.settings() == {"beta": 1e-2, "alarms": 0.01, "detector": "grows"}
    assert panel.first == 1
    for alarms, beta, name in itertools.product((0.001, 0.02, 0.2), BETAS, scores):
        panel.set(beta=beta, alarms=alarms, detector=name)
        of, shown = scores[name], drawn(panel)
        t = threshold_by_hand(of["aside"], alarms)
        both = [*of["clean"], *of[beta]]
        edges = np.linspace(min(both), max(both), 41)
        for bars, values in (("clean images", of["clean"]), ("keys", of[beta])):
            assert np.allclose(shown[bars].x, (edges[1:] + edges[:-1]) / 2)
            assert np.allclose(shown[bars].y, np.histogram(values, edges)[0] / len(values))
            assert np.allclose(shown[bars].width, edges[1] - edges[0])
        assert set(shown["threshold"].x) == {t}
        false, found = (sum(values > t) / len(values) for values in (of["clean"], of[beta]))
        ring = shown["at the threshold"]
        assert (ring.x[0], ring.y[0]) == pytest.approx((false, found))
        areas = {each: area(s["clean"], s[beta]) for each, s in scores.items()}
        assert panel.result["areas"] == pytest.approx(areas)
        assert {f"{each}: area {value:.3f}" for each, value in areas.items()} < set(shown)
        assert text(panel) == (
            f"β = {beta:g}, {name}: area {areas[name]:.3f}. A threshold for at most {alarms:.1%} "
            f"of Bob's 100 images flags {found:.1%} of the keys and {false:.1%} of 200 other clean "
            "images."
        )


def test_curves_are_those_of_all_thresholds(scores):
    panel = evasion.watch(scores)
    panel.set(beta=1e-3)
    shown = {name.partition(":")[0]: trace for name, trace in drawn(panel).items()}
    for name, of in scores.items():
        curve = shown[name]
        points = set(zip(np.round(curve.x, 9), np.round(curve.y, 9), strict=True))
        for t in [*of["clean"], *of[1e-3]]:
            rates = np.mean(of["clean"] > t), np.mean(of[1e-3] > t)
            assert tuple(np.round(rates, 9)) in points
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    looks = {(shown[name].line.color, shown[name].line.dash) for name in scores}
    assert len(looks) == 3


def test_areas_are_drawn_over_every_beta():
    found = {name: np.linspace(0.5, 1 - n / 10, 10).tolist() for n, name in enumerate("abcde")}
    figure = go.Figure(picture.plain(evasion.areas(found)))
    assert {trace.name: list(trace.y) for trace in figure.data} == found
    assert all(trace.x == evasion.BETAS for trace in figure.data)
    assert len({(trace.line.color, trace.marker.symbol) for trace in figure.data}) == 5


# base rates


@given(found=st.floats(0.01, 1), false=st.floats(0.001, 1), rate=st.floats(1e-5, 1))
def test_precision_is_bayes(found, false, rate):
    keys, others = found * rate, false * (1 - rate)
    value = evasion.precision(found, false, rate)
    assert value == pytest.approx(keys / (keys + others), rel=1e-9)
    assert evasion.precision(found, false, 1) == evasion.precision(found, 0, rate) == 1
    assert evasion.precision(0, false, rate / 2) == 0


def test_precision_is_that_of_a_simulation_and_unknown_where_nothing_is_flagged():
    rng = np.random.default_rng(1)
    keys = rng.random(400_000) < 0.02
    flags = rng.random(400_000) < np.where(keys, 0.7, 0.05)
    share = keys[flags].mean()
    error = math.sqrt(share * (1 - share) / flags.sum())
    assert abs(share - evasion.precision(0.7, 0.05, 0.02)) <= FAR * error
    assert np.isnan(evasion.precision(0, 0, 0.5))
    assert evasion.precision([1, 0.5], 0.5, 0.5).tolist() == [2 / 3, 0.5]


def test_rare_draws_precision_and_what_the_counts_leave_open(scores):
    panel = evasion.rare(scores)
    assert panel.first == 1 and panel.settings()["rate"] == 0.01
    names = [f"1 in {n}" for n in ("2", "10", "100", "1,000", "10,000", "100,000")]
    assert [name for name, _ in panel.controls["rate"].options] == names
    for rate, name, alarms in itertools.product(evasion.RATES, scores, (0.001, 0.1)):
        panel.set(rate=rate, detector=name, alarms=alarms, beta=1e-3)
        shown, x, ends = drawn(panel), np.array(drawn(panel)["grows"].x), {}
        for each, of in scores.items():
            t = threshold_by_hand(of["aside"], alarms)
            false, found = sum(of["clean"] > t), np.mean(of[1e-3] > t)
            exact = stats.binomtest(int(false), 200).proportion_ci(0.95, "exact")
            ends[each] = (found, false / 200, exact.low, exact.high)
            assert panel.result[each] == pytest.approx(ends[each])
            curve = np.array(shown[each].y, float)
            if found or false:
                assert np.allclose(curve, found * x / (found * x + false / 200 * (1 - x)))
            else:
                assert np.isnan(curve).all()
        found, false, low, high = ends[name]
        right, worst, best = (
            found * rate / (found * rate + end * (1 - rate)) if found or end else None
            for end in (false, high, low)
        )
        assert (shown["here"].x[0], shown["here"].y[0]) == pytest.approx((rate, right))
        band = np.array(shown["what 200 clean images leave open"].y, float).reshape(2, -1)
        line = np.array(shown[name].y, float)
        assert np.isnan(line).all() or (band[0] <= line + 1e-12).all()
        assert np.isnan(line).all() or (line <= band[1][::-1] + 1e-12).all()
        asked = max(10_000, round(1 / rate))
        start = f"of {asked:,} queries {asked * rate:,.0f} are keys; Bob flags "
        assert start + f"{asked * rate * found:,.1f} of them" in text(panel)
        assert f"{asked * (1 - rate) * false:,.0f} clean images" in text(panel)
        said = "nothing is flagged"
        if right is not None:
            said = f"a flag is right in {right:.1%} of cases [{worst:.1%}, {best:.1%}]."
        assert said in text(panel)


# refusal


def test_chance_and_mean_of_queries_are_those_of_a_simulation(scores, hits):
    rng = np.random.default_rng(2)
    threshold = threshold_by_hand(scores["grows"]["aside"], 0.05)
    for keys in (1, 7, 40):
        table = evasion.asked(scores, hits, "grows", 0.05, keys)
        for beta, hit in hits.items():
            answered, row = scores["grows"][beta] <= threshold, table.loc[beta]
            shares = (row.hit, row.answered, row.both)
            assert shares == pytest.approx((hit.mean(), answered.mean(), (hit & answered).mean()))
            tried = (hit & answered)[rng.integers(0, len(hit), (20_000, keys))]
            proof = tried.any(axis=1)
            needed = np.where(proof, tried.argmax(axis=1) + 1, keys)
            error = max(needed.std() / math.sqrt(20_000), 1e-9)
            assert abs(needed.mean() - row["mean"]) <= FAR * error
            error = math.sqrt(max(proof.mean() * (1 - proof.mean()), 1e-4) / 20_000)
            assert abs(proof.mean() - row.chance) <= FAR * error
    refused = evasion.asked(scores, {3e-2: np.ones(150, bool)}, "grows", 0.2, 40).loc[3e-2]
    assert refused.both == refused.answered < 0.01 and refused.hit == 1, "a refused key is no hit"
    assert refused["mean"] == queries.expected(refused.both, 40)


def test_ask_draws_the_shares_and_names_the_best_keys(scores, hits):
    panel = evasion.ask(scores, hits)
    assert panel.first == 1
    lines = ("is answered", "would hit, were it answered", "is answered and hits")
    for name, alarms, keys in itertools.product(scores, (0.001, 0.2), (1, 200)):
        panel.set(detector=name, alarms=alarms, keys=keys)
        table = evasion.asked(scores, hits, name, alarms, keys)
        for title, column in zip(lines, ("answered", "hit", "both"), strict=True):
            line = drawn(panel)[title]
            assert (line.x, line.xaxis) == (BETAS, "x") and list(line.y) == list(table[column])
        line = drawn(panel)["one of them hits"]
        assert line.xaxis == "x2" and list(line.y) == list(table.chance)
        beta = max(BETAS, key=lambda beta: table.both[beta])
        best = table.loc[beta]
        assert text(panel) == (
            f"{name}, at most {alarms:.1%} false alarms: Alice's best keys have β = {beta:g}: "
            f"{best.answered:.1%} are answered, {best.both:.1%} answered and hits; {keys} of them "
            f"prove the mark with {best.chance:.1%}, at {best['mean']:.1f} queries on average."
        )
    nothing = evasion.ask(scores, {beta: np.zeros(150, bool) for beta in BETAS})
    assert "Alice has no proof here" in text(nothing)


# records

ATTACKS = [  # attack, strength, points lost, keys left
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


def recorded(seeds, schemes=(NEW, WRONG, DECOYS, "unmarked"), seed=0):
    """A table of attacks, as of `attack_tables`, on networks that nobody has attacked."""
    rng, rows = np.random.default_rng(seed), []
    for scheme, number, (attack, strength, lost, kept) in itertools.product(
        schemes, range(seeds), ATTACKS
    ):
        lost += rng.normal(0, 0.2) * (attack != "no attack")
        kept = np.clip(kept + rng.normal(0, 0.01) + 0.01 * (scheme == DECOYS), 0, 1)
        row = dict(scheme=scheme, seed=number, attack=attack, strength=strength, lost=lost)
        row |= dict(fresh_key_accuracy=kept, decision="marked" if kept > 0.02 else "not marked")
        row |= dict(
            key_label_rate_clean=0.9 if lost > 80 else 0.001, queries=1 + 39 * (kept < 0.02)
        )
        rows.append(row)
    return pd.DataFrame(rows)


def rows_of(table, scheme, attack, strength):
    """The rows of one mark and filter, by plain loops."""
    found = []
    for _, row in table.iterrows():
        same = row.strength == strength or np.isnan(row.strength) and np.isnan(strength)
        if row.scheme == scheme and row.attack == attack and same:
            found.append(row)
    return pd.DataFrame(found)


def test_filters_in_words():
    for attack, strength, words in [
        ("JPEG", 10.0, "JPEG, quality 10"),
        ("median", 3.0, "median, size 3"),
        ("noise on queries", 0.001, "noise on queries, variance 0.001"),
        ("random answers to noisy images", np.nan, "random answers to noisy images"),
        ("no filter", np.nan, "no filter"),
    ]:
        assert evasion.named(attack, strength) == words


def test_what_bob_can_bear_stands_by_what_it_leaves():
    table = recorded(3)
    new = table[table.scheme == NEW]
    two = [name for name, _ in evasion.within(new, 2)]
    assert two[0] == "random answers to noisy images" and "pruning" not in " ".join(two)
    assert two[1:] == ["median, size 3", "JPEG, quality 10", "JPEG, quality 90"]
    five = [name for name, _ in evasion.within(new, 5)]
    assert set(five) - set(two) == {"bit depth, bits 1"}
    assert evasion.within(new, -1) == []
    assert evasion.sentence([], -1) == "No filter on record costs -1 points or less."


def test_the_map_has_every_network_means_and_intervals_from_six_networks_on():
    for n in (1, 3, 7):
        table = recorded(n)
        panel = evasion.filtered({"small": table, "other": recorded(n, seed=5)})
        assert panel.first == 1
        for mark in (NEW, DECOYS):
            panel.set(mark=mark)
            for attack, word in evasion.FILTERS.items():
                strengths = [strength for name, strength, *_ in ATTACKS if name == attack]
                every = [rows_of(table, mark, attack, strength) for strength in strengths]
                dots, means = drawn(panel)[f"{attack}, a run"], drawn(panel)[attack]
                together = pd.concat(every)
                assert np.allclose(dots.x, np.clip(together.lost, -3, 20))
                assert np.allclose(dots.y, together.fresh_key_accuracy)
                lost = [rows.lost.mean() for rows in every]
                assert np.allclose(means.x, np.clip(lost, -3, 20))
                assert np.allclose(means.y, [rows.fresh_key_accuracy.mean() for rows in every])
                words = ["" if word is None else f"{strength:g}" for strength in strengths]
                pairs = zip(means.text, words, strict=True)
                assert all(text in ("", word) for text, word in pairs), "or there is no room"
                assert (means.error_x.array is not None) == (n >= 6)
                for number, rows in enumerate(every if n >= 6 else ()):
                    for bar, middle, column in (
                        (means.error_x, lost[number], "lost"),
                        (means.error_y, means.y[number], "fresh_key_accuracy"),
                    ):
                        ends = (middle - bar.arrayminus[number], middle + bar.array[number])
                        assert np.allclose(ends, student(rows[column]))


def test_the_line_stands_where_his_patience_ends_and_can_be_dragged():
    panel = evasion.filtered({"small": recorded(3), "other": recorded(3, seed=5)})
    for loss in (0, 2.5, 20):
        panel.set(loss=loss)
        area_within, line = panel.figure["layout"]["shapes"]
        assert line["x0"] == line["x1"] == area_within["x1"] == loss
    for x, loss in ((7.3, 7.5), (-2, 0), (31, 20)):
        panel._shown.dragged = {"shapes[1].x0": x, "shapes[1].x1": x}
        assert panel.settings()["loss"] == loss and panel.error is None
    before = drawn(panel)["JPEG"].x
    panel.set(of="other")
    assert drawn(panel)["JPEG"].x != before
    only = evasion.filtered({"one": recorded(2, schemes=(WRONG, "unmarked"))})
    assert only.controls["mark"].options == (WRONG,), "marks without a run are not offered"


def test_the_sentence_names_the_filter_that_leaves_least():
    for n in (1, 3, 7):
        table = recorded(n)
        panel = evasion.filtered({"small": table})
        panel.set(loss=2, mark=WRONG)
        cheap = []
        for attack, strength, *_ in ATTACKS:
            rows = rows_of(table, WRONG, attack, strength)
            if attack in evasion.FILTERS and rows.lost.mean() <= 2:
                cheap.append(
                    (rows.fresh_key_accuracy.mean(), evasion.named(attack, strength), rows)
                )
        kept, name, best = min(cheap, key=lambda each: each[0])
        assert f"Within 2 points: {name} leaves the fewest keys: {kept:.1%}"[:-1] in text(panel)
        few = f" %, {n} run{'s' * (n > 1)}, no interval hit, at a loss of {best.lost.mean():+.1f}"
        low, high = student(best.lost) if n > 1 else (0, 0)
        ends = f"{best.lost.mean():+.1f} points [{low:.1f}, {high:.1f}]; Ver"
        assert (few if n < 6 else ends) in text(panel)
        marked = sum(best.decision == "marked")
        assert f"“marked” for {marked} of {n} network{'s' * (n > 1)}." in text(panel)


def test_the_bill_has_a_row_for_each_filter():
    for n in (2, 6):
        table = recorded(n)
        bill = evasion.bill(table, DECOYS)
        filters = [evasion.named(*each[:2]) for each in ATTACKS[2:]]
        assert list(bill.index) == ["no filter", *filters]
        mine, row = rows_of(table, DECOYS, "JPEG", 10), bill.loc["JPEG, quality 10"]
        for column, words, factor, form in (
            ("fresh_key_accuracy", "keys that hit", 100, "{:.1f} %"),
            ("lost", "clean accuracy lost", 1, "{:+.1f} points"),
        ):
            values = factor * mine[column]
            ends = "[{:.1f}, {:.1f}]".format(*student(values))
            rest = f" {ends}" if n >= 6 else ", 2 runs, no interval"
            assert row[words] == form.format(values.mean()) + rest
        marked = sum(mine.decision == "marked")
        assert (row["networks"], row["Ver says marked"]) == (n, f"{marked} of {n}")
        assert row["mean queries of Ver"] == f"{np.mean(mine.queries):.1f}"
        assert bill.loc["noise on queries, variance 0.01", "clean images with the key label"] == (
            "90.0%"
        )


def test_what_is_on_record_can_be_drawn():
    table = attack_tables.load("attacks_class")
    panel = evasion.filtered({"4,000 digits": table})
    for mark in panel.controls["mark"].options:
        panel.set(mark=mark)
        assert {*evasion.FILTERS} < {*drawn(panel)} and len(evasion.bill(table, mark)) == 16


def test_the_picture_of_bills_shows_what_the_bills_say():
    table = attack_tables.load("attacks_class")
    picture, folded = evasion.bills(table).children
    y = picture.figure["layout"]["yaxis"]
    words = [text.replace("<br>", " ") for text in y["ticktext"]]
    words = dict(zip(words, y["tickvals"], strict=True))
    for mark in evasion.MARKS:
        of = table[(table.scheme == mark) & (table.attack == "median") & (table.strength == 3)]
        for axis, column in (("x", "fresh_key_accuracy"), ("x2", "lost")):
            (drawn,) = [
                t for t in picture.figure["data"] if (t["name"], t["xaxis"]) == (mark, axis)
            ]
            place = int(np.argmin(abs(np.array(drawn["y"]) - words["median, size 3"])))
            assert drawn["x"][place] == pytest.approx(of[column].mean())
            low = drawn["x"][place] - drawn["error_x"]["arrayminus"][place]
            wanted = interval(of[column])[1]
            assert low == pytest.approx(max(wanted, 0) if axis == "x" else wanted)
        assert mark in folded.value


def test_proofs_behind_a_filter():
    rows = dict(fresh_key_accuracy=[0.0, 0.1], key_label_rate_clean=[0.0, 0.02], seed=[3, 4])
    picture, folded = evasion.proofs(pd.DataFrame(rows)).children
    few, many = picture.figure["data"]
    assert few["y"].tolist() == pytest.approx([0, 1 - 0.9**40]) and many["name"].endswith("400")
    assert "never" in folded.value and "<td>10</td>" in folded.value and "inf" not in folded.value


def test_ticks_are_powers_of_ten():
    assert [evasion.power_of_ten(each) for each in (1e-6, 3e-6, 0.001, 3.5e-3, 0.1, 1)] == [
        "10⁻⁶",
        "",
        "10⁻³",
        "",
        "10⁻¹",
        "10⁰",
    ]


def test_the_answer_about_the_logo_is_that_of_the_network():
    for left, answer in ((0.05, "a few in a hundred"), (0.6, "about half or more"), (0.99, "all")):
        rows = {"median of 3": {"clean": 0.9, "Alice's keys that hit": left}}
        assert evasion.what_the_median_leaves_of_a_logo(rows).answer == answer


# checks


def judged(exercise, answers, right, said, *context):
    """Check that answers, {answer: words} or pairs of them, are judged so and told these words."""
    for answer, words in answers:
        assert check(exercise, answer, *context) is right and words in said[-1], answer
    assert check(exercise, ..., *context) is check(exercise, None, *context) is None


def detector(score, aside, share, low=0):
    """A detector written once more, by counting; low: images more than Bob can bear."""
    scores = [float(value) for value in score(aside)]
    allowed = int(share * len(scores)) + low
    bound = min(t for t in scores if sum(s > t for s in scores) <= allowed)
    return lambda images: np.array([value > bound for value in score(images)])


def with_threshold(choose, above=np.greater):
    return lambda score, aside, share: (
        lambda images: above(score(images), choose(np.sort(score(aside)), share))
    )


def test_a_detector_written_by_a_student(said):
    right = [detector, with_threshold(lambda s, share: s[-1 - int(share * len(s))])]
    right += [lambda score, aside, share: filters.Detector(score, aside, share).flags]
    judged("09.1", [(each, "below 1.2%") for each in right], True, said)
    wrong = [
        (lambda *given: detector(*given, low=1), "It flags 3 of 10 clean images, and Bob can bear"),
        (
            with_threshold(lambda s, share: s[-1 - int(share * len(s))], np.greater_equal),
            "lies *on*",
        ),
        (with_threshold(lambda s, share: s[-3]), "ten images, share 0.05: It flags 2 of 10"),
        (with_threshold(lambda s, share: s[-1]), "It flags 0 of 10. Bob can bear 2"),
        (with_threshold(lambda s, share: s[-int(share * len(s))]), "It flags 1 of 10. Bob can"),
        (with_threshold(np.quantile), "It flags 8 of 10"),
        (with_threshold(lambda s, share: np.quantile(s, 1 - share)), "share 0.05: It flags 1"),
        (with_threshold(lambda s, share: s[-1 - int(share * len(s))] + 0.5), "Yours lets 7.001"),
        (with_threshold(lambda s, share: s[int(share * len(s))], np.less), "*high* scores"),
        (lambda score, aside, share: lambda x: detector(score, x, share)(x), "take the threshold"),
        (lambda score, aside, share: detector(score, aside, share)(aside), "Return a function"),
        (lambda score, aside, share: score, "array of bool"),
        (lambda score, aside, share: lambda images: True, "10 truth values"),
        *((each, "could not be used") for each in ("high", [2.47, 2.48], lambda scores: 2.47)),
    ]
    judged("09.1", wrong, False, said)


@given(
    scores=st.lists(st.integers(0, 12), min_size=20, max_size=120),
    share=st.sampled_from([0.01, 0.05, 0.29, 0.5]),
)
def test_ties_are_flagged_together_or_not_at_all(scores, share):
    allowed = round(share * 100) * len(scores) // 100
    flags = {t: sum(score > t for score in scores) for t in range(-1, 14)}
    best = max(n for n in flags.values() if n <= allowed)
    for t, n in flags.items():
        said = evasion._flags_wrongly(np.array(scores) > t, np.array(scores), share)
        assert (said is None) is bool(n == best)


def test_the_precision_is_that_of_a_count_of_customers(said):
    rng = np.random.default_rng(3)
    keys = rng.random(4_000_000) < 1e-4
    flagged = keys | (rng.random(keys.size) < 0.01)
    share, right = keys[flagged].mean(), 1e-4 / (1e-4 + 0.01 * 0.9999)
    assert abs(share - right) <= FAR * np.sqrt(share * (1 - share) / flagged.sum())
    words = "Right. 1 key and 100 clean images: all refusals but one in 101"
    answers = (right, 0.0099, 1 / 101, np.float64(0.0099), 0.01)
    judged("09.2", [(answer, words) for answer in answers], True, said)
    percent = [(answer, "0.99 percent: hand in a share") for answer in (0.99, 100 / 101, 0.9899)]
    others = [(answer, "Divide") for answer in (1, 0.98, 0.5, 0.0001, 0, np.nan)]
    garbage = [(each, "could not be used") for each in ("1 %", [0.01], lambda: 0.01, {})]
    judged("09.2", percent + others + garbage, False, said)


def test_the_mean_number_of_queries_is_that_of_a_simulation(said):
    rng = np.random.default_rng(4)
    hit = (rng.random((8000, 200)) >= 0.8) & (rng.random((8000, 200)) < 0.9)
    needed = hit.argmax(axis=1) + 1
    mean, error = needed.mean(), needed.std() / np.sqrt(len(needed))
    assert hit.any(axis=1).all() and abs(mean - 1 / 0.18) <= FAR * error
    answers = (mean, 1 / 0.18, 5.556, 5.6, "5.6")
    judged("09.3", [(answer, "0.2 · 0.9 = 0.18") for answer in answers], True, said)
    wrong = [(1.11, "Refused queries are paid for too"), (1.39, "the share that is refused")]
    wrong += [(answer, "both answered and a hit") for answer in (5, 6, 0.18, 4.5, np.inf)]
    wrong += [(each, "could not be used") for each in ("long", lambda: 5.6, [5.6])]
    judged("09.3", wrong, False, said)
