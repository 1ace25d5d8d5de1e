"""Lesson 08, on invented attacks: every number against an independent computation; its checks."""

import html
import itertools
import re

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wmlab import attack_tables
from wmlab.lessons import check, fine_tuning

NEW, WRONG = MARKS = fine_tuning.MARKS
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
KEYS, CLEAN = "fresh_key_accuracy", "clean_accuracy"
BEFORE = ("no attack", None, 0, 0)
SETTINGS = [
    BEFORE,
    *[(mode, rate, 8, 500) for mode in fine_tuning.MODES for rate in RATES],
    *[("FTAL", rate, epochs, 500) for rate in RATES[1:4] for epochs in (1, 2, 4, 16)],
    *[("FTAL", rate, 8, images) for rate in RATES[1:4] for images in (50, 150)],
    ("REFIT", 0.03, 8, 500),
    ("REFIT", 0.1, 8, 500),
]


def raw(seeds=6, schemes=(NEW, WRONG), seed=0, settings=SETTINGS, decoys=0):
    """Attacks as they are on record, of networks that nobody has trained."""
    rng, rows = np.random.default_rng(seed), []
    for scheme, number, setting in itertools.product(schemes, range(seeds), settings):
        key, clean = rng.beta(2, 2, 2) if setting[1] else rng.uniform(0.9, 1, 2)
        row = dict(zip(("attack", "strength", "epochs", "images"), setting, strict=True))
        row |= dict(scheme=scheme, decoys=decoys, alpha=0.1, beta=0.01, seed=number)
        row |= {"run": f"{scheme} {decoys} {number}", CLEAN: clean, KEYS: key}
        row |= dict(true_label_rate=(1 - key) * rng.random())
        row |= dict(key_label_rate_clean=0.2 * rng.random(), seconds=1)
        rows.append(row | dict(decision="marked" if rng.random() < key else "not marked"))
    return pd.DataFrame(rows)


def prepared(*arguments, **options):
    return fine_tuning.prepared(attack_tables.prepared(raw(*arguments, **options)))


def student(values):
    ends = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return np.clip(ends, 0, 1)


def in_words(values):
    """A mean of six or more, as the course writes it."""
    low, high = student(values)
    return f"{100 * np.mean(values):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def one(table, scheme, attack, rate, epochs=8, images=500):
    """The runs of one setting, by plain comparison."""
    wanted = (scheme, attack, rate, epochs, images)
    columns = ["scheme", "attack", "strength", "epochs", "images"]
    return table[[row == wanted for row in table[columns].itertuples(index=False, name=None)]]


def text(panel):
    return html.unescape(re.sub("<[^>]*>", "", panel.caption_text))


def drawn(panel):
    """{(name, axis): trace} of a figure in which no two have the same."""
    traces = panel.figure["data"]
    found = {(trace["name"], trace["xaxis"]): trace for trace in traces}
    assert len(found) == len(traces) and panel.error is None
    return found


def test_prepared_keeps_pairs_and_says_what_keys_became():
    table, extra = raw(3), raw(2, schemes=(NEW,), decoys=600)
    pruned = raw(2).assign(attack=lambda rows: rows.attack.where(rows.strength.isna(), "pruning"))
    alone = raw(1, schemes=(WRONG,)).assign(seed=7, run="alone")
    others = [extra, raw(2, schemes=("unmarked",)), pruned[pruned.attack == "pruning"], alone]
    everything = pd.concat([table, *others], ignore_index=True).sample(frac=1, random_state=1)
    found = fine_tuning.prepared(attack_tables.prepared(everything))
    assert sorted(found.index) == list(range(len(table)))
    for row in found.itertuples():
        (before,) = [
            old
            for old in table.itertuples()
            if (old.scheme, old.seed, old.attack) == (row.scheme, row.seed, "no attack")
        ]
        assert row.fell == pytest.approx(before.fresh_key_accuracy - row.fresh_key_accuracy)
        assert row.another + row.true_label_rate + row.fresh_key_accuracy == pytest.approx(1)
    usual = fine_tuning.usual(prepared(1))
    assert sorted(zip(usual.attack, usual.epochs, usual.images, strict=True)) == sorted(
        2 * [("no attack", 0, 0)]
        + 10 * [(mode, 8, 500) for mode in fine_tuning.MODES]
        + 4 * [("REFIT", 8, 500)]
    )


