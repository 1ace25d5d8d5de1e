"""Lesson 07 on invented runs and untrained networks: every number beside an independent
computation, every check on right, wrong and odd answers.
"""

import html
import itertools
import re

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from wmlab import attack_tables, lessons, runtime
from wmlab.lessons import check, pruning
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.stats import paired

NEW, WRONG = pruning.MARKS
LAYER, GLOBAL, FINE, NONE = pruning.PER_LAYER, pruning.GLOBAL, pruning.FINE, attack_tables.UNTOUCHED
RATES = (0.1, 0.5, 0.8, 0.9, 0.95)
STRENGTHS = {LAYER: RATES, GLOBAL: RATES, FINE: (0.3, 0.6, 0.9), "JPEG": (50.0,), NONE: (np.nan,)}
COLUMNS = tuple(pruning.MEASURES.values())


def invented(seeds=7, seed=0):
    """Attacks as a sweep records them, on networks that nobody has trained."""
    rng, rows = np.random.default_rng(seed), []
    schemes = ((NEW, 0), (NEW, 600), (WRONG, 0), ("unmarked", 0))
    same = dict(alpha=0.1, beta=0.01, epochs=0, images=500, seconds=1)
    tried = [(attack, strength) for attack in STRENGTHS for strength in STRENGTHS[attack]]
    for (scheme, decoys), number in itertools.product(schemes, range(seeds)):
        of = same | dict(scheme=scheme, decoys=decoys, seed=number)
        for attack, strength in tried:
            key, clean, given = rng.uniform([0.2, 0.5, 0], [1, 1, 0.3]).round(3)
            shares = dict(zip(COLUMNS, (key, clean, given), strict=True))
            decision = rng.choice(["marked", "not marked"])
            rows.append(
                of
                | shares
                | dict(run=f"{scheme}, {decoys}, {number}", attack=attack, strength=strength)
                | dict(decision=decision, queries=int(rng.integers(1, 41)))
            )
    return pd.DataFrame(rows)


def prepared(raw):
    return pruning.prepared(attack_tables.prepared(raw))


def plain(table, **wanted):
    """Rows of an invented table as dicts, by plain comparison."""
    rows = table.to_dict("records")
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def text(value):
    return html.unescape(re.sub("<[^>]*>", "", value))


def test_tables_are_prepared_once_for_all_pictures():
    raw = invented(3)
    table = prepared(raw)
    for row, before in zip(table.to_dict("records"), raw.to_dict("records"), strict=True):
        (start,) = plain(raw, run=before["run"], attack=NONE)
        assert row["lost"] == pytest.approx(
            100 * (start["clean_accuracy"] - before["clean_accuracy"])
        )
        told_apart = before["fresh_key_accuracy"] - before["key_label_rate_clean"]
        assert row["told_apart"] == pytest.approx(told_apart)
        assert row["scheme"] == (attack_tables.DECOYS if before["decoys"] else before["scheme"])
        assert row["strength"] == (0 if before["attack"] == NONE else before["strength"])
    assert "lost" not in raw and raw.strength.isna().any(), "what it was given stays as it was"
    names = {path.stem for path in (runtime.data_dir() / "results").glob("*_attacks.csv")}
    there = {title for title, (name,) in pruning.EXPERIMENTS.items() if f"{name}_attacks" in names}
    tables = pruning.recorded()
    assert set(tables) == there
    for table in tables.values():
        assert {LAYER, GLOBAL, FINE, NONE} <= set(table.attack)
        pairs = paired(table[table.attack == NONE], "fresh_key_accuracy").pairs.item()
        seeds = [set(table[table.scheme == scheme].seed) for scheme in (NEW, WRONG)]
        assert pairs == len(seeds[0] & seeds[1])


