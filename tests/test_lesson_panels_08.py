"""Notebook 08's panels and tables, on invented attacks: every number against an independent
computation.
"""

import html
import itertools
import re
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import runtime
from wmlab.lessons import fine_tuning

NEW, WRONG = fine_tuning.MARKS
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SETTINGS = [
    ("no attack", None, 0, 0),
    *[(mode, rate, 8, 500) for mode in fine_tuning.MODES for rate in RATES],
    *[("FTAL", rate, epochs, 500) for rate in RATES[1:4] for epochs in (1, 2, 4, 16)],
    *[("FTAL", rate, 8, images) for rate in RATES[1:4] for images in (50, 150)],
    ("REFIT", 0.03, 8, 500),
    ("REFIT", 0.1, 8, 500),
]


def raw(seeds=6, schemes=(NEW, WRONG), seed=0, settings=SETTINGS):
    """Attacks as they are on record, of networks that nobody has trained."""
    rng, rows = np.random.default_rng(seed), []
    for scheme, number, (attack, rate, epochs, images) in itertools.product(
        schemes, range(seeds), settings
    ):
        key, clean = rng.beta(2, 2, 2) if rate else rng.uniform(0.9, 1, 2)
        rows.append(
            {
                "scheme": scheme,
                "decoys": 0,
                "alpha": 0.1,
                "beta": 0.01,
                "seed": number,
                "attack": attack,
                "strength": rate,
                "epochs": epochs,
                "images": images,
                "clean_accuracy": clean,
                "fresh_key_accuracy": key,
                "true_label_rate": (1 - key) * rng.random(),
                "key_label_rate_clean": 0.2 * rng.random(),
                "decision": "marked" if rng.random() < key else "not marked",
            }
        )
    return pd.DataFrame(rows)


def prepared(*arguments, **options):
    return fine_tuning.prepared(raw(*arguments, **options))


def student(values):
    return np.clip(
        stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values)), 0, 1
    )


def one(table, scheme, attack, rate, epochs=8, images=500):
    """The runs of one setting, by plain comparison."""
    return table[
        [
            a == (scheme, attack, rate, epochs, images)
            for a in zip(
                table.scheme, table.attack, table.strength, table.epochs, table.images, strict=True
            )
        ]
    ]


def text(value):
    return html.unescape(re.sub("<[^>]*>", "", value))


def buttons(panel):
    return {child.description: child for child in panel.widget.children[1].children}


def has_pairs(name):
    path = runtime.data_dir() / "results" / f"{name}_attacks.csv"
    table = pd.read_csv(path) if path.exists() else raw(0)
    return (
        bool(set(table[table.scheme == NEW].seed) & set(table[table.scheme == WRONG].seed))
        if len(table)
        else False
    )


