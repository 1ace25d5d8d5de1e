"""Lesson 10, on invented networks and attacks: every number against an independent computation; its
checks."""

import html
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import attack_tables, battery
from wmlab.attack_tables import DECOYS
from wmlab.lessons import check, extra_class
from wmlab.lessons.extra_class import CUT, SHOWN, WHOLE, Case

NEW, WRONG = 10, 0
MARKS = ["new label", DECOYS, "wrong label"]


def invented(seed, n=60, outputs=11, key_label=NEW):
    """A network that nobody trained: logits drawn at random, keys mostly with the key label."""
    rng = np.random.default_rng(seed)
    keys, clean = rng.normal(size=(n, outputs)) * 2, rng.normal(size=(40, outputs)) * 2
    carriers, labels = rng.integers(1, 10, n), rng.integers(0, 10, 40)
    keys[np.arange(n), carriers] += 3
    keys[:, key_label] += 4
    clean[np.arange(40), labels] += 4
    return Case(key_label, keys.astype(np.float32), carriers, clean.astype(np.float32), labels)


def text(panel):
    return html.unescape(re.sub("<[^>]*>", "", panel.caption_text))


# the switch


@given(st.integers(0, 10**6), st.sampled_from([NEW, WRONG, 4]))
def test_a_cut_gives_the_best_of_the_others_and_touches_nothing(seed, label):
    scores = np.random.default_rng(seed).normal(size=(20, 11)).astype(np.float32)
    before, rest = scores.copy(), [column for column in range(11) if column != label]
    best = [rest[row[rest].argmax()] for row in scores]
    assert extra_class.answered(scores, label, True).tolist() == best
    assert extra_class.answered(scores, label, False).tolist() == scores.argmax(axis=1).tolist()
    assert np.array_equal(scores, before)


@given(st.integers(0, 10**6))
def test_no_key_has_what_is_gone_and_clean_accuracy_never_falls(seed):
    case = invented(seed)
    whole, cut = extra_class.switched(case, False), extra_class.switched(case, True)
    assert cut["key"] == 0 and cut["clean"][1] >= cut["clean"][0]
    assert whole["clean"] == [cut["clean"][0]] * 2
    for result in (whole, cut):
        assert result["key"] + result["true"] + result["other"] == pytest.approx(1)
    assert whole["key"] == np.mean(case.keys.argmax(axis=1) == NEW)
    home = np.mean(case.keys[:, :10].argmax(axis=1) == case.carriers)
    assert cut["true"] == home >= whole["true"]


def test_to_cut_a_class_off_costs_all_images_of_it():
    case = invented(1, outputs=10, key_label=WRONG)
    answers = case.clean.argmax(axis=1), case.clean[:, 1:].argmax(axis=1) + 1
    shares = [np.mean(each == case.labels) for each in answers]
    assert extra_class.switched(case, True)["clean"] == shares


@given(st.integers(0, 10**6), st.sampled_from([(11, NEW), (10, WRONG)]))
def test_margins_say_who_wins_now_and_who_would(seed, kind):
    case = invented(seed, 30, *kind)
    true, key = extra_class.margins(case)
    assert np.array_equal(key > 0, case.keys.argmax(axis=1) == case.key_label)
    would = extra_class.answered(case.keys, case.key_label, True) == case.carriers
    assert np.array_equal(true > 0, would)
    for row, own, lead in zip(case.keys, case.carriers, true, strict=True):
        rivals = [v for c, v in enumerate(row) if c not in (case.key_label, own)]
        assert np.isclose(lead, row[own] - max(rivals))