def test_all_that_is_on_record_can_be_drawn():
    tables = fine_tuning.recorded()
    assert list(tables) == list(fine_tuning.EXPERIMENTS)
    panels = fine_tuning.rates(tables), fine_tuning.frontier(tables)
    for title, table in tables.items():
        assert table.groupby("seed").scheme.nunique().eq(2).all()
        assert table.lost[table.attack == "no attack"].abs().max() == 0
        for panel in panels:
            panel.set(on=title)
        assert len(fine_tuning.table1({title: table}))


def test_rates_in_few_letters():
    for rate, words in {1e-5: "10⁻⁵", 0.001: "10⁻³", 0.03: "0.03", 1: "10⁰", 100: "10²"}.items():
        assert fine_tuning.short(rate) == words
    assert fine_tuning.short(1e-12) == "10⁻¹²" and fine_tuning.short(0.0025) == "0.0025"


def test_rates_draws_runs_means_intervals_and_what_keys_get():
    ways = [(1, "FTAL", 1e-5), (5, "RTLL", 1e-2), (6, "FTLL", 1e-1), (8, "FTAL, SGD", 1e-3)]
    for seeds, mode, rate in ways:
        table = prepared(seeds)
        panel = fine_tuning.rates({"digits": table})
        panel.set(mode=mode, rate=rate)
        shown, said = drawn(panel), text(panel)
        for place, scheme in enumerate(MARKS):
            before = table[(table.scheme == scheme) & (table.attack == "no attack")]
            runs = {fine_tuning.START: before} | {r: one(table, scheme, mode, r) for r in RATES}
            name = f"{scheme}: keys hit"
            dots = shown[f"{name}, a run", "x"]
            wanted = [(x, key) for x, group in runs.items() for key in group[KEYS]]
            assert sorted(zip(dots["x"], dots["y"], strict=True)) == sorted(wanted)
            for line, column in ((f"{name}, mean", KEYS), (f"{scheme}: clean images right", CLEAN)):
                trace, means = shown[line, "x"], [group[column].mean() for group in runs.values()]
                assert trace["x"].tolist() == list(runs) and np.allclose(trace["y"], means)
            band = shown[f"{name}, interval", "x"]
            enough = list(runs) if seeds >= 6 else []
            low, high = np.reshape([student(runs[x][KEYS]) for x in enough], (-1, 2)).T
            assert band["x"].tolist() == enough + enough[::-1]
            assert np.allclose(band["y"], [*low, *high[::-1]])
            assert shown[f"{scheme}: keys, tuned now", "x"]["x"] == []
            at, stack = runs[rate], []
            for fate, column in (
                ("key label", at[KEYS]),
                ("true label", at.true_label_rate),
                ("another label", 1 - at[KEYS] - at.true_label_rate),
            ):
                bar = shown[fate, "x2"]
                stack.append(bar["y"][place])
                assert bar["y"][place] == pytest.approx(column.mean())
                assert bar["text"][place] in ("", f"{fate}<br>{column.mean():.0%}")
            assert sum(stack) == pytest.approx(1)
            marked = sum(decision == "marked" for decision in at.decision)
            assert f"Ver says “marked” in {marked} of {seeds} runs" in said
            if seeds >= 6:
                assert f"{scheme}: keys hit {in_words(at[KEYS])}; clean images right " in said
                assert in_words(at[CLEAN]) in said
        assert panel.figure["layout"]["shapes"][0]["x0"] == rate
        axis = panel.figure["layout"]["xaxis"]
        assert axis["tickvals"] == [fine_tuning.START, *RATES] and axis["type"] == "log"
        assert axis["range"][0] < np.log10(fine_tuning.START) < -1 < axis["range"][1]


def test_the_sentence_minds_networks_that_always_say_the_key_label():
    table = prepared(2)
    table["key_label_rate_clean"] = np.where(
        (table.attack == "RTLL") & (table.scheme == WRONG), 0.1 + 0.4 * table.seed, 0.0
    )
    said = fine_tuning.sentence(table, "RTLL", 1e-5)
    assert said.endswith("Mind: up to 30% of clean images get the key label too.")
    assert "Mind" not in fine_tuning.sentence(table, "FTAL", 1e-5)