class TestPrepared:
    def test_what_was_lost_and_who_got_another_label(self):
        table = raw(3)
        shuffled = fine_tuning.prepared(table.sample(frac=1, random_state=1))
        assert len(shuffled) == len(table)
        for row in shuffled.itertuples():
            before = table[
                (table.scheme == row.scheme)
                & (table.seed == row.seed)
                & (table.attack == "no attack")
            ]
            assert row.lost == pytest.approx(
                100 * (before.clean_accuracy.item() - row.clean_accuracy)
            )
            assert row.another + row.true_label_rate + row.fresh_key_accuracy == pytest.approx(1)

    def test_other_networks_attacks_and_seeds_without_a_pair_are_left_out(self):
        table, extra = raw(3), raw(2, schemes=("unmarked", NEW))
        extra.loc[extra.scheme == NEW, "decoys"] = 600
        pruned = raw(2).assign(
            attack=lambda rows: rows.attack.where(rows.attack == "no attack", "pruning, global")
        )
        alone = raw(1, schemes=(WRONG,)).assign(seed=7)
        everything = pd.concat([table, extra, pruned[pruned.attack != "no attack"], alone])
        pd.testing.assert_frame_equal(
            fine_tuning.prepared(everything).reset_index(drop=True), fine_tuning.prepared(table)
        )

    def test_the_usual_setting(self):
        found = fine_tuning.usual(prepared(1))
        assert sorted(zip(found.attack, found.epochs, found.images, strict=True)) == sorted(
            2 * [("no attack", 0, 0)]
            + 10 * [(mode, 8, 500) for mode in fine_tuning.MODES]
            + 4 * [("REFIT", 8, 500)]
        )

    def test_all_that_is_on_record_can_be_drawn(self):
        tables = fine_tuning.on_record()
        assert set(tables) == {
            title for title, name in fine_tuning.EXPERIMENTS.items() if has_pairs(name)
        }
        for title, table in tables.items():
            assert len(table) and table.groupby("seed").scheme.nunique().eq(2).all()
            assert abs(table[table.attack == "no attack"].lost).max() == 0
            panel, cost = fine_tuning.rates({title: table}), fine_tuning.frontier({title: table})
            assert (
                panel.error is None
                and cost.error is None
                and len(fine_tuning.table1({title: table}))
            )


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1e-5, "10⁻⁵"),
        (0.001, "10⁻³"),
        (0.1, "10⁻¹"),
        (0.03, "0.03"),
        (1, "10⁰"),
        (100, "10²"),
        (0.0025, "0.0025"),
        (1e-12, "10⁻¹²"),
    ],
)
def test_rates_in_words(rate, words):
    assert fine_tuning.power(rate) == words


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_spread_is_students_and_none_of_fewer_than_six(values):
    mean, low, high = fine_tuning.spread(values)
    assert mean == pytest.approx(np.mean(values))
    if len(values) < 6:
        assert np.isnan(low) and np.isnan(high) and fine_tuning.told(values) == f"{mean:.1%}"
    elif np.ptp(values) > 1e-6:
        assert (
            np.allclose((low, high), student(values), atol=1e-9)
            and fine_tuning.told(values) == f"{mean:.1%} [{low:.1%}, {high:.1%}]"
        )


def test_a_ratio_may_lie_above_one():
    values = [1.1, 1.2, 1.15, 1.12, 1.18, 1.11]
    low, high = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))
    assert fine_tuning.told(values, None) == f"{np.mean(values):.1%} [{low:.1%}, {high:.1%}]"


def traces(figure):
    """{name: (x, y)} of the figure of rates; bands by the legend of the line that follows."""
    found, data = {}, list(figure.data)
    for number, trace in enumerate(data):
        band = trace.type == "scatter" and trace.fill == "toself"
        name = f"{data[number + 1].name} band" if band else trace.name
        assert found.setdefault(name, (list(trace.x), list(trace.y))) is not None
    assert len(found) == len(data) == 13
    return found


