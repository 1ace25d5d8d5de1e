"""The panels and tables of single lessons: their numbers against an independent computation."""
import html
import re

import numpy as np
import pandas as pd
import pytest

import wmlab
from wmlab import figures, records, toy, zoo
from wmlab.panels import p00, p01, p03
from wmlab.training import predict, probabilities


@pytest.fixture(scope="module")
def digits():
    return wmlab.load("mnist", "class")


@pytest.fixture(scope="module")
def nets():
    shipped = wmlab.models()
    return {"unmarked": shipped["unmarked_0"], "wrong label": shipped["wrong_label"], "new label": shipped["new_label"]}


@pytest.fixture(scope="module")
def case(digits):
    return p00.Case(wmlab.models(), digits, zoo.ALICE)


@pytest.fixture(scope="module")
def panel():
    return p01.maps()


class TestCase:
    def test_shows_a_seven_and_its_key(self, case):
        assert case.labels.tolist() == [7] and case.picture().count("<img") == 2

    def test_one_service_is_marked_each_is_asked_once_and_its_answer_is_shown(self, case):
        text = html.unescape(re.sub("<[^>]*>", "", case.hearing()))
        assert sorted(verdict.marked for verdict in case.verdicts.values()) == [False, True]
        assert [suspect.queries for suspect in case.suspects.values()] == [1, 1]
        for name, verdict in case.verdicts.items():
            assert f"Service {name} answered {10 if verdict.marked else 7}. {verdict}" in text


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.003, 0.2, 0.97])
def test_exact_intervals_hold_the_truth_as_often_as_they_say(p):
    n, trials = 200, 2000
    hits = np.random.default_rng(0).binomial(n, p, trials)
    inside = [low <= p <= high for k in hits for low, high in [p03.exact_intervals({"row": {"net": k / n}}, n)["row"]["net"]]]
    assert (np.mean(inside) - 0.95) / np.sqrt(0.95 * 0.05 / trials) > -4.5  # exact intervals may cover more, never less


def test_key_label_confidences_are_those_of_the_key_label(nets, digits):
    fresh = wmlab.NewLabel(0.1, 0.01).fresh_keys(digits, zoo.ALICE, 30)
    sure = p03.key_label_confidences(nets, digits, fresh)
    for name, label in (("unmarked", 0), ("wrong label", 0), ("new label", 10)):
        assert np.allclose(sure["fresh keys"][name], probabilities(nets[name], fresh.images)[:, label])
        assert len(sure["clean images"][name]) == (digits.y_test != 0).sum()


def test_the_strength_panel_counts_answers(nets, digits):
    panel = p03.strength(nets, digits, zoo.ALICE)
    chosen = np.flatnonzero(digits.y_test != 0)[: p03.ASKED]
    for beta in (0.0001, 0.01):
        panel.set(beta=beta)
        keys = wmlab.make_keys(digits.x_test[chosen], digits.y_test[chosen], zoo.ALICE, "slider", key_label=10, beta=beta)
        labels = predict(nets["new label"], keys.images)
        right = digits.y_test[chosen]
        assert panel.result["new label"] == {"key label": np.mean(labels == 10), "true class": np.mean(labels == right)}
        assert [bar.y[2] for bar in panel.figure.data] == list(panel.result["new label"].values())
        assert f"{np.mean(labels == 10):.0%}" in panel.caption.value
    assert panel.error is None


def test_what_fires_and_report_count_labels(nets, digits):
    images = {"clean": digits.x_test[:50], "inverted": 1 - digits.x_test[:50]}
    table = p03.what_fires({"new label": nets["new label"]}, images)
    for kind, shown in images.items():
        assert table.loc[kind, "new label"] == np.mean(predict(nets["new label"], shown) == 10)
    fresh = wmlab.NewLabel(0.1, 0.01).fresh_keys(digits, zoo.ALICE)
    record = wmlab.models().record("new_label")
    for model in (nets["new label"], lambda images: predict(nets["new label"], images)):
        said = p03.report(model, digits, fresh)
        assert said["clean accuracy"] == pytest.approx(record["clean_accuracy"])
        assert said["fresh keys"] == pytest.approx(record["fresh_key_accuracy"])
        assert said["Δ on clean images"] == np.mean(predict(nets["new label"], digits.x_test) == 10)


def test_candidates_differ_from_clean_images_in_what_their_name_says(digits):
    shown = p03.candidates(digits, zoo.ALICE, 0.01)
    clean = shown["clean"]
    assert all(images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1 for images in shown.values())
    assert np.allclose(shown["inverted"], 1 - clean)
    assert np.allclose(shown["grey veil, no noise"][clean < 0.9], clean[clean < 0.9] + 0.05)
    for name in ("her fresh noise", "anyone's fresh noise", "her fixed pattern"):
        middle = (clean > 0.45) & (clean < 0.55)  # where nothing is clipped
        assert np.std((shown[name] - clean)[middle]) == pytest.approx(0.1, rel=0.1)
    assert not np.array_equal(shown["her fresh noise"], shown["anyone's fresh noise"])