def test_rates_of_another_table_and_of_a_mode_that_is_not_on_it():
    few = prepared(2, settings=[BEFORE, ("FTAL", 1e-3, 8, 2000)])
    panel = fine_tuning.rates({"digits": prepared(2, seed=1), "photographs": few})
    assert panel.first == 1 and list(panel.controls) == ["rate", "mode", "on"]
    panel.set(on="photographs", rate=1e-3)
    mean = few[(few.scheme == NEW) & (few.attack == "FTAL")][KEYS].mean()
    assert f"new label: keys hit {100 * mean:.1f} %" in text(panel)
    panel.set(mode="RTLL")
    assert text(panel) == "RTLL at 10⁻³ is not on record."
    bars = [trace for trace in panel.figure["data"] if trace["type"] == "bar"]
    assert len(bars) == 3 and all(list(bar["y"]) == [0, 0] for bar in bars)


def test_the_button_runs_the_attack_on_both_and_keeps_the_rows():
    asked = []

    def tune(scheme, mode, rate):
        asked.append((scheme, mode, rate))
        return {"scheme": scheme, "attack": mode, "strength": rate, KEYS: 0.25 + (scheme == NEW)}

    panel = fine_tuning.rates({"digits": prepared(2)}, tune)
    panel.set(mode="FTLL", rate=1e-2)
    panel.run(fine_tuning.TUNE)
    assert asked == [(NEW, "FTLL", 1e-2), (WRONG, "FTLL", 1e-2)] and len(panel.own) == 2
    for mode, stars in (("FTLL", [1e-2]), ("FTAL", [])):
        panel.set(mode=mode, rate=1e-5)
        for scheme, share in ((NEW, 1.25), (WRONG, 0.25)):
            star = drawn(panel)[f"{scheme}: keys, tuned now", "x"]
            assert star["x"] == stars and star["y"] == [share] * len(stars)
    assert not fine_tuning.rates({"digits": prepared(2)}).jobs


def test_settings_are_means_and_removed_is_cheap_and_acquitted():
    table = prepared(4)
    means = attack_tables.costs(table)
    assert len(means) == 2 * (len(SETTINGS) - 1)
    for row in means.itertuples():
        runs = one(table, row.scheme, row.attack, row.strength, row.epochs, row.images)
        assert row.runs == len(runs) == 4 and row.lost == pytest.approx(runs.lost.mean())
        assert row.keys == pytest.approx(runs[KEYS].mean())
        acquitted = [decision != "marked" for decision in runs.decision]
        assert row.acquitted == pytest.approx(np.mean(acquitted))
    for loss in (0, 10, 30, 100):
        wanted = (means.scheme == NEW) & (means.lost <= loss) & (means.acquitted >= 0.75)
        found = attack_tables.removed(means, NEW, loss)
        assert found.index.tolist() == wanted[wanted].index.tolist()


def test_a_path_changes_one_thing_in_its_order():
    means = attack_tables.costs(prepared(1))
    for along, column, lengths in (
        ("learning rate", "strength", [5, 5, 5, 2]),
        ("epochs", "epochs", [5, 5, 5]),
        ("images", "images", [3, 3, 3]),
    ):
        found = fine_tuning.paths(means[means.scheme == NEW], along)
        assert [len(rows) for rows in found.values()] == lengths
        for rows in found.values():
            fixed = {"attack", "strength", "epochs", "images"} - {column}
            assert rows[column].is_monotonic_increasing and rows[column].is_unique
            assert all(rows[other].nunique() == 1 for other in fixed)
            assert along == "images" or set(rows.images) == {500}