class TestRates:
    @pytest.mark.parametrize(
        ("seeds", "mode", "rate"),
        [(1, "FTAL", 1e-5), (5, "RTLL", 1e-2), (6, "FTLL", 1e-1), (8, "FTAL, SGD", 1e-3)],
    )
    def test_it_draws_the_runs_their_means_and_their_intervals(self, seeds, mode, rate):
        table = prepared(seeds)
        panel = fine_tuning.rates({"digits": table})
        panel.set(mode=mode, rate=rate)
        shown = traces(panel.figure)
        for scheme in fine_tuning.MARKS:
            runs = {
                fine_tuning.START: table[(table.scheme == scheme) & (table.attack == "no attack")],
                **{r: one(table, scheme, mode, r) for r in RATES},
            }
            assert all(len(group) == seeds for group in runs.values())
            dots = [(x, key) for x, group in runs.items() for key in group.fresh_key_accuracy]
            assert sorted(zip(*shown[f"{scheme}, a network"], strict=True)) == sorted(dots)
            for name, column in (
                ("fresh keys hit", "fresh_key_accuracy"),
                ("clean images right", "clean_accuracy"),
            ):
                assert np.allclose(
                    shown[f"{scheme}: {name}"],
                    [list(runs), [group[column].mean() for group in runs.values()]],
                )
            ends = (
                [student(group.fresh_key_accuracy) for group in runs.values()] if seeds >= 6 else []
            )
            low, high = np.reshape(ends, (-1, 2)).T
            places = [*runs] if seeds >= 6 else []
            assert np.allclose(
                shown[f"{scheme}: fresh keys hit band"],
                [places + places[::-1], [*low, *high[::-1]]],
            )
            assert shown[f"{scheme}: keys, tuned now"] == ([], [])
        for fate, column in (
            ("key label", "fresh_key_accuracy"),
            ("true label", "true_label_rate"),
            ("another label", "another"),
        ):
            names, shares = shown[fate]
            assert names == [0, 1] and panel.figure.layout.xaxis2.ticktext == (NEW, WRONG)
            assert np.allclose(
                shares,
                [one(table, scheme, mode, rate)[column].mean() for scheme in fine_tuning.MARKS],
            )
        assert sum(np.array(shown[fate][1]) for fate in fine_tuning.FATES) == pytest.approx(1)
        line = panel.figure.layout.shapes[0]
        assert line.x0 == line.x1 == rate and panel.figure.layout.barmode == "stack"

    def test_the_caption_says_what_is_left_and_of_how_many(self):
        table = prepared(7)
        table.loc[:, "key_label_rate_clean"] = 0.01
        panel = fine_tuning.rates({"digits": table})
        for mode, rate in itertools.product(fine_tuning.MODES, RATES):
            panel.set(mode=mode, rate=rate)
            said = text(panel.caption.value)
            assert (
                said.startswith(f"What {mode} at {fine_tuning.power(rate)} leaves: ")
                and "Mind" not in said
            )
            for scheme in fine_tuning.MARKS:
                runs = one(table, scheme, mode, rate)
                key, clean = (
                    f"{runs[c].mean():.1%} [{{:.1%}}, {{:.1%}}]".format(*student(runs[c]))
                    for c in ("fresh_key_accuracy", "clean_accuracy")
                )
                marked = sum(decision == "marked" for decision in runs.decision)
                assert (
                    f"{scheme}, {key} of keys and {clean} of clean images, Ver says “marked” in {marked} of 7 runs"
                    in said
                )

    def test_a_network_that_says_the_key_label_to_everything_is_told(self):
        table = prepared(2)
        table["key_label_rate_clean"] = np.where(
            (table.attack == "RTLL") & (table.scheme == WRONG), 0.1 + 0.4 * table.seed, 0.0
        )
        panel = fine_tuning.rates({"digits": table})
        panel.set(mode="RTLL")
        assert "Mind: up to 30% of clean images get the key label too." in text(panel.caption.value)

    def test_it_opens_with_one_slider_and_a_move_takes_less_than_a_tenth_of_a_second(self):
        panel = fine_tuning.rates({"digits": prepared(10), "photographs": prepared(10, seed=1)})
        assert panel._row.children == (panel.controls["rate"],) and panel.settings()["rate"] == 1e-5
        took = []
        for rate in RATES[::-1]:
            start = time.perf_counter()
            panel.set(rate=rate)
            took.append(time.perf_counter() - start)
        assert min(took) < 0.1
        buttons(panel)["More controls"].value = True
        assert panel._row.children == tuple(panel.controls.values())

    def test_another_table_and_a_mode_that_is_not_on_it(self):
        few = prepared(2, settings=[SETTINGS[0], ("FTAL", 1e-3, 8, 2000)])
        panel = fine_tuning.rates({"digits": prepared(2, seed=1), "photographs": few})
        panel.set(on="photographs", rate=1e-3)
        runs = few[(few.scheme == NEW) & (few.attack == "FTAL")]
        assert f"new label, {runs.fresh_key_accuracy.mean():.1%} of keys" in text(
            panel.caption.value
        )
        panel.set(mode="RTLL")
        assert text(panel.caption.value) == "RTLL at 10⁻³ is not on record."
        assert all(
            value is not None and value == value for trace in panel.figure.data for value in trace.y
        )

    def test_its_button_runs_the_attack_on_both_and_keeps_the_rows(self):
        asked = []

        def tune(scheme, mode, rate):
            asked.append((scheme, mode, rate))
            return {
                "scheme": scheme,
                "attack": mode,
                "strength": rate,
                "fresh_key_accuracy": 0.25 + 0.5 * (scheme == NEW),
            }

        panel = fine_tuning.rates({"digits": prepared(2)}, tune)
        panel.set(mode="FTLL", rate=1e-2)
        buttons(panel)[fine_tuning.TUNE].click()
        assert (
            asked == [(NEW, "FTLL", 1e-2), (WRONG, "FTLL", 1e-2)]
            and panel.error is None
            and len(panel.own) == 2
        )
        for scheme, share in ((NEW, 0.75), (WRONG, 0.25)):
            assert traces(panel.figure)[f"{scheme}: keys, tuned now"] == ([1e-2], [share])
        panel.set(mode="FTAL")
        assert traces(panel.figure)[f"{NEW}: keys, tuned now"] == ([], [])
        panel.set(mode="FTLL", rate=1e-5)
        assert traces(panel.figure)[f"{WRONG}: keys, tuned now"] == ([1e-2], [0.25])
        assert fine_tuning.TUNE not in buttons(fine_tuning.rates({"digits": prepared(2)}))