def test_dots_means_and_intervals_are_those_of_the_runs():
    for seeds, attack in itertools.product((1, 5, 6, 9), (LAYER, GLOBAL)):
        raw = invented(seeds)
        values = pruning.across(prepared(raw), attack)
        assert list(values) == list(itertools.product(pruning.MEASURES, (NEW, WRONG)))
        for (name, scheme), (means, runs) in values.items():
            column, of = pruning.MEASURES[name], dict(scheme=scheme, decoys=0)
            rows = {0: plain(raw, attack=NONE, **of)}
            rows |= {rate: plain(raw, attack=attack, strength=rate, **of) for rate in RATES}
            assert means.strength.tolist() == list(rows)
            wanted = sorted((rate, row[column]) for rate, each in rows.items() for row in each)
            assert sorted(map(tuple, runs.to_numpy())) == wanted
            for each, mean in zip(rows.values(), means.itertuples(), strict=True):
                shares = [row[column] for row in each]
                assert mean.mean == pytest.approx(np.mean(shares)) and mean.runs == seeds
                student = [np.nan, np.nan]
                if seeds >= 6:
                    middle, error = np.mean(shares), stats.sem(shares)
                    student = np.clip(stats.t.interval(0.95, seeds - 1, middle, error), 0, 1)
                assert np.allclose([mean.low, mean.high], student, equal_nan=True)


def test_figure_4_draws_what_the_records_hold_at_every_position():
    tables = {"some": prepared(invented(7)), "others": prepared(invented(3, seed=1))}
    panel = pruning.figure4(tables)
    for attack, rate, of in itertools.product((LAYER, GLOBAL), (0, 0.8, 0.95), tables):
        panel.set(attack=attack, rate=rate, of=of)
        drawn = {(trace["xaxis"], trace["name"]): trace for trace in panel.figure["data"]}
        for (name, scheme), (means, runs) in pruning.across(tables[of], attack).items():
            place = list(pruning.MEASURES).index(name)
            axis = f"x{place + 1}" if place else "x"
            band, line, dots = (
                drawn[axis, f"{scheme}, {what}"] for what in ("interval", "mean", "a run")
            )
            assert np.allclose(line["x"], means.strength) and np.allclose(line["y"], means["mean"])
            points = sorted(zip(dots["x"], dots["y"], strict=True))
            assert points == sorted(map(tuple, runs.to_numpy()))
            known = means.dropna()
            assert np.allclose(band["y"], [*known.low, *known.high[::-1]])
            assert len(band["x"]) == (12 if of == "some" else 0)
        lines = panel.figure["layout"]["shapes"]
        assert {(line["x0"], line["x1"], line["xref"]) for line in lines} == {
            (rate, rate, axis) for axis in ("x", "x2", "x3")
        }
        assert panel.caption_text == pruning.sentence(tables[of], attack, rate)


def test_the_sentence_has_means_decisions_and_the_paired_difference():
    raw = invented(6)
    table = prepared(raw)
    said = text(pruning.sentence(table, GLOBAL, 0.8))
    keys = {}
    for scheme in (NEW, WRONG):
        rows = plain(raw, scheme=scheme, decoys=0, attack=GLOBAL, strength=0.8)
        keys[scheme] = np.array([row["fresh_key_accuracy"] for row in rows])
        means = [np.mean([row[column] for row in rows]) for column in COLUMNS]
        assert f"{scheme}: {means[0]:.1%} of keys hit, {means[1]:.1%} of clean" in said
        marked = sum(row["decision"] == "marked" for row in rows)
        assert f"Ver says “marked” in {marked} of 6 runs" in said
    difference = 100 * (keys[NEW] - keys[WRONG])
    assert f"{difference.mean():+.1f}" in said and "p = " in said
    assert "p = " not in text(pruning.sentence(prepared(invented(5)), GLOBAL, 0.8))