def test_the_map_draws_every_setting_the_paths_and_the_loss():
    table = prepared(3)
    panel, means = fine_tuning.frontier({"digits": table}), attack_tables.costs(table)
    texts = []
    for along, loss in (("learning rate", 2.0), ("epochs", 7.5), ("images", 0.0)):
        panel.set(along=along, loss=loss)
        shown = drawn(panel)
        for place, scheme in enumerate(MARKS):
            mine, axis = means[means.scheme == scheme], ("x", "x2")[place]
            every = shown.pop(("every setting", axis))
            assert np.allclose(every["x"], np.clip(mine.lost, -5, 20))
            assert np.allclose(every["y"], mine["keys"])
            first = next(mine.itertuples())
            setting = f"{first.attack} at {fine_tuning.short(first.strength)}, {first.epochs} "
            assert every["customdata"][0] == (
                f"{setting}epochs, {first.images} images: {first.lost:.1f} points, {first.keys:.1%}"
            )
            for name, rows in fine_tuning.paths(mine, along).items():
                line = shown.pop((name, axis))
                assert np.allclose(line["y"], rows["keys"])
                assert np.allclose(line["x"], np.clip(rows.lost, -5, 20))
                # a text that finds no room is left out
                told = [key for words, key in zip(line["text"], line["y"], strict=True) if words]
                assert max(told, default=0) < 0.9
                texts += told
            shade, bears = panel.figure["layout"]["shapes"][2 * place : 2 * place + 2]
            assert (shade["x1"], bears["x0"], bears["x1"]) == (loss, loss, loss)
            gone = attack_tables.removed(means, scheme, loss)
            assert panel.result[scheme].equals(gone)
            said = f"{len(gone)} of {len(mine)} settings remove the {scheme}"
            assert said in text(panel)
            needed = 1 if scheme == NEW else 29  # hits of 40 that its Ver asks for
            assert stats.binom.sf(needed - 1, 40, shade["y1"]) == pytest.approx(0.5, abs=1e-6)
        assert not shown and text(panel).startswith(f"For at most {loss:g} points of clean ")
    assert texts


def test_a_line_that_is_dragged_moves_the_slider():
    panel = fine_tuning.frontier({"digits": prepared(1)})
    for to, loss in ((4.1, 4.0), (4.3, 4.5), (-2, 0.0), (19, 15.0)):
        panel._shown.dragged = {"shapes[3].x0": to, "shapes[3].x1": to}  # as the page reports it
        assert panel.settings()["loss"] == loss and panel.error is None
        assert {shape["x1"] for shape in panel.figure["layout"]["shapes"]} == {loss}


def test_bars_show_means_and_intervals_of_six():
    for seeds in (5, 6):
        table = prepared(seeds)
        figure = fine_tuning.bars(table, "RTLL", 1e-2)
        assert figure["layout"]["title"]["text"].replace("<br>", " ") == (
            f"RTLL at 10⁻²; networks a scheme: {seeds}"
        )
        for bar in figure["data"]:
            runs = one(table, bar["name"], "RTLL", 1e-2)
            assert np.allclose(bar["y"], [runs[CLEAN].mean(), runs[KEYS].mean()])
            assert ("error_y" in bar) is (seeds == 6)
            if seeds == 6:
                low, high = np.transpose([student(runs[column]) for column in (CLEAN, KEYS)])
                assert np.allclose(np.add(bar["y"], bar["error_y"]["array"]), high)
                assert np.allclose(np.subtract(bar["y"], bar["error_y"]["arrayminus"]), low)


def test_differences_are_of_pairs():
    for seeds in (1, 5, 7):
        table = prepared(seeds)
        table.loc[(table.attack == "FTLL") & (table.scheme == NEW), KEYS] += 1
        shown = fine_tuning.compared(table.sample(frac=1, random_state=0))
        assert shown.index.tolist() == list(fine_tuning.MODES)
        for mode, rate in itertools.product(fine_tuning.MODES, RATES):
            new, wrong = (
                one(table, scheme, mode, rate).set_index("seed")[KEYS] for scheme in MARKS
            )
            points, cell = 100 * (new - wrong), shown.loc[mode, fine_tuning.short(rate)]
            cell = cell.replace("−", "-")
            assert cell.startswith(f"{points.mean():+z.1f} points")
            if seeds < 6:
                assert cell.endswith("no interval") and f", {seeds} run" in cell
                continue
            low, high = stats.t.interval(0.95, 6, points.mean(), stats.sem(points))
            assert f"[{low:z.1f}, {high:z.1f}]" in cell
            signs = itertools.product((1, -1), repeat=seeds)
            flips = np.array([abs(np.dot(some, points)) for some in signs])
            assert cell.endswith(" *") == (np.mean(flips >= flips[0] - 1e-9) <= 0.05)
        assert (seeds < 6) or shown.loc["FTLL"].str.endswith(" *").all()