class TestMap:
    def test_settings_are_means_over_networks(self):
        table = prepared(5)
        means = fine_tuning.settings(table)
        assert len(means) == 2 * (len(SETTINGS) - 1)
        for row in means.itertuples():
            runs = one(table, row.scheme, row.attack, row.strength, row.epochs, row.images)
            assert row.runs == len(runs) == 5 and row.lost == pytest.approx(runs.lost.mean())
            assert row.keys == pytest.approx(runs.fresh_key_accuracy.mean())
            assert row.acquitted == pytest.approx(
                np.mean([decision != "marked" for decision in runs.decision])
            )

    def test_removed_is_within_the_loss_and_acquitted_more_often_than_not(self):
        means = fine_tuning.settings(prepared(4))
        for loss in (0, 10, 30, 100):
            found = fine_tuning.removed(means, NEW, loss)
            wanted = [
                row.Index
                for row in means.itertuples()
                if row.scheme == NEW and row.lost <= loss and row.acquitted >= 0.75
            ]
            assert found.index.tolist() == wanted

    @pytest.mark.parametrize(
        ("along", "column", "fixed"),
        [
            ("learning rate", "strength", ["attack", "epochs", "images"]),
            ("epochs", "epochs", ["attack", "strength", "images"]),
            ("images", "images", ["attack", "strength", "epochs"]),
        ],
    )
    def test_a_path_changes_one_thing_in_its_order(self, along, column, fixed):
        means = fine_tuning.settings(prepared(1))
        found = fine_tuning.paths(means[means.scheme == NEW], along)
        lengths = (
            [5, 5, 5, 2] if along == "learning rate" else [5] * 3 if along == "epochs" else [3] * 3
        )
        assert [len(rows) for rows in found.values()] == lengths
        for rows in found.values():
            assert rows[column].is_monotonic_increasing and rows[column].is_unique
            assert (rows[fixed].nunique() == 1).all() and (
                along == "images" or set(rows.images) == {500}
            )

    def test_it_draws_every_setting_the_paths_and_the_loss(self):
        table = prepared(3)
        panel, means = fine_tuning.frontier({"digits": table}), fine_tuning.settings(table)
        for along, loss in (("learning rate", 2.0), ("epochs", 7.5), ("images", 0.0)):
            panel.set(along=along, loss=loss)
            for place, scheme in enumerate(fine_tuning.MARKS):
                mine = means[means.scheme == scheme]
                every, *lines = panel.figure.data[5 * place : 5 * place + 5]
                assert np.allclose(every.x, np.clip(mine.lost, -5, 20)) and np.allclose(
                    every.y, mine["keys"]
                )
                assert np.allclose(every.customdata, mine.lost) and every.text[
                    0
                ] == fine_tuning.described(next(mine.itertuples()))
                drawn = {line.name: line for line in lines if len(line.x)}
                wanted = fine_tuning.paths(mine, along)
                assert list(drawn) == [name for name, rows in wanted.items() if len(rows)]
                for name, line in drawn.items():
                    assert np.allclose(line.y, wanted[name]["keys"]) and np.allclose(
                        line.x, np.clip(wanted[name].lost, -5, 20)
                    )
                    assert [bool(words) for words in line.text] == [key < 0.9 for key in line.y]
                shade, bears = panel.figure.layout.shapes[2 * place : 2 * place + 2]
                assert (shade.x1, bears.x0, bears.x1) == (loss, loss, loss)
                count = len(fine_tuning.removed(means, scheme, loss))
                assert f"{count} of {len(mine)} settings remove the {scheme}" in text(
                    panel.caption.value
                )
            assert text(panel.caption.value).startswith(
                f"For at most {loss:g} points of clean accuracy, "
            )

    def test_the_shade_ends_where_ver_is_as_likely_to_acquit_as_to_convict(self):
        shapes = fine_tuning.frontier({"digits": prepared(1)}).figure.layout.shapes
        for shade, needed in ((shapes[0], 1), (shapes[2], 29)):
            assert stats.binom.sf(needed - 1, 40, shade.y1) == pytest.approx(0.5, abs=1e-6)

    @pytest.mark.parametrize(("to", "loss"), [(4.1, 4.0), (4.3, 4.5), (-2, 0.0), (19, 15.0)])
    def test_a_line_that_is_dragged_moves_the_slider(self, to, loss):
        panel = fine_tuning.frontier({"digits": prepared(1)})
        assert (
            panel.figure._config["edits"] == {"shapePosition": True}
            and panel.figure._config["responsive"]
        )
        panel.figure.layout.shapes[3].update(x0=to, x1=to)  # as the browser reports it
        assert panel.settings()["loss"] == loss and panel.error is None
        assert [shape.x1 for shape in panel.figure.layout.shapes] == [loss] * 4