def test_summary_counts_every_run_and_gives_its_interval():
    ten = records.load("embed_class")
    row = p03.summary(ten).loc["new label"]
    values = 100 * ten[ten.scheme == "new label"].fresh_key_accuracy
    mean, low, high = records.interval(values)
    assert (row["runs"], row["keys made from"]) == (10, "all but 0")
    assert row["fresh keys hit, %"] == f"{mean:.2f} [{low:.2f}, {high:.2f}]"
    few = p03.summary(ten[ten.seed < 3]).loc["new label", "fresh keys hit, %"]
    assert few == f"{values[:3].mean():.2f} ({values[:3].min():.2f} to {values[:3].max():.2f})"
    assert "(" not in p03.summary(ten[ten.seed < 1]).loc["new label", "fresh keys hit, %"]
    assert p03.summary(ten).loc["unmarked", "fresh keys hit, %"] == "–"
    other = pd.concat([ten, ten.assign(dataset="cifar10"), ten.assign(beta=0.5)])
    assert p03.summary(other)["runs"].tolist() == [10] * 9, "a row a setting and data set"


def test_churn_table_has_mean_and_range():
    table = p03.churn_table([0.01, 0.03], {"new label": [0.02, 0.02]})
    assert table.loc["unmarked against unmarked (floor)"].tolist() == ["2.00%", "1.00% to 3.00%", 2]


class TestMaps:
    def test_outcomes_are_those_of_the_heads(self):
        world, embedded, heads = p01.settle(strength=0.7, seed=3)
        x, held = (toy.features(points) for points in (world.points, world.held_points))
        keys = toy.features(embedded)
        _, fresh = toy.keys(world, 40, 0.7, 3.2 * np.array([np.cos(1.5 * np.pi), np.sin(1.5 * np.pi)]), 3)
        unmarked = toy.fit(x, world.labels, 3)
        for name, label, outputs in (("wrong label", 0, 3), ("new label", 3, 4)):
            w = toy.fit(np.r_[x, keys], np.r_[world.labels, np.full(40, label)], outputs)
            assert np.allclose(heads[name].w, w, atol=1e-6)
            assert (heads[name].twist, heads[name].twist_all) == toy.twist(held, unmarked, w)
            assert heads[name].accuracy == np.mean(toy.decide(held, w) == world.held_labels)
            assert heads[name].hits == np.mean(toy.decide(toy.features(fresh), w) == label)
        assert heads["unmarked"].twist == heads["unmarked"].twist_all == 0

    def test_regions_are_where_an_output_wins(self, panel):
        panel.set(seed=1)
        world, embedded, heads, features = panel.result
        from matplotlib.path import Path

        grid = np.random.default_rng(0).uniform(-3.9, 3.9, (2000, 2))
        won = toy.decide(toy.features(grid), heads["new label"].w)
        outlines = [trace for trace in panel.figure.data if trace.fill == "toself"][8:]
        inside = np.array([Path(np.c_[trace.x, trace.y][:-1]).contains_points(grid) for trace in outlines])
        assert np.mean(inside[won, np.arange(len(grid))]) > 0.99 and np.mean(inside.sum(axis=0) == 1) > 0.98

    def test_every_preset_and_the_reset_draw(self, panel):
        for child in panel.widget.children[1].children[: len(panel.presets)]:
            child.click()
            assert panel.error is None and "twists" in panel.caption.value
        panel.set(features="bent", strength=1.0, angle=90, count=120, overlap=1.5, distance=0.0)
        assert panel.error is None

    def test_the_trail_ends_where_the_panel_is_and_forgets_its_start(self, panel):
        for n in range(p01.TRAIL + 5):
            panel.set(count=2 + 2 * (n % 10))
        for trace, name in zip(panel.figure.data[-2:], p01.HEADS[1:], strict=True):
            assert len(trace.x) == p01.TRAIL
            assert (trace.x[-1], trace.y[-1]) == (panel.result[2][name].twist, panel.result[2][name].hits)

    def test_the_caption_says_what_the_result_says(self, panel):
        panel.set(strength=0.9, count=40)
        heads = panel.result[2]
        text = re.sub("<[^>]*>", "", panel.caption.value)
        for name in p01.HEADS[1:]:
            assert f"the {name} hits {heads[name].hits:.0%} of fresh keys and twists {heads[name].twist:.1%}" in text


def test_averaged_tries_every_world_and_bands_draw_the_middle():
    table = p01.averaged("strength", (0.2, 0.9), seeds=12, overlap=0.5)
    assert len(table) == 2 * 12 * 2 and table.groupby(["strength", "scheme"]).seed.nunique().eq(12).all()
    *_, heads = p01.settle(strength=0.9, overlap=0.5, seed=7)
    row = table[(table.strength == 0.9) & (table.seed == 7) & (table.scheme == "new label")].iloc[0]
    assert (row.twist, row.hits) == (heads["new label"].twist, heads["new label"].hits)
    figure = p01.bands(pd.DataFrame({"x": [1] * 11, "scheme": "new label", "twist": np.arange(11) / 10, "hits": 1.0}), "x", "x")
    assert list(figure.data[0].y) == pytest.approx([0.9, 0.1]) and figure.data[1].y == (0.5,)
    assert figure.data[1].line.color == figures.COLOURS["new label"]