def at_rate(new, wrong, seeds=6, before=1.0):
    """A table of RTAL at 10⁻³ with these key accuracies, give or take a little, and `before`."""
    table = raw(seeds, settings=[BEFORE, ("RTAL", 1e-3, 8, 500), ("RTAL", 1e-2, 8, 500)])
    table.loc[table.attack == "no attack", KEYS] = before
    wobble = np.linspace(-0.01, 0.01, seeds)
    for scheme, share in ((NEW, new), (WRONG, wrong)):
        at = (table.scheme == scheme) & (table.strength == 1e-3)
        table.loc[at, KEYS] = share + (1 + (scheme == NEW)) * wobble
    return fine_tuning.prepared(attack_tables.prepared(table))


def test_table_1_has_means_after_and_before():
    table = prepared(6)
    shown = fine_tuning.table1({"4,000 digits": table}).set_index("mode")
    assert shown.index.tolist() == ["FTAL", "FTLL", "RTAL", "RTLL"]
    assert (shown["networks a scheme"] == 6).all()
    for mode, scheme in itertools.product(shown.index, MARKS):
        before = table[(table.scheme == scheme) & (table.attack == "no attack")]
        for words, column in (("keys", KEYS), ("clean", CLEAN)):
            after = in_words(one(table, scheme, mode, 1e-3)[column])
            cell = f"{after} ({before[column].mean():.1%})"
            assert shown.loc[mode, f"{scheme}, {words}"] == cell
    assert fine_tuning.table1({"4,000 digits": table}, 1e-2).iloc[0, 2] != shown.iloc[0, 1]
    digits = prepared(2, settings=[BEFORE, ("FTAL", 1e-2, 8, 500)])
    shown = fine_tuning.table1({"4,000 digits": digits, "4,000 photographs": at_rate(0.5, 0.4)})
    assert shown["trained on"].tolist() == ["4,000 photographs"], "what is not on record has no row"


def test_what_table_1_says_of_the_papers_sentence():
    def judged(title, table):
        shown = fine_tuning.table1({title: table})
        assert shown["mode"].tolist() == ["RTAL"]
        return shown["the paper’s sentence"].item()

    for new, wrong, seeds, before, says in [
        (0.97, 0.96, 6, 1, "holds"),
        (0.97, 0.96, 5, 1, "cannot be told"),
        (0.97, 0.5, 6, 1, "does not hold"),
        (0.5, 0.97, 6, 1, "does not hold"),
        (0.905, 0.97, 6, 1, "cannot be told"),
        (0.3, 0.3, 5, 1, "cannot be told"),
        (0.87, 0.87, 6, 0.92, "holds"),
        (0.87, 0.87, 6, 0.97, "cannot be told"),
        (0.87, 0.87, 6, 1, "does not hold"),
    ]:
        assert judged("60,000 digits", at_rate(new, wrong, seeds, before)) == says
    for new, wrong, seeds, says in [
        (0.6, 0.5, 6, "holds"),
        (0.5, 0.6, 6, "does not hold"),
        (0.5, 0.5, 6, "cannot be told"),
        (0.6, 0.5, 5, "cannot be told"),
    ]:
        assert judged("4,000 photographs", at_rate(new, wrong, seeds)) == says
    table = at_rate(0.6, 0.5)
    low = (table.scheme == WRONG) & (table.attack == "no attack")
    from_lower = fine_tuning.prepared(table.assign(**{KEYS: table[KEYS].mask(low, 0.7)}))
    assert judged("4,000 photographs", from_lower) == "does not hold", "a fall has a start"


def test_pictures_of_differences_and_of_table_1():
    tables = fine_tuning.recorded()
    table = tables["4,000 digits"]
    picture, folded = fine_tuning.differences(table).children
    (ftll,) = [trace for trace in picture.figure["data"] if trace["name"] == "FTLL"]
    every = fine_tuning.usual(table)
    at = every[(every.attack == "FTLL") & (every.strength == 0.1)].pivot(
        index="seed", columns="scheme", values=KEYS
    )
    mean = 100 * (at[NEW] - at[WRONG]).mean()
    assert ftll["y"][-1] == pytest.approx(mean) and mean < -20
    assert (ftll["error_y"]["array"] > 0).all() and "show numbers" in folded.value
    figure = fine_tuning.left(tables).children[0].figure
    for plot, (title, of) in enumerate(tables.items(), 1):
        rows = fine_tuning.usual(of)
        drawn = {
            t["name"]: t for t in figure["data"] if t["xaxis"] == f"x{plot if plot > 1 else ''}"
        }
        for name in MARKS:
            after = rows[(rows.scheme == name) & (rows.attack == "FTAL") & (rows.strength == 1e-3)]
            assert drawn[f"{name}, after"]["x"][0] == pytest.approx(after[KEYS].mean()), title
            before = rows[(rows.scheme == name) & (rows.attack == "no attack")][KEYS].mean()
            assert drawn[f"{name}, before"]["x"][0] == pytest.approx(before)
            assert drawn[f"{name}, before"]["marker"]["symbol"].endswith("-open")