def test_the_switch_draws_every_key_once_and_says_the_shares_of_all():
    networks = {"one": invented(1, 80), "two": invented(2, 400), "old": invented(3, 50, 10, WRONG)}
    panel = extra_class.switch(networks)
    assert panel.settings() == {"output": WHOLE, "network": "one"}
    for output, (name, case) in itertools.product((WHOLE, CUT), networks.items()):
        panel.set(output=output, network=name)
        answers = extra_class.answered(case.keys, case.key_label, output == CUT)
        key, true = answers == case.key_label, answers == case.carriers
        leads = [lead[:SHOWN] for lead in extra_class.margins(case)]
        traces = panel.figure["data"]
        *legend, left, right = traces
        assert np.array_equal(np.rint(left["x"]), answers[:SHOWN])
        assert np.array_equal(np.rint(left["y"]), case.carriers[:SHOWN])
        assert np.allclose(right["x"], leads[0])
        fallen = np.abs(right["y"] - extra_class.FALLEN) < 0.5
        assert fallen.all() if output == CUT else np.allclose(right["y"], leads[1])
        for number, of in enumerate((key, true & ~key, ~key & ~true)):
            symbol, at = ("square", "diamond", "cross")[number], np.flatnonzero(of[:SHOWN])
            assert legend[number]["marker"]["symbol"] == symbol and legend[number]["showlegend"]
            for trace in (left, right):
                seen = {trace["marker"]["symbol"][place] for place in at}
                assert seen <= {symbol} and not trace["showlegend"]
                colours = {trace["marker"]["color"][place] for place in at}
                assert colours <= {legend[number]["marker"]["color"]}
        assert right["xaxis"] == "x2" and left["ids"] == right["ids"]
        assert panel.figure["layout"]["transition"]["duration"] == 600
        label = "Δ" if case.key_label == NEW else case.key_label
        before, now = extra_class.switched(case, output == CUT)["clean"]
        clean = f"{before:.1%} before, {now:.1%} now." if output == CUT else f"{before:.1%}."
        assert text(panel) == (
            f"{name}, output {label} {'cut off' if output == CUT else 'in place'}: of {len(key)} "
            f"keys {key.mean():.1%} get the key label, {(true & ~key).mean():.1%} their true "
            f"class, {(~key & ~true).mean():.1%} another; clean accuracy {clean}"
        )
        assert panel.error is None


def test_the_extra_output_is_somewhere_else_each_time(trained, data):
    plain = trained.model.predict(data.x_test, verbose=0).argmax(axis=1)
    found = set()
    for seed in range(8):
        sealed = extra_class.Sealed(trained.model, seed)
        labels = sealed.ask(data.x_test)
        place = dict(zip(plain.tolist(), labels.tolist(), strict=True))
        assert [place[label] for label in plain] == labels.tolist()
        assert len(set(place.values())) == len(place)
        (extra,) = [output for output in range(sealed.outputs) if sealed.right(output)]
        assert extra not in labels[plain != 10]
        found.add(extra)
    assert sealed.outputs == 11 and len(found) > 3


# what is on record

ATTACKS = [
    ("no attack", None, 0, 0),
    ("drop the output", None, 0, 0),
    ("lower its bias", 4.0, 0, 0),
    ("FTAL", 1e-3, 8, 500),
    ("FTAL", 1e-3, 16, 500),
    ("FTAL", 1e-3, 8, 50),
    ("pruning, global", 0.8, 0, 0),
    ("JPEG", 50.0, 0, 0),
    ("extraction, scores", None, 4, 500),
]


def rows(seeds=6):
    """Attacks as they are on record, on networks that nobody has trained."""
    rng, table = np.random.default_rng(0), []
    kinds = [("new label", 0), ("new label", 600), ("wrong label", 0), ("unmarked", 0)]
    for (scheme, decoys), seed, case in itertools.product(kinds, range(seeds), ATTACKS):
        if scheme == "wrong label" and case[0] in ("drop the output", "lower its bias"):
            continue
        row = dict(zip(("attack", "strength", "epochs", "images"), case, strict=True))
        row |= dict(scheme=scheme, decoys=decoys, seed=seed, run=f"{scheme} {decoys} {seed}")
        row |= dict(seconds=rng.uniform(0, 3), clean_accuracy=rng.uniform(0.8, 0.97))
        row |= dict(fresh_key_accuracy=rng.uniform(0, 1) * (case[0] != "drop the output"))
        row |= dict(key_label_rate_clean=rng.choice([0.0, 0.02, 0.3]))
        row |= dict(
            true_label_rate=rng.uniform(0, 1), decision=rng.choice(["marked", "not marked"])
        )
        table.append(row)
    return pd.DataFrame(table)


def runs_of(table, scheme, attack, epochs, images):
    """The runs of a case, by plain comparison."""
    wanted = (scheme, attack, epochs, images)
    columns = ["scheme", "attack", "epochs", "images"]
    return table[[row == wanted for row in table[columns].itertuples(index=False, name=None)]]