def test_tests_and_verdicts_are_those_of_the_pairs():
    raw = invented(6)
    table = prepared(raw)
    signs = np.array(list(itertools.product((1, -1), repeat=6)))
    for column in (COLUMNS[0], "told_apart"):
        tested = pruning.tested(table, GLOBAL, column)
        assert tested.index.tolist() == [0, *RATES] and (tested.pairs == 6).all()
        for rate in RATES:
            each = [plain(table, scheme=s, attack=GLOBAL, strength=rate) for s in (NEW, WRONG)]
            differences = np.subtract(*([row[column] for row in rows] for rows in each))
            assert tested["mean"][rate] == pytest.approx(differences.mean())
            flipped = np.abs((signs * differences).mean(axis=1))
            assert tested.p[rate] == pytest.approx(np.mean(flipped >= flipped[0] - 1e-12))
    shown = pruning.verdicts(table, LAYER)
    names = [(f"{rate:.0%}", scheme) for rate in (0, *RATES) for scheme in (NEW, WRONG)]
    assert shown.index.tolist() == names
    rows = plain(raw, scheme=WRONG, decoys=0, attack=LAYER, strength=0.9)
    marked = sum(row["decision"] == "marked" for row in rows)
    means = {column: np.mean([row[column] for row in rows]) for column in (*COLUMNS, "queries")}
    shares = [f"{means[column]:.1%}" for column in COLUMNS]
    apart = f"{means[COLUMNS[0]] - means[COLUMNS[2]]:.1%}"
    wanted = [*shares, apart, f"{marked} of 6", f"{means['queries']:.1f}"]
    assert shown.loc[("90%", WRONG)].tolist() == wanted


def test_costs_are_those_of_the_attacks_of_this_lesson():
    table = prepared(invented(5))
    other = table[table.attack == FINE].assign(attack="JPEG")
    costs = pruning.costs(pd.concat([table, other]))
    every = [(attack, rate) for attack in (LAYER, GLOBAL, FINE) for rate in STRENGTHS[attack]]
    for scheme in (NEW, WRONG):
        mine = costs[costs.scheme == scheme]
        assert sorted(zip(mine.attack, mine.strength, strict=True)) == sorted(every)


def test_the_map_draws_every_run_and_every_mean_within_its_edges():
    tables = {"some": prepared(invented(6)), "others": prepared(invented(2, seed=1))}
    panel = pruning.frontier(tables)
    for of, loss in (("some", 0.0), ("others", 7.5), ("some", 30.0)):
        panel.set(of=of, loss=loss)
        drawn = {(trace["xaxis"], trace["name"]): trace for trace in panel.figure["data"]}
        for scheme, attack in itertools.product((NEW, WRONG), (LAYER, GLOBAL, FINE)):
            axis = "x" if scheme == NEW else "x2"
            small, large = drawn[axis, f"{attack}, a run"], drawn[axis, attack]
            rows = plain(tables[of], scheme=scheme, attack=attack)
            wanted = [(np.clip(row["lost"], -3, 30), row["fresh_key_accuracy"]) for row in rows]
            assert np.allclose(sorted(zip(small["x"], small["y"], strict=True)), sorted(wanted))
            for rate, x, y in zip(STRENGTHS[attack], large["x"], large["y"], strict=True):
                at = [row for row in rows if row["strength"] == rate]
                assert x == pytest.approx(np.clip(np.mean([row["lost"] for row in at]), -3, 30))
                assert y == pytest.approx(np.mean([row["fresh_key_accuracy"] for row in at]))
        shapes = panel.figure["layout"]["shapes"]
        for scheme, area, line in zip((NEW, WRONG), shapes[::2], shapes[1::2], strict=True):
            assert line["x0"] == line["x1"] == area["x1"] == loss
            assert area["y1"] == pruning.critical_accuracy(scheme)


def test_the_map_says_what_removes_a_mark_and_follows_the_line():
    table = prepared(invented(3)).assign(decision="marked", lost=1.0)
    panel = pruning.frontier({"these": table})
    assert text(panel.caption_text).count("removed by none of these") == 2
    gone = (table.scheme == WRONG) & (table.attack == FINE) & (table.strength == 0.6)
    table.loc[gone & (table.seed < 2), "decision"] = "not marked"
    panel = pruning.frontier({"these": table})
    said = "On these, for at most 2 points of clean accuracy, the new label is removed by none of "
    said += "these; the wrong label is removed by fine-pruning at 60% (2 of 3 runs)."
    assert text(panel.caption_text) == said
    for to, loss in [(7.3, 7.5), (-4.0, 0), (99.0, 30), (2.1, 2)]:
        for line, end in itertools.product((1, 3), ("x0", "x1")):
            panel._shown.dragged = {f"shapes[{line}].{end}": to, f"shapes[{line}].y0": 0.3}
            assert panel.settings()["loss"] == loss and panel.error is None
            assert panel.figure["layout"]["shapes"][line]["x0"] == loss