def test_answers_of_questions_are_those_of_the_records():
    tables = fine_tuning.recorded()
    table, panel = tables["4,000 digits"], fine_tuning.rates(tables)
    for share, answer in ((0.95, "nearly all"), (0.5, "about half"), (0.02, "hardly any")):
        told = fine_tuning.keys_left_at_the_default_rate(panel, table.assign(**{KEYS: share}))
        assert told.answer == answer and panel.settings()["rate"] == 1e-3
    asked = fine_tuning.keys_left_at_the_default_rate(panel, table)
    assert asked.answer == "about half" and "42" in asked.because
    cost = fine_tuning.frontier(tables)
    for lost, answer in ((1.99, "less than 2"), (2, "2 to 5"), (6, "more than 5")):
        means = MEANS.assign(lost=lost)
        assert fine_tuning.what_bob_must_give_up(cost, means).answer == answer
    means = fine_tuning.costs(table)
    assert fine_tuning.what_bob_must_give_up(cost, means).answer == "less than 2"


# the exercises


def by_index(layers, mode):
    for number, layer in enumerate(layers):
        layer.trainable = mode.endswith("AL") or number == 3


def frozen(rule, last=True):
    """A function that sets layers by rule(mode), and the last to `last`."""

    def freeze(layers, mode):
        for layer in layers[:-1]:
            layer.trainable = rule(mode)
        layers[-1].trainable = last

    return freeze


def only_freezes(layers, mode):
    for layer in layers[:-1] if mode.endswith("LL") else ():
        layer.trainable = False


def test_freezing_moves_the_layers_of_a_network():
    model = keras.Sequential([keras.layers.Dense(3) for _ in range(4)])
    model.build((None, 2))
    for mode in fine_tuning.MODES:
        fine_tuning.freeze(model.layers, mode)
        assert len(model.trainable_weights) == (8 if mode[2:4] == "AL" else 2)


