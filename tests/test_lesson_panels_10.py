"""Notebook 10's switch and frontier, on invented networks and runs: every number against an
independent computation.
"""

import asyncio
import html
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import battery
from wmlab.lessons import extra_class
from wmlab.lessons.extra_class import CUT, WHOLE, Case
from wmlab.stats import FEW

NEW, WRONG = 10, 0


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
    return html.unescape(re.sub("<[^>]*>", "", panel.caption.value))


class TestSwitch:
    @given(st.integers(0, 10**6), st.sampled_from([NEW, WRONG, 4]))
    def test_a_cut_gives_the_best_of_the_others_and_touches_nothing(self, seed, label):
        scores = np.random.default_rng(seed).normal(size=(20, 11)).astype(np.float32)
        before = scores.copy()
        rest = [column for column in range(11) if column != label]
        assert extra_class.answered(scores, label, True).tolist() == [
            rest[row[rest].argmax()] for row in scores
        ]
        assert extra_class.answered(scores, label, False).tolist() == scores.argmax(axis=1).tolist()
        assert np.array_equal(scores, before)

    @given(st.integers(0, 10**6))
    def test_no_key_has_what_is_gone_and_clean_accuracy_never_falls(self, seed):
        case = invented(seed)
        whole, cut = extra_class.settle(case, False), extra_class.settle(case, True)
        assert (
            cut["key"] == 0
            and cut["clean"][1] >= cut["clean"][0] == whole["clean"][0] == whole["clean"][1]
        )
        for result in (whole, cut):
            assert result["key"] + result["true"] + result["other"] == pytest.approx(1)
        assert whole["key"] == np.mean(case.keys.argmax(axis=1) == NEW)
        assert (
            cut["true"]
            == np.mean(case.keys[:, :10].argmax(axis=1) == case.carriers)
            >= whole["true"]
        )

    def test_to_cut_a_class_off_costs_all_images_of_it(self):
        case = invented(1, outputs=10, key_label=WRONG)
        result = extra_class.settle(case, True)
        answers = case.clean[:, 1:].argmax(axis=1) + 1
        assert result["clean"] == [
            np.mean(case.clean.argmax(axis=1) == case.labels),
            np.mean(answers == case.labels),
        ]

    @given(st.integers(0, 10**6), st.sampled_from([(11, NEW), (10, WRONG)]))
    def test_margins_say_who_wins_now_and_who_would(self, seed, kind):
        case = invented(seed, 30, *kind)
        true, key = extra_class.margins(case)
        assert np.array_equal(key > 0, case.keys.argmax(axis=1) == case.key_label)
        assert np.array_equal(
            true > 0, extra_class.answered(case.keys, case.key_label, True) == case.carriers
        )
        rivals = [
            max(v for c, v in enumerate(row) if c not in (case.key_label, own))
            for row, own in zip(case.keys, case.carriers, strict=True)
        ]
        assert np.allclose(true, case.keys[np.arange(30), case.carriers] - rivals)

    @pytest.fixture
    def panel(self):
        return extra_class.switch(
            {"one": invented(1, 80), "two": invented(2, 400), "old": invented(3, 50, 10, WRONG)}
        )

    def test_it_opens_whole_and_every_position_draws_every_key_once(self, panel):
        assert panel.settings() == {"output": WHOLE, "network": "one"}
        for output, network in itertools.product((WHOLE, CUT), ("one", "two", "old")):
            panel.set(output=output, network=network)
            case = {
                "one": invented(1, 80),
                "two": invented(2, 400),
                "old": invented(3, 50, 10, WRONG),
            }[network]
            shown = min(len(case.keys), extra_class.SHOWN)
            answers = extra_class.answered(case.keys, case.key_label, output == CUT)[:shown]
            kinds = [
                answers == case.key_label,
                (answers == case.carriers[:shown]) & (answers != case.key_label),
            ]
            kinds.append(~kinds[0] & ~kinds[1])
            for number, kind in enumerate(kinds):
                left, right = panel.figure.data[number], panel.figure.data[number + 3]
                assert np.array_equal(np.rint(left.x), answers[kind])
                assert np.array_equal(np.rint(left.y), case.carriers[:shown][kind])
                assert np.allclose(right.x, extra_class.margins(case)[0][:shown][kind])
                fallen = np.abs(np.array(right.y) - extra_class.FALLEN) < 0.5
                assert (
                    fallen.all()
                    if output == CUT
                    else np.allclose(right.y, extra_class.margins(case)[1][:shown][kind])
                )
            assert panel.error is None

    def test_its_caption_says_the_shares_of_all_keys(self, panel):
        panel.set(output=CUT, network="two")
        result = extra_class.settle(invented(2, 400), True)
        assert text(panel) == (
            f"two, output Δ cut off: of 400 keys 0.0% get the key label, {result['true']:.1%} their true class, "
            f"{result['other']:.1%} another; clean accuracy {result['clean'][0]:.1%} before, "
            f"{result['clean'][1]:.1%} now."
        )
        panel.set(output=WHOLE, network="old")
        assert "old, output 0 in place" in text(panel) and "before" not in text(panel)

    def test_looks_stay_with_their_meaning(self, panel):
        for output in (CUT, WHOLE):
            panel.set(output=output)
            assert [trace.marker.symbol for trace in panel.figure.data] == [
                "square",
                "diamond",
                "cross",
            ] * 2
            assert [trace.showlegend for trace in panel.figure.data] == [True] * 3 + [False] * 3