@pytest.fixture(scope="module")
def small():
    """An untrained network for 28 × 28 images, of three layers with weights."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    first = [keras.Input((28, 28, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()]
    return keras.Sequential([*first, layers.Dense(6, activation="relu"), layers.Dense(11)])


def without_smallest(weights, scope, rate):
    """All weights of a network with the smallest of its kernels set to 0, by sorting."""
    flat = np.concatenate([w.ravel() for w in weights if w.ndim > 1])
    for w in weights:
        among = w.ravel() if scope == "layer" else flat
        count = int(rate * among.size)
        cut = np.sort(np.abs(among))[count - 1] if count else -1
        yield np.where(np.abs(w) > cut, w, 0) if w.ndim > 1 else w


def test_a_pruned_network_is_asked_and_stays_what_it_was(data, small):
    before, images, labels = small.get_weights(), data.x_test[:50], data.y_test[:50]
    for scope, mark in itertools.product(("layer", "global"), (NewLabel, WrongLabel)):
        mark = mark(0.1, 0.01)
        runs = pruning.pruned(small, mark, data, "s", scope, images=50, rates=(0.0, 0.5, 0.9))
        keys = mark.keys(images[labels != 0], labels[labels != 0], "s", "pruned").images
        for run in runs:
            weights = list(without_smallest(before, scope, run["rate"]))
            for kept, w in zip(run["kept"], weights[::2], strict=True):
                assert np.array_equal(kept, w != 0)
            twin = keras.models.clone_model(small)
            twin.set_weights(weights)
            clean, answers = (np.asarray(twin(x)).argmax(axis=1) for x in (images, keys))
            others = clean[labels != mark.key_label]
            assert run["clean images right"] == np.mean(clean == labels)
            assert run["fresh keys hit"] == np.mean(answers == mark.key_label)
            assert run["clean images given the key label"] == np.mean(others == mark.key_label)
    assert all(map(np.array_equal, before, small.get_weights()))


FLOATS = arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(-2, 2, width=32))


@given(FLOATS, st.randoms())
def test_a_histogram_counts_every_weight_once(weights, random):
    kept = np.array([random.random() < 0.5 for _ in weights])
    centres, stays, goes = pruning.histogram(weights, kept)
    assert stays.sum() == kept.sum() and goes.sum() == (~kept).sum()
    assert len(centres) == len(stays) == len(goes) == pruning.BINS


def test_a_histogram_puts_weights_where_they_are():
    weights = np.repeat([-0.5, 0.0, 0.25, 0.5], [40, 10, 30, 20])
    centres, stays, goes = pruning.histogram(weights, np.abs(weights) > 0.3)
    assert np.isclose(centres[0], -centres[-1]) and np.allclose(np.diff(centres), 1 / pruning.BINS)
    quarter = np.abs(centres - 0.25).argmin()
    found = (stays[0], stays[-1], goes[pruning.BINS // 2], goes[quarter])
    assert found == (40, 20, 10, 30)
    far = np.append(np.linspace(-1, 1, 10_000), 50)
    centres, stays, _ = pruning.histogram(far, far > -2)
    assert centres[-1] < 1 and stays.sum() == 10_001


@pytest.fixture
def cut(data, small):
    marks = {"a": NewLabel(0.1, 0.01), "b": WrongLabel(0.1, 0.01)}
    return pruning.cut({name: (small, mark) for name, mark in marks.items()}, data, "s")


def test_the_cut_draws_its_bars_and_lines_and_says_so(data, small, cut):
    names = pruning.layer_names(small)
    assert names == ["all layers", "convolution 1", "dense 1", "output"]
    kernels = [w for w in small.get_weights() if w.ndim > 1]
    sizes = dict(zip(names, (36 + 16_224 + 66, 36, 16_224, 66), strict=True))
    marks = {"a": NewLabel(0.1, 0.01), "b": WrongLabel(0.1, 0.01)}
    for scope, layer, network, rate in [
        ("layer", "all layers", "a", 0.5),
        ("layer", "output", "b", 0.95),
        ("global", "convolution 1", "a", 0.0),
        ("global", "all layers", "b", 0.8),
    ]:
        cut.set(network=network, rate=rate, scope=scope, layer=layer)
        runs, place = pruning.pruned(small, marks[network], data, "s", scope), names.index(layer)
        now = runs[pruning.RATES.index(rate)]
        chosen = [place - 1] if place else range(len(kernels))
        flat = np.concatenate([kernels[n].ravel() for n in chosen])
        kept = np.concatenate([now["kept"][n].ravel() for n in chosen])
        assert cut.result["weights"] == flat.size == sizes[layer]
        centres, *counts = pruning.histogram(flat, kept)
        drawn = {trace["name"]: trace for trace in cut.figure["data"]}
        for name, wanted in zip(("kept", "set to 0"), counts, strict=True):
            assert np.allclose(drawn[name]["x"], centres)
            assert np.array_equal(drawn[name]["y"], wanted)
        for name in pruning.MEASURES:
            assert tuple(drawn[name]["x"]) == pruning.RATES
            assert np.allclose(drawn[name]["y"], [run[name] for run in runs])
        (line,) = cut.figure["layout"]["shapes"]
        assert line["x0"] == line["x1"] == rate
        key, clean, given = (f"{now[name]:.1%}" for name in pruning.MEASURES)
        how = "of each layer" if scope == "layer" else "of all layers together"
        zeros = (~kept).sum()
        for part in (
            f"{rate:.0%} {how} pruned: of the {flat.size:,} weights of {layer}, {zeros:,} are 0",
            f"({network}) hits {key} of",
            f"gets {clean} of",
            f"key label to {given} of",
        ):
            assert part in cut.caption_text


def test_a_network_is_pruned_once(cut, monkeypatch):
    cut.set(rate=0.5)
    monkeypatch.setattr(pruning, "pruned", None)
    for rate in pruning.RATES:
        cut.set(rate=rate, layer="output")
    with pytest.raises(TypeError):
        cut.set(scope="global")
    with pytest.raises(ValueError, match="rate cannot be"):
        cut.set(rate=0.42)


@pytest.fixture
def judged(monkeypatch):
    """A function: what `check` returns, and the sentence that it shows."""
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)

    def judge(exercise, answer, *context):
        right = check(exercise, answer, *context)
        assert sentences[-1].startswith({True: "Right. ", False: "Not yet. ", None: "Not "}[right])
        return right, sentences[-1]

    return judge


NINE = pruning.BY_HAND
RIGHT = [0.3, 0, 0, -0.7, 0, 0.1, -0.4, 0.1, 0.9]


def prune(weights, rate):
    """Pruning written once more, weight by weight."""
    flat = list(np.asarray(weights, float).ravel())
    order = sorted(range(len(flat)), key=lambda place: abs(flat[place]))
    for place in order[: int(rate * len(flat))]:
        flat[place] = 0.0
    return np.reshape(flat, np.shape(weights))


def by_hand(nine):
    """A function that says so for the nine weights at rate 0.4, and is right elsewhere."""
    return lambda layer, rate: nine if np.size(layer) == 9 and rate == 0.4 else prune(layer, rate)


def in_place(weights, rate):
    weights[...] = prune(weights, rate)
    return weights


def test_check_1_pruning_written_by_a_student(judged):
    assert prune(NINE, 0.4).tolist() == RIGHT
    for answer in (prune, by_hand(RIGHT), by_hand(tuple(RIGHT)), by_hand(pd.Series(RIGHT))):
        assert judged("07.1", answer)[0] is True
    for answer, words in [
        (by_hand(NINE.tolist()), "You have 1 zeros. At rate 0.4, ⌊0.4 · 9⌋ = 3"),
        (by_hand([0.3, 0, 0, -0.7, 0, 0, -0.4, 0.1, 0.9]), "You have 4 zeros"),
        (by_hand([0.3, 0, 0.1, 0, 0, 0.1, -0.4, 0.1, 0.9]), "the absolute value counts"),
        (by_hand([0.3, -0.1, 0.1, -0.7, 0, 0, -0.4, 0, 0.9]), "among equal weights the first go"),
        (by_hand([0.3, 0, 0, 0.7, 0, 0.1, 0.4, 0.1, 0.9]), "stays as it is, sign and all"),
        (by_hand([0.3, -0.7, 0.1, -0.4, 0.1, 0.9]), "they are not left out"),
        (by_hand(0), "of shape ()"),
        (by_hand([np.nan] * 9), "stays as it is"),
        (by_hand("three"), "of shape ()"),
        (lambda layer, rate: np.sort(layer), "in its place"),
        (lambda layer, rate: prune(layer, max(rate, 0.1)), "at rate 0: You have 28 zeros"),
        (
            lambda layer, rate: prune(layer, rate).ravel(),
            "shape (3, 3, 4, 8) came one of shape (288,)",
        ),
        (lambda layer, rate: prune(layer, min(rate, 0.5)), "The same kernel at rate 0.9: You have"),
        (lambda layer, rate: prune(layer, 1 - rate), "You have 5 zeros"),
        (in_place, "Work on a copy"),
        (lambda layer: layer, "could not be used"),
        (RIGHT, "could not be used"),
    ]:
        found = judged("07.1", answer)
        assert found[0] is False and words in found[1], (words, found)
    assert judged("07.1", ...)[0] is None
    # The floor is that of the number as it is written: in floating point 0.29 · 100 is below 29.
    layer = np.linspace(0.1, 1, 100)
    for rate, zeros in [(0.29, 29), (0.57, 57), (0.999, 99), (0.0, 0), (1.0, 100)]:
        for count in {zeros, max(zeros - 1, 0)}:
            answer = np.where(np.arange(100) < count, 0, layer)
            assert (pruning._pruned_wrongly(answer, layer, rate) is None) is (count == zeros)


def test_pictures_of_claims_and_verdicts_show_their_numbers():
    tables = pruning.recorded()
    small = tables["4,000 digits"]
    bars, folded = pruning.convictions(small).children
    rows = small[(small.attack == GLOBAL) & (small.scheme == NEW) & (small.strength == 0.95)]
    share = (rows.decision == "marked").mean()
    (line,) = [t for t in bars.figure["data"] if (t["name"], t["xaxis"]) == (NEW, "x2")]
    assert (
        dict(zip(line["x"], line["y"], strict=True))[0.95] == share
        and "show numbers" in folded.value
    )
    found = pruning.claimed(tables)
    assert len(found) == len(tables) * 2 * 2 * 3 and set(found.said) == {"cannot be told"}
    row = found.loc["4,000 digits", LAYER, "keys hit", 0.9]
    test = pruning.tested(small, LAYER).loc[0.9]
    assert [row["mean"], row.low, row.high] == pytest.approx(
        list(100 * test[["mean", "low", "high"]])
    )
    assert ((found.low > 0) | (found.high < 0)).sum() == 1, "all intervals but one contain 0"
    drawn = pruning.differences(found).children[0].figure["data"]
    assert sorted(x for trace in drawn for x in trace["x"]) == sorted(found["mean"])
    for trace in drawn:
        bars = trace["error_x"]
        low, high = trace["x"] - bars["arrayminus"], trace["x"] + bars["array"]
        places = list(zip(*trace["y"], strict=True))
        at = found.xs("keys hit" if trace["xaxis"] == "x" else "told apart", level="measure")
        for (on, words), *ends in zip(places, low, high, strict=True):
            attack, rate = words.split(", ")
            attack = LAYER if attack == "per layer" else GLOBAL
            row = at.loc[on, attack, float(rate[:-1]) / 100]
            assert ends == pytest.approx([row.low, row.high], nan_ok=True)  # few pairs: no interval
    two = {"a": small[small.strength == 0.9], "b": small[small.strength == 0.8]}
    for trace in pruning.spread(two)["data"]:
        hit = [of[of.scheme == trace["name"]].fresh_key_accuracy.tolist() for of in two.values()]
        assert trace["x"] == sum(hit, []) and len(trace["y"]) == len(trace["x"])


def test_the_answer_about_figure_4_is_that_of_the_records():
    table = pruning.recorded()["4,000 digits"]
    question = pruning.which_scheme_at_ninety(pruning.figure4({"4,000 digits": table}), table)
    test = pruning.tested(table, LAYER).loc[0.9]
    assert question.answer == "it cannot be told" and test.low < 0 < test.high and test.p > 0.05
    wrong = table.assign(fresh_key_accuracy=np.where(table.scheme == WRONG, 0.9, 0.1))
    wrong.loc[wrong.scheme == NEW, "fresh_key_accuracy"] += 0.001 * wrong.seed
    assert pruning.which_scheme_at_ninety(question._result, wrong).answer == "the wrong label"
    assert pruning.removed(pruning.costs(table), NEW, 2).empty, "none of them, says the map"


def runs(outcomes, scheme=NEW):
    """Rows of attacks from {(attack, strength): [(points lost, decision), …]}."""
    rows = [(*case, *one) for case, several in outcomes.items() for one in several]
    table = pd.DataFrame(rows, columns=["attack", "strength", "lost", "decision"])
    same = dict(epochs=8, images=500, seconds=1, fresh_key_accuracy=0.5, proved=False)
    return table.assign(scheme=scheme, **same)


M, N = "marked", "not marked"
PRUNED = {
    (GLOBAL, 0.3): [(0.0, M), (0.2, M)],
    (GLOBAL, 0.5): [(3.5, M), (0.5, M)],
    (GLOBAL, 0.7): [(2.0, M), (2.2, M)],
    (LAYER, 0.7): [(0.0, M), (0.0, M)],
}
TRIED = PRUNED | {
    (FINE, 0.3): [(1, M), (1, M), (1, N)],
    (FINE, 0.6): [(1, N), (3, N), (1.5, M)],
    (FINE, 0.9): [(5, N)] * 3,
    (FINE, 0.8): [(2, N), (2, M)],
    ("FTAL", 0.01): [(0, N)],
}


def test_check_2_the_largest_rate_that_bob_bears(judged):
    table = pd.concat([runs(PRUNED), runs({(GLOBAL, 0.7): [(0.0, M)]}, WRONG)])
    for answer in (0.5, np.float64(0.5), "0.5"):
        found = judged("07.2", answer, table)
        assert found[0] is True and "2.0 points at 50%" in found[1]
    for answer, words in [
        (0.3, "At 0.3 he loses 0.1 points, which he bears; but a larger rate"),
        (0.7, "At 0.7 he loses 2.1 points. Group"),
        (50, "50 is no rate on record: there are 0.3, 0.5, 0.7"),
        (np.nan, "nan is no rate"),
        ("half", "could not be used"),
        ([0.5, 0.7], "could not be used"),
    ]:
        found = judged("07.2", answer, table)
        assert found[0] is False and words in found[1], answer


def test_check_3_what_removes_the_mark(judged):
    table = pd.concat([runs(TRIED, WRONG), runs({(FINE, 0.3): [(0, N)] * 9})])
    right = [(FINE, 0.6)]
    rights = [right, tuple(right), set(right), [[FINE, 0.6]], right * 2, [(FINE, "0.6")]]
    for answer in [*rights, np.array(right, dtype=object)]:
        assert judged("07.3", answer, table)[0] is True
    for answer, words in [
        ([], "That is 0 of 1"),
        ([*right, (FINE, 0.9)], "fine-pruning at 0.9 costs 5.0 points"),
        ([*right, (FINE, 0.3)], "After fine-pruning at 0.3 Ver acquits in 33% of the runs"),
        ([*right, (FINE, 0.8)], "acquits in 50% of the runs"),
        ([(GLOBAL, 0.3)], "acquits in 0% of the runs"),
        ([("FTAL", 0.01)], "“FTAL” at 0.01 is not on record"),
        ((FINE, 0.6), "could not be used"),
        (0.6, "could not be used"),
    ]:
        found = judged("07.3", answer, table)
        assert found[0] is False and words in found[1], answer
    assert judged("07.3", [], runs(PRUNED, WRONG))[0] is True
    both = runs(TRIED | {(FINE, 0.3): [(1, N)] * 3}, WRONG)
    assert "1 of 2" in judged("07.3", right, both)[1]
    assert judged("07.3", [*right, (FINE, 0.3)], both)[0] is True