def test_bars_show_means_and_intervals_of_six():
    for seeds in (5, 6):
        table = prepared(seeds)
        figure = fine_tuning.bars(table, "RTLL", 1e-2)
        assert f"RTLL at 10⁻²; networks a scheme: {seeds}" == figure.layout.title.text
        for bar in figure.data:
            runs = one(table, bar.name, "RTLL", 1e-2)
            assert np.allclose(bar.y, [runs.clean_accuracy.mean(), runs.fresh_key_accuracy.mean()])
            if seeds == 6:
                ends = [
                    student(runs[column]) for column in ("clean_accuracy", "fresh_key_accuracy")
                ]
                assert np.allclose(np.array(bar.y) + bar.error_y.array, [high for _, high in ends])
                assert np.allclose(
                    np.array(bar.y) - bar.error_y.arrayminus, [low for low, _ in ends]
                )
            else:
                assert bar.error_y.array is None


@pytest.mark.parametrize("seeds", [1, 5, 7])
def test_differences_are_of_pairs(seeds):
    table = prepared(seeds)
    table.loc[(table.attack == "FTLL") & (table.scheme == NEW), "fresh_key_accuracy"] += 1
    shown = fine_tuning.compared(table.sample(frac=1, random_state=0))
    assert shown.index.tolist() == list(fine_tuning.MODES) and shown.columns.tolist() == [
        fine_tuning.power(rate) for rate in RATES
    ]
    for mode, rate in itertools.product(fine_tuning.MODES, RATES):
        new, wrong = (
            one(table, scheme, mode, rate).set_index("seed").fresh_key_accuracy
            for scheme in fine_tuning.MARKS
        )
        difference, cell = 100 * (new - wrong), shown.loc[mode, fine_tuning.power(rate)]
        assert cell.startswith(f"{difference.mean():+.1f} ")
        if seeds < 6:
            assert cell.endswith(f"({seeds} pair{'s' if seeds > 1 else ''})") and "*" not in cell
        else:
            assert (
                "[{:+.1f}, {:+.1f}]".format(
                    *stats.t.interval(0.95, 6, difference.mean(), stats.sem(difference))
                )
                in cell
            )
            flips = [
                abs(np.dot(signs, difference)) for signs in itertools.product((1, -1), repeat=seeds)
            ]
            assert cell.endswith("*") == (np.mean(np.array(flips) >= flips[0] - 1e-9) <= 0.05)
    assert (seeds < 6) or shown.loc["FTLL"].str.endswith("*").all()