MEANS = pd.DataFrame(
    [
        ("new label", "FTAL", 0.01, 8, 500, 6, 2.5, 0.0, 1.0),
        ("new label", "FTAL", 0.01, 16, 500, 6, 1.5, 0.0, 1.0),
        ("new label", "FTLL", 0.1, 8, 500, 6, 0.4, 0.004, 0.9),
        ("new label", "FTLL", 0.01, 8, 500, 6, 0.1, 0.05, 0.5),
        ("new label", "FTAL, SGD", 0.1, 8, 500, 6, 0.6, 0.0, 1.0),
        ("wrong label", "FTLL", 0.1, 8, 500, 6, -1.0, 0.61, 0.8),
        ("wrong label", "RTLL", 0.01, 8, 500, 6, -2.0, 0.6, 1.0),
    ],
    columns="scheme attack strength epochs images runs lost keys acquitted".split(),
)
CHEAPEST = (
    "It costs Bob 0.4 points and leaves 0.4% of the keys. The wrong label keeps 61% of its keys "
    "there."
)
NOT_USED = "could not be used"
ANSWERS = [
    ("08.1", fine_tuning.freeze, [], True, "FT or RT makes no difference"),
    ("08.1", frozen(lambda mode: mode[2:] == "AL"), [], True, "Right."),
    ("08.1", frozen(lambda mode: "A" in mode), [], True, "Right."),
    ("08.1", frozen(lambda mode: mode[2:] == "LL"), [], False, "AL means all layers, LL the last"),
    ("08.1", frozen(lambda mode: True), [], False, "FTLL, 4 layers: yours makes trainable 1, 2, 3"),
    ("08.1", frozen(lambda mode: False), [], False, "FTAL, 4 layers: yours makes trainable 4."),
    ("08.1", frozen(lambda mode: mode.startswith("FT")), [], False, "AL means all layers"),
    ("08.1", frozen(lambda mode: mode[2:] == "AL", False), [], False, "moves in every mode"),
    ("08.1", by_index, [], False, "7 layers"),
    ("08.1", only_freezes, [], False, "FTAL, 4 layers: yours makes trainable none"),
    ("08.1", lambda layers, mode: None, [], False, "AL means all layers"),
    ("08.1", lambda layers: None, [], False, NOT_USED),
    ("08.1", ["FTAL"], [], False, NOT_USED),
    *(("08.2", answer, [MEANS], True, CHEAPEST) for answer in [("FTLL", 0.1), ["FTLL", "0.1"]]),
    ("08.2", np.array(["FTLL", 0.1], object), [MEANS], True, CHEAPEST),
    ("08.2", MEANS.loc[2, ["attack", "strength"]], [MEANS], True, CHEAPEST),
    ("08.2", ("FTAL", 0.01), [MEANS], False, "ends the mark for 1.5 points. Another setting costs"),
    ("08.2", ("FTAL, SGD", 0.1), [MEANS], False, "for 0.6 points"),
    ("08.2", ("FTLL", 0.01), [MEANS], False, "still says “marked” of most"),
    ("08.2", ("RTLL", 0.01), [MEANS], False, "still says “marked”"),
    (
        "08.2",
        ("FTAL", 0.1),
        [MEANS],
        False,
        "FTAL at 0.1 is not on record. Modes are “FTAL”, “FTLL”",
    ),
    ("08.2", ("REFIT", 0.1), [MEANS], False, "not on record"),
    ("08.2", (0.1, "FTLL"), [MEANS], False, NOT_USED),
    *(
        ("08.2", answer, [MEANS], False, NOT_USED)
        for answer in ("FTLL", 0.1, ("FTLL",), ("FTLL", 0.1, 8), {"FTLL": 0.1}, lambda m: m)
    ),
    ("08.3", np.mean(np.array([91, 73, 60, 44, 28]) / 98), [], True, "Three fifths on the way"),
    ("08.3", 0.604, [], True, "Three fifths"),
    ("08.3", np.float32(0.604), [], True, "Three fifths"),
    ("08.3", 0.6, [], True, "Three fifths"),
    ("08.3", "0.604", [], True, "Three fifths"),
    ("08.3", 0.592, [], False, "divide"),
    ("08.3", (0.98 + 2.96) / 6 / 0.98, [], False, "You counted “before”"),
    ("08.3", 0.28 / 0.98, [], False, "in the end"),
    *(("08.3", answer, [], False, "Divide each") for answer in (60.4, 0, np.nan)),
    *(("08.3", answer, [], False, NOT_USED) for answer in ("a half", [0.604])),
    ("08.4", 0.991, [0.9911], True, "All other layers were frozen"),
    ("08.4", 1, [1.0], True, "All other layers"),
    *(
        ("08.4", answer, [0.991], False, "That is what Bob's network hits")
        for answer in (0.0, 0.04)
    ),
    *(("08.4", answer, [0.991], False, "List the layers") for answer in (0.5, 0.97, 1.1, np.nan)),
    *(("08.4", answer, [0.991], False, NOT_USED) for answer in ("all", lambda: 1)),
]


def test_answers_to_the_exercises(said):
    for exercise, answer, given, right, words in ANSWERS:
        assert check(exercise, answer, *given) is right, (exercise, answer)
        assert words in said[-1], (exercise, answer)
        assert said[-1].startswith("Right. " if right else "Not yet. ")
    for exercise, given in (("08.1", []), ("08.2", [MEANS]), ("08.3", []), ("08.4", [0.991])):
        assert check(exercise, ..., *given) is None


def test_one_setting_is_the_cheapest_whatever_the_records(said):
    rng = np.random.default_rng(0)
    modes, rates = ("FTAL", "FTLL"), (0.001, 0.01, 0.1)
    places = [*itertools.product(MARKS, modes, rates, (4, 8))]
    for _ in range(20):
        rows = [(*place, 500, 6, *rng.random(3)) for place in places]
        means = pd.DataFrame(rows, columns=MEANS.columns)
        ended = [row for row in means.itertuples() if row.scheme == NEW and row.acquitted > 0.5]
        best = min(ended, key=lambda row: row.lost)
        right = [each for each in itertools.product(modes, rates) if check("08.2", each, means)]
        assert right == [(best.attack, best.strength)]