class TestSealed:
    def test_the_extra_output_is_somewhere_else_each_time(self, trained, data):
        plain = trained.model.predict(data.x_test, verbose=0).argmax(axis=1)
        found = set()
        for seed in range(8):
            sealed = extra_class.Sealed(trained.model, seed)
            labels = sealed.ask(data.x_test)
            place = dict(zip(plain.tolist(), labels.tolist(), strict=True))
            assert [place[label] for label in plain] == labels.tolist() and len(
                set(place.values())
            ) == len(place)
            (extra,) = [output for output in range(sealed.outputs) if sealed.right(output)]
            assert extra not in labels[plain != 10]
            found.add(extra)
        assert sealed.outputs == 11 and len(found) > 3


def rows(
    seeds=6, marks=(("new label", 0), ("new label", 600), ("wrong label", 0), ("unmarked", 0))
):
    """Attacks on networks that nobody has trained."""
    rng, table = np.random.default_rng(0), []
    attacks = [
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
    for (scheme, decoys), seed, (attack, strength, epochs, images) in itertools.product(
        marks, range(seeds), attacks
    ):
        if scheme == "wrong label" and attack in ("drop the output", "lower its bias"):
            continue
        table.append(
            {
                "experiment": "toy",
                "dataset": "mnist",
                "scheme": scheme,
                "alpha": 0.1,
                "beta": 0.01,
                "decoys": decoys,
                "decay": False,
                "seed": seed,
                "attack": attack,
                "strength": strength,
                "epochs": epochs,
                "images": images,
                "seconds": rng.uniform(0, 3),
                "clean_accuracy": rng.uniform(0.8, 0.97),
                "fresh_key_accuracy": 0.0 if attack == "drop the output" else rng.uniform(0, 1),
                "key_label_rate_clean": rng.choice([0.0, 0.02, 0.3]),
                "true_label_rate": rng.uniform(0, 1),
                "decision": rng.choice(["marked", "not marked"]),
                "queries": 40,
            }
        )
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def table():
    return extra_class.prepared(rows())


class TestRecords:
    def test_what_is_lost_is_lost_by_the_same_network(self, table):
        raw = rows()
        for number in range(0, len(raw), 7):
            row = raw.iloc[number]
            same = raw[
                (raw.scheme == row.scheme) & (raw.decoys == row.decoys) & (raw.seed == row.seed)
            ]
            before = same[same.attack == "no attack"].clean_accuracy.item()
            assert table.iloc[number].lost == pytest.approx(before - row.clean_accuracy)

    def test_decoys_are_a_mark_of_their_own(self, table):
        assert set(table.mark) == {"new label", "with decoys", "wrong label", "unmarked"}
        assert ((table.mark == "with decoys") == (table.decoys == 600)).all()

    def test_a_verdict_on_a_network_that_says_it_to_everything_counts_for_nothing(self, table):
        for _, row in table.iterrows():
            assert row.proved == (
                row.decision == "marked" and row.key_label_rate_clean in (0.0, 0.02)
            )
        assert 0 < table.proved.sum() < (table.decision == "marked").sum()

    @pytest.mark.parametrize("mark", ["new label", "with decoys", "wrong label"])
    @pytest.mark.parametrize("seeds", [1, 5, 6])
    def test_points_are_means_with_intervals_from_six_runs_on(self, mark, seeds):
        table = extra_class.prepared(rows(seeds))
        points = extra_class.points(table, mark)
        assert len(points) == (6 if mark == "wrong label" else 8) and "no attack" not in set(
            points.attack
        )
        for _, point in points.iterrows():
            strength = (
                table.strength.isna()
                if pd.isna(point.strength)
                else table.strength == point.strength
            )
            runs = table[
                (table.mark == mark)
                & (table.attack == point.attack)
                & strength
                & (table.epochs == point.epochs)
                & (table.images == point.images)
            ]
            assert point.runs == len(runs) == seeds and point.proved == runs.proved.sum()
            for name, column in (("lost", "lost"), ("keys", "fresh_key_accuracy")):
                assert point[name] == pytest.approx(runs[column].mean())
                if seeds < 6:
                    assert np.isnan(point[f"{name}_low"]) and np.isnan(point[f"{name}_high"])
                elif runs[column].std() > 0:
                    ends = stats.t.interval(
                        0.95, seeds - 1, runs[column].mean(), stats.sem(runs[column])
                    )
                    assert np.allclose([point[f"{name}_low"], point[f"{name}_high"]], ends)

    def test_the_table_has_a_cell_for_each_mark_and_none_for_what_is_not_on_record(self, table):
        chosen = {
            ("drop the output", None): "drop",
            ("FTAL", 1e-3): "tune",
            ("JPEG", 50): "jpeg",
            ("median", 3): "median",
        }
        shown = extra_class.replies(table, chosen)
        assert shown.index.tolist() == ["drop", "tune", "jpeg"]
        assert shown.columns.tolist() == [
            "Bob loses, points",
            "new label",
            "with decoys",
            "wrong label",
        ]
        assert shown.loc["drop", "wrong label"] == "–" and shown.loc[
            "drop", "new label"
        ].startswith("0.00 [0.00, 0.00], ")
        runs = table[
            (table.attack == "FTAL")
            & (table.epochs == 8)
            & (table.images == 500)
            & (table.mark == "with decoys")
        ]
        assert shown.loc["tune", "with decoys"].startswith(
            f"{runs.fresh_key_accuracy.mean():.2f} ["
        )
        assert shown.loc["tune", "with decoys"].endswith(f", {runs.proved.sum()} of 6")
        lost = table[(table.attack == "JPEG") & (table.mark != "unmarked")].lost.mean()
        assert shown.loc["jpeg", "Bob loses, points"] == f"{100 * lost:.1f}"

    def test_a_seed_counts_once_whatever_sweeps_it_is_in(self, table):
        twice = pd.concat([table, table.assign(experiment="toy again")], ignore_index=True)
        chosen = {("no attack", None): "none"}
        assert extra_class.replies(twice, chosen).equals(extra_class.replies(table, chosen))
        assert extra_class.homecoming(twice).equals(extra_class.homecoming(table))

    def test_few_runs_have_no_interval(self):
        shown = extra_class.replies(extra_class.prepared(rows(2)), {("JPEG", 50): "jpeg"})
        assert re.fullmatch(r"0\.\d\d, \d of 2", shown.loc["jpeg", "new label"])

    def test_where_keys_go_home(self, table):
        shown = extra_class.homecoming(table)
        runs = table[
            (table.mark == "with decoys") & (table.attack == "drop the output")
        ].true_label_rate
        assert (
            shown.loc["with decoys, drop the output", "keys to their true class, mean"]
            == f"{runs.mean():.1%}"
        )
        assert shown.loc["with decoys, drop the output", "networks"] == 6
        low, high = stats.t.interval(0.95, 5, runs.mean(), stats.sem(runs))
        assert (
            shown.loc["with decoys, drop the output", "95 % interval"]
            == f"{max(low, 0):.1%} to {min(high, 1):.1%}"
        )
        assert "wrong label, no attack" in shown.index and "unmarked, no attack" in shown.index
        assert set(extra_class.homecoming(extra_class.prepared(rows(2)))["95 % interval"]) == {
            "too few"
        }

    def test_every_attack_of_a_campaign_has_a_family(self):
        known = {attack for _, _, attacks in extra_class.FAMILIES.values() for attack in attacks}
        launched = {trial.attack for group in battery.GROUPS.values() for trial in group}
        assert launched <= known

    def test_what_is_on_record_is_loaded_and_what_is_not_is_left_out(self, tmp_path, monkeypatch):
        assert extra_class.tables(), "attacks of the class scale ship with the course"
        monkeypatch.setattr(extra_class.runtime, "data_dir", lambda: tmp_path)
        (tmp_path / "results").mkdir()
        assert extra_class.tables() == {}
        rows(1).to_csv(tmp_path / "results" / "attacks_mnist_attacks.csv", index=False)
        assert list(extra_class.tables()) == ["60,000 digits"]

    @pytest.mark.parametrize(
        ("attack", "strength", "words"),
        [
            ("JPEG", 50.0, "JPEG, quality 50"),
            ("pruning, global", 0.8, "pruning, global, 80 %"),
            ("FTAL", 1e-3, "FTAL, rate 0.001"),
            ("drop the output", np.nan, "drop the output"),
            ("second best", None, "second best"),
            ("quantisation", 4.0, "quantisation, 4 bits"),
        ],
    )
    def test_attacks_have_names(self, attack, strength, words):
        assert extra_class.named(attack, strength) == words


class TestFrontier:
    @pytest.fixture
    def panel(self, table):
        return extra_class.frontier({"toy": table, "other": extra_class.prepared(rows(2))})

    def drawn(self, panel):
        """{(family, open?): [(x, y)]} of the points in the picture."""
        shown = {}
        for trace in panel.figure.data[:-1]:
            assert (
                trace.x[-1] is None
                and trace.y[-1] is None
                and len(trace.x) == len(trace.text) == len(trace.error_x.array)
            )
            shown[trace.name, trace.marker.symbol.endswith("-open")] = list(
                zip(trace.x[:-1], trace.y[:-1], strict=True)
            )
        return shown

    @pytest.mark.parametrize("mark", ["new label", "with decoys", "wrong label"])
    def test_every_attack_is_a_point_filled_while_most_are_proved(self, panel, table, mark):
        panel.set(mark=mark)
        shown, points = self.drawn(panel), extra_class.points(table, mark)
        for name, (_, _, attacks) in extra_class.FAMILIES.items():
            for is_open in (False, True):
                of = points[points.attack.isin(attacks) & ((points.proved > 3) != is_open)]
                wanted = sorted(zip(np.clip(100 * of.lost, -2, 20), of["keys"], strict=True))
                assert len(shown[name, is_open]) == len(wanted) and np.allclose(
                    sorted(shown[name, is_open]), wanted
                )
        assert sum(map(len, shown.values())) == len(points)

    def test_intervals_are_drawn_from_six_runs_on(self, panel, table):
        points = extra_class.points(table, "new label").set_index("attack")
        (trace,) = [
            trace
            for trace in panel.figure.data
            if trace.name == "queries changed" and len(trace.x) > 1
        ]
        jpeg = points.loc["JPEG"]
        assert trace.error_x.array[0] == pytest.approx(100 * (jpeg.lost_high - jpeg.lost))
        assert trace.error_y.arrayminus[0] == pytest.approx(jpeg["keys"] - jpeg.keys_low)
        panel.set(on="other")
        arrays = [
            list(trace.error_x.array) + list(trace.error_y.arrayminus)
            for trace in panel.figure.data[:-1]
        ]
        assert not any(map(any, arrays)), "two runs have no interval"

    def test_the_line_is_where_the_slider_is_and_can_be_dragged(self, panel):
        area, line = panel.figure.layout.shapes
        assert (area.x1, line.x0, line.x1) == (2, 2, 2) and line.editable
        for to, at in ((6.8, 7), (6.6, 6.5), (-3, 0), (44, 10), (2.2, 2)):
            panel.figure.layout.shapes[1].x0 = to  # as a hand does
            assert panel.settings()["loss"] == at
            assert (panel.figure.layout.shapes[0].x1, panel.figure.layout.shapes[1].x1) == (at, at)

    def test_the_caption_counts_what_bob_can_bear(self, panel, table):
        for loss, mark in itertools.product((0.0, 4.0, 10.0), ("new label", "wrong label")):
            panel.set(loss=loss, mark=mark)
            points = extra_class.points(table, mark)
            done = points[(100 * points.lost <= loss) & (points.proved <= 3)]
            assert f"{len(done)} of {len(points)} attacks leave no proof" in text(
                panel
            ) and "6 runs a point:" in text(panel)
            assert (f"{(done.images == 0).sum()} of them without an image" in text(panel)) == bool(
                (done.images == 0).any()
            )
        panel.set(on="other")
        assert "too few for intervals" in text(panel)

    def test_an_attack_of_ones_own_is_a_star(self, panel):
        row = {
            "attack": "mine",
            "clean_accuracy": 0.9,
            "fresh_key_accuracy": 0.25,
            "before": {"clean_accuracy": 0.93},
        }
        panel.add(row)
        panel.add(row | {"attack": "worse", "clean_accuracy": 0.1})
        star = panel.figure.data[-1]
        assert (
            np.allclose(star.x, [3, 20])
            and list(star.y) == [0.25, 0.25]
            and list(star.text) == ["mine", "worse"]
        )
        panel.set(mark="wrong label")
        assert len(panel.figure.data[-1].x) == 2

    def test_a_mark_without_a_record_is_said(self, panel):
        assert "nothing on record" in extra_class.summary(pd.DataFrame(), "split label", 1)

    def test_a_move_is_quick(self, panel):
        async def moved():
            loop = asyncio.get_running_loop()
            start = loop.time()
            panel.set(loss=5.0)
            return loop.time() - start

        assert min(asyncio.run(moved()) for _ in range(3)) < 0.5


def test_a_told_point_has_its_price(table):
    row = extra_class.points(table, "new label").iloc[0]
    said = extra_class.told(row)
    assert (
        "<b>drop the output</b>" in said
        and "no image" in said
        and f"proved in {row.proved} of 6 runs" in said
    )
    assert f"{100 * row.lost:.1f} points lost" in said and FEW == 6