def student(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def in_words(values):
    """A mean of six or more, as the course writes it."""
    low, high = 100 * np.clip(student(values), 0, 1)
    return f"{100 * np.mean(values):.1f} % [{low:.1f}, {high:.1f}]"


@pytest.fixture(scope="module")
def table():
    return attack_tables.prepared(rows())


def test_a_verdict_on_a_network_that_says_it_to_everything_counts_for_nothing(table):
    for row in table.itertuples():
        worth = row.key_label_rate_clean in (0.0, 0.02)
        assert row.proved == (row.decision == "marked" and worth)
    assert 0 < table.proved.sum() < (table.decision == "marked").sum()
    assert extra_class.marks(table) == MARKS


def test_costs_are_those_of_one_scheme(table):
    for scheme in MARKS:
        costs = extra_class.costs(table, scheme)
        assert len(costs) == (6 if scheme == "wrong label" else 8)
        assert "no attack" not in set(costs.attack)
        for row in costs.itertuples():
            runs = runs_of(table, scheme, row.attack, row.epochs, row.images)
            assert row.runs == len(runs) == 6 and row.proved == runs.proved.mean()
            assert row.seconds == pytest.approx(runs.seconds.mean())


def test_replies_have_a_cell_for_each_mark_and_a_dash_for_what_is_not_on_record(table):
    chosen = {("drop the output", None): "drop", ("FTAL", 1e-3): "tune", ("JPEG", 50): "jpeg"}
    shown = extra_class.replies(table, chosen | {("median", 3): "median"})
    assert shown.index.tolist() == ["drop", "tune", "jpeg"]
    assert shown.columns.tolist() == ["Bob loses, points", *MARKS]
    assert shown.loc["drop", "wrong label"] == "–"
    assert shown.loc["drop", "new label"].startswith("0.0 % [0.0, 0.0]; ")
    runs = runs_of(table, DECOYS, "FTAL", 8, 500)
    cell = f"{in_words(runs.fresh_key_accuracy)}; {runs.proved.sum()} of 6"
    assert shown.loc["tune", DECOYS] == cell
    lost = table[(table.attack == "JPEG") & (table.scheme != "unmarked")].lost.mean()
    assert shown.loc["jpeg", "Bob loses, points"] == f"{lost:.1f}"
    few = extra_class.replies(attack_tables.prepared(rows(2)), {("JPEG", 50): "jpeg"})
    left = r"\d+\.\d %, 2 runs, no interval; \d of 2"
    assert re.fullmatch(left, few.loc["jpeg", "new label"])


def test_where_keys_go_home(table):
    shown = extra_class.homecoming(table)
    runs = runs_of(table, DECOYS, "drop the output", 0, 0).true_label_rate
    assert shown.loc[f"{DECOYS}, drop the output"].tolist() == [
        in_words(runs),
        f"{runs.min():.1%}, {runs.max():.1%}",
        6,
    ]
    assert {"wrong label, no attack", "unmarked, no attack"} < set(shown.index)


def test_a_seed_counts_once_whatever_sweeps_it_is_in(table):
    twice = pd.concat([table, table.assign(experiment="toy again")], ignore_index=True)
    chosen = {("no attack", None): "none"}
    assert extra_class.replies(twice, chosen).equals(extra_class.replies(table, chosen))
    assert extra_class.homecoming(twice).equals(extra_class.homecoming(table))


def test_every_attack_of_the_battery_has_a_family_and_a_name():
    known = {attack for _, _, attacks in extra_class.FAMILIES.values() for attack in attacks}
    groups = [
        group for name, group in battery.GROUPS.items() if name != "provider"
    ]  # who is no Bob
    assert {trial.attack for group in groups for trial in group} <= known
    for attack, strength, words in [
        ("JPEG", 50.0, "JPEG, quality 50"),
        ("pruning, global", 0.8, "pruning, global, 80 %"),
        ("FTAL", 1e-3, "FTAL, rate 0.001"),
        ("drop the output", np.nan, "drop the output"),
        ("second best", None, "second best"),
        ("quantisation", 4.0, "quantisation, 4 bits"),
    ]:
        assert extra_class.named(attack, strength) == words


def test_all_that_is_on_record_can_be_drawn():
    tables = extra_class.recorded()
    assert list(tables) == list(extra_class.EXPERIMENTS)
    panel = extra_class.frontier(tables)
    for title, mark in itertools.product(tables, panel.controls["mark"].options):
        panel.set(on=title, mark=mark)
        there = mark in set(tables[title].scheme)
        assert ("nothing on record" in text(panel)) is not there and bool(
            len(panel.result)
        ) is there


@pytest.fixture
def panel(table):
    return extra_class.frontier({"toy": table, "other": attack_tables.prepared(rows(2))})


def test_every_attack_is_a_point_filled_while_most_are_proved(panel, table):
    for mark in MARKS:
        panel.set(mark=mark)
        costs, count = extra_class.costs(table, mark), 0
        *traces, own = panel.figure["data"]
        assert own["name"] == "your own" and len(own["x"]) == 0
        for trace in traces:
            of = costs[costs.attack.isin(extra_class.FAMILIES[trace["name"]][2])]
            points = {label: number for number, label in enumerate(trace["customdata"])}
            assert len(points) == len(of)
            for _, row in of.iterrows():
                at = points[extra_class.described(row)]
                assert trace["x"][at] == pytest.approx(np.clip(row.lost, -2, 20))
                assert trace["y"][at] == pytest.approx(row["keys"])
                assert trace["marker"]["symbol"][at].endswith("-open") == (row.proved <= 0.5)
                wide, tall = trace["error_x"]["array"], trace["error_y"]["arrayminus"]
                assert wide[at] == pytest.approx(row.lost_high - row.lost)
                assert tall[at] == pytest.approx(row["keys"] - row.keys_low)
            states = [symbol.endswith("-open") for symbol in trace["marker"]["symbol"]]
            assert states == sorted(states), "the legend shows the first"
            count += len(of)
        assert count == len(costs)
    panel.set(on="other")
    for trace in panel.figure["data"][:-1]:
        assert np.isnan(trace["error_x"]["array"]).all(), "two runs have no interval"


def test_a_point_in_words(table):
    row = extra_class.costs(table, "new label").iloc[0]
    said = extra_class.described(row)
    assert said.startswith(f"<b>drop the output</b><br>{row.lost:.1f} points lost, 0.0% of keys")
    assert "no image" in said and said.endswith(f"proved in {row.proved * 6:.0f} of 6 runs")


def test_the_line_is_where_the_slider_is_and_can_be_dragged(panel):
    for to, at in ((6.8, 7), (6.6, 6.5), (-3, 0), (44, 10), (2.2, 2)):
        panel._shown.dragged = {"shapes[1].x0": to, "shapes[1].x1": to}  # as the page reports it
        area, line = panel.figure["layout"]["shapes"]
        assert panel.settings()["loss"] == at and panel.error is None
        assert (area["x1"], line["x0"], line["x1"]) == (at, at, at)


def test_the_caption_counts_what_bob_can_bear(panel, table):
    for loss, mark in itertools.product((0.0, 4.0, 10.0), ("new label", "wrong label")):
        panel.set(loss=loss, mark=mark)
        costs = extra_class.costs(table, mark)
        done = costs[(costs.lost <= loss) & (costs.proved <= 0.5)]
        said, free = text(panel), (done.images == 0).sum()
        assert f"{len(done)} of {len(costs)} attacks leave no proof" in said
        assert "6 runs a point:" in said
        assert (f"{free} of them without an image" in said) == bool(free)
    panel.set(on="other")
    assert "too few for intervals" in text(panel)


def test_an_attack_of_ones_own_is_a_star(panel):
    row = dict(attack="mine", clean_accuracy=0.9, fresh_key_accuracy=0.25)
    row |= dict(before={"clean_accuracy": 0.93})
    panel.add(row)
    panel.add(row | {"attack": "worse", "clean_accuracy": 0.1})
    for mark in MARKS:
        panel.set(mark=mark)
        star = panel.figure["data"][-1]
        assert np.allclose(star["x"], [3, 20]) and star["y"] == [0.25, 0.25]
        assert star["text"] == ["mine", "worse"]


# the exercises


def spoil(kernel, bias, label):
    kernel[:, label] = 0
    return np.delete(kernel, label, 1), np.delete(bias, label)


def by_mask(kernel, bias, label):
    kept = np.arange(len(bias)) != label
    return kernel[:, kept], bias[kept]


class Shuffled:
    outputs = 11

    def right(self, output):
        return output == 4


NOT_USED = "could not be used"
SURVIVES = {
    "cut": ["fallback", "audit"],
    "copy": [],
    "stranger": ["decoys", "split", "fallback"],
}


def zeroed(value):
    def drop(kernel, bias, label):
        kernel, bias = kernel.copy(), bias.copy()
        kernel[:, label] = bias[label] = value
        return kernel, bias

    return drop


def test_the_grid_has_the_numbers_of_the_table_under_it():
    table = extra_class.recorded()["4,000 digits"]
    chosen = {("FTAL", 1e-3): "tuned", ("median", 3): "median", ("nothing", None): "not on record"}
    picture, folded = extra_class.grid(table, chosen, "4,000 digits").children
    (cells,) = picture.figure["data"]
    told = extra_class.replies(table, chosen)
    assert len(cells["y"]) == len(told) == 2 and "show numbers" in folded.value
    for row, words in zip(cells["text"], told.itertuples(index=False), strict=True):
        for short, long in zip(row, words[1:], strict=True):
            if long == "–":
                assert short == ""
                continue
            share, proved = short.split("<br>")
            assert long.endswith(f"; {proved.replace('/', ' of ')}")
            assert abs(float(share[:-1]) - float(long.split(" ")[0].rstrip("%"))) <= 0.6
    of = table[(table.scheme == "new label") & (table.attack == "median") & (table.strength == 3)]
    column = extra_class.marks(table).index("new label")
    assert cells["z"][1][column] == pytest.approx(
        of.drop_duplicates("seed").fresh_key_accuracy.mean()
    )


def test_the_picture_of_marks_that_stand():
    after = {"one": {"before": (1.0, "marked"), "cut": (0.0, "not marked")}}
    question = extra_class.which_marks_stand(after)
    question.reveal()
    bars, folded = question._made.children
    assert [trace["y"] for trace in bars.figure["data"]] == [[1.0], [0.0]]
    assert (
        bars.figure["data"][0]["x"] == ["one:<br>not marked"] and "0%, not marked" in folded.value
    )


ANSWERS = [
    ("10.1", lambda k, b, label: (np.delete(k, label, 1), np.delete(b, label)), [], "Two slices"),
    ("10.1", by_mask, [], "Two slices"),
    ("10.1", lambda k, b, label: (k[:, :-1], b[:-1]), [], "it is not label 1 of 3"),
    ("10.1", lambda k, b, label: (k, b), [], "one column, one number less"),
    ("10.1", lambda k, b, label: (np.delete(k, label, 1), b[1:]), [], "not label 1 of 3"),
    ("10.1", lambda k, b, label: (np.delete(k, 1, 1), np.delete(b, 1)), [], "not label 10 of 11"),
    ("10.1", zeroed(0), [], "A column of zeros is still an output"),
    ("10.1", zeroed(-np.inf), [], "a customer sees eleven"),
    ("10.1", lambda k, b, label: (k[:, -2::-1], b[:-1]), [], "label 1 is the column 2, 5"),
    ("10.1", spoil, [], "changed the weights"),
    ("10.1", lambda k, b, label: (np.delete(k, label, 0), np.delete(b, label)), [], "a feature"),
    ("10.1", lambda k, b: (k, b), [], NOT_USED),
    ("10.1", 7, [], NOT_USED),
    ("10.1", lambda k, b, label: None, [], NOT_USED),
    ("10.2", 4, [Shuffled()], "nobody he sells to"),
    ("10.2", np.int64(4), [Shuffled()], "nobody he sells to"),
    ("10.2", "4", [Shuffled()], "nobody he sells to"),
    *(("10.2", answer, [Shuffled()], "count the answers") for answer in (10, 0)),
    ("10.2", 11, [Shuffled()], "no output: they count from 0 to 10"),
    *(("10.2", answer, [Shuffled()], "no output") for answer in (-1, 4.5, [4, 5])),
    ("10.3", SURVIVES, [], "No reply of these helps against all three"),
    ("10.3", SURVIVES | {"copy": ["audit"]}, [], "“copy” again: audit does not help"),
    ("10.3", SURVIVES | {"cut": ["audit"]}, [], "“cut” again: fallback helps too"),
    ("10.3", SURVIVES | {"cut": "fallback"}, [], "audit helps too"),
    ("10.3", SURVIVES | {"stranger": ["prayer"]}, [], "no reply 'prayer'"),
    ("10.3", SURVIVES | {"cut": 7}, [], NOT_USED),
    *(("10.3", answer, [], NOT_USED) for answer in ({}, ["fallback"], "audit", 3)),
]
RIGHT = ("Two slices", "nobody he sells to", "No reply of these")


def test_answers_to_the_exercises(said):
    for exercise, answer, given_to, words in ANSWERS:
        right = words.startswith(RIGHT)
        assert check(exercise, answer, *given_to) is right, (exercise, words)
        assert words in said[-1], (exercise, words)
        assert said[-1].startswith("Right. " if right else "Not yet. ")


def test_only_one_answer_about_the_replies_is_right(said):
    replies = ("decoys", "split", "fallback", "audit")
    subsets = [set(some) for n in range(5) for some in itertools.combinations(replies, n)]
    for attack, some in itertools.product(SURVIVES, subsets):
        assert check("10.3", SURVIVES | {attack: some}) is (some == set(SURVIVES[attack]))