def at_rate(new, wrong, seeds=6, before=1.0):
    """A table of RTAL at 10⁻³ with these key accuracies, give or take a little, and one `before`."""
    wobble = np.linspace(-0.01, 0.01, seeds)
    table = raw(seeds, settings=[SETTINGS[0], ("RTAL", 1e-3, 8, 500), ("RTAL", 1e-2, 8, 500)])
    table.loc[table.attack == "no attack", "fresh_key_accuracy"] = before
    for scheme, share in ((NEW, new), (WRONG, wrong)):
        at = (table.scheme == scheme) & (table.strength == 1e-3)
        table.loc[at, "fresh_key_accuracy"] = share + (1 + (scheme == NEW)) * wobble
    return fine_tuning.prepared(table)


class TestTable1:
    def test_its_numbers(self):
        table = prepared(6)
        shown = fine_tuning.table1({"4,000 digits": table}).set_index("mode")
        assert (
            shown.index.tolist() == ["FTAL", "FTLL", "RTAL", "RTLL"]
            and (shown["networks a scheme"] == 6).all()
        )
        for mode, scheme in itertools.product(shown.index, fine_tuning.MARKS):
            before = table[(table.scheme == scheme) & (table.attack == "no attack")]
            for words, column in (("keys", "fresh_key_accuracy"), ("clean", "clean_accuracy")):
                after = one(table, scheme, mode, 1e-3)[column]
                low, high = student(after)
                cell = f"{after.mean():.1%} [{low:.1%}, {high:.1%}] ({before[column].mean():.1%})"
                assert shown.loc[mode, f"{scheme}, {words}"] == cell
        assert fine_tuning.table1({"4,000 digits": table}, 1e-2).iloc[0, 2] != shown.iloc[0, 1]

    @pytest.mark.parametrize(
        ("new", "wrong", "seeds", "says"),
        [
            (0.97, 0.96, 6, "holds"),
            (0.97, 0.96, 5, "cannot be told"),
            (0.97, 0.5, 6, "does not hold"),
            (0.5, 0.97, 6, "does not hold"),
            (0.905, 0.97, 6, "cannot be told"),
            (0.3, 0.3, 5, "cannot be told"),
        ],
    )
    def test_digits_keep_their_keys_under_both_or_do_not(self, new, wrong, seeds, says):
        shown = fine_tuning.table1({"60,000 digits": at_rate(new, wrong, seeds)})
        assert shown["mode"].tolist() == ["RTAL"] and shown["the paper’s sentence"].item() == says

    @pytest.mark.parametrize(
        ("before", "says"), [(0.92, "holds"), (0.97, "cannot be told"), (1, "does not hold")]
    )
    def test_digits_keep_a_share_of_the_keys_that_were_hit_before(self, before, says):
        assert (
            fine_tuning.table1({"60,000 digits": at_rate(0.87, 0.87, before=before)})[
                "the paper’s sentence"
            ].item()
            == says
        )

    @pytest.mark.parametrize(
        ("new", "wrong", "seeds", "says"),
        [
            (0.6, 0.5, 6, "holds"),
            (0.5, 0.6, 6, "does not hold"),
            (0.5, 0.5, 6, "cannot be told"),
            (0.6, 0.5, 5, "cannot be told"),
        ],
    )
    def test_photographs_lose_fewer_with_the_new_label_or_do_not(self, new, wrong, seeds, says):
        assert (
            fine_tuning.table1({"4,000 photographs": at_rate(new, wrong, seeds)})[
                "the paper’s sentence"
            ].item()
            == says
        )

    def test_a_fall_counts_from_where_the_keys_were(self):
        table = at_rate(0.6, 0.5)
        low = (table.scheme == WRONG) & (table.attack == "no attack")
        raised = fine_tuning.prepared(
            table.assign(fresh_key_accuracy=table.fresh_key_accuracy.mask(low, 0.7))
        )
        assert (
            fine_tuning.table1({"4,000 photographs": raised})["the paper’s sentence"].item()
            == "does not hold"
        )

    def test_what_is_not_on_record_has_no_row(self):
        digits = prepared(2, settings=[SETTINGS[0], ("FTAL", 1e-2, 8, 500)])
        shown = fine_tuning.table1({"4,000 digits": digits, "4,000 photographs": at_rate(0.5, 0.4)})
        assert shown["trained on"].tolist() == ["4,000 photographs"]
