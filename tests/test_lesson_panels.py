"""The panels and tables of single lessons: their numbers against an independent computation."""

import numpy as np
import pandas as pd
import pytest

import wmlab
from wmlab import records, stats, zoo
from wmlab.lessons import embedding
from wmlab.show import tables
from wmlab.training import predict, probabilities


@pytest.fixture(scope="module")
def digits():
    return wmlab.load("mnist", "class")


@pytest.fixture(scope="module")
def nets():
    shipped = wmlab.models()
    return {
        "unmarked": shipped["unmarked_0"],
        "wrong label": shipped["wrong_label"],
        "new label": shipped["new_label"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.003, 0.2, 0.97])
def test_exact_intervals_hold_the_truth_as_often_as_they_say(p):
    n, trials = 200, 2000
    hits = np.random.default_rng(0).binomial(n, p, trials)
    inside = [
        low <= p <= high
        for k in hits
        for low, high in [embedding.exact_intervals({"row": {"net": k / n}}, n)["row"]["net"]]
    ]
    assert (np.mean(inside) - 0.95) / np.sqrt(
        0.95 * 0.05 / trials
    ) > -4.5  # exact intervals may cover more, never less


def test_key_label_confidences_are_those_of_the_key_label(nets, digits):
    fresh = wmlab.NewLabel(0.1, 0.01).fresh_keys(digits, zoo.ALICE, 30)
    sure = embedding.key_label_confidences(nets, digits, fresh)
    for name, label in (("unmarked", 0), ("wrong label", 0), ("new label", 10)):
        assert np.allclose(
            sure["fresh keys"][name], probabilities(nets[name], fresh.images)[:, label]
        )
        assert len(sure["clean images"][name]) == (digits.y_test != 0).sum()


def test_the_strength_panel_counts_answers(nets, digits):
    panel = embedding.strength(nets, digits, zoo.ALICE)
    chosen = np.flatnonzero(digits.y_test != 0)[: embedding.ASKED]
    for beta in (0.0001, 0.01):
        panel.set(beta=beta)
        keys = wmlab.make_keys(
            digits.x_test[chosen],
            digits.y_test[chosen],
            zoo.ALICE,
            "slider",
            key_label=10,
            beta=beta,
        )
        labels = predict(nets["new label"], keys.images)
        right = digits.y_test[chosen]
        assert panel.result["new label"] == {
            "key label": np.mean(labels == 10),
            "true class": np.mean(labels == right),
        }
        assert [bar.y[2] for bar in panel.figure.data] == list(panel.result["new label"].values())
        assert f"{np.mean(labels == 10):.0%}" in panel.caption.value
    assert panel.error is None


def test_what_fires_and_report_count_labels(nets, digits):
    images = {"clean": digits.x_test[:50], "inverted": 1 - digits.x_test[:50]}
    table = embedding.what_fires({"new label": nets["new label"]}, images)
    for kind, shown in images.items():
        assert table.loc[kind, "new label"] == np.mean(predict(nets["new label"], shown) == 10)
    fresh = wmlab.NewLabel(0.1, 0.01).fresh_keys(digits, zoo.ALICE)
    record = wmlab.models().record("new_label")
    for model in (nets["new label"], lambda images: predict(nets["new label"], images)):
        said = embedding.report(model, digits, fresh)
        assert said["clean accuracy"] == pytest.approx(record["clean_accuracy"])
        assert said["fresh keys"] == pytest.approx(record["fresh_key_accuracy"])
        assert said["Δ on clean images"] == np.mean(predict(nets["new label"], digits.x_test) == 10)


def test_candidates_differ_from_clean_images_in_what_their_name_says(digits):
    shown = embedding.candidates(digits, zoo.ALICE, 0.01)
    clean = shown["clean"]
    assert all(
        images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
        for images in shown.values()
    )
    assert np.allclose(shown["inverted"], 1 - clean)
    assert np.allclose(shown["grey veil, no noise"][clean < 0.9], clean[clean < 0.9] + 0.05)
    for name in ("her fresh noise", "anyone's fresh noise", "her fixed pattern"):
        middle = (clean > 0.45) & (clean < 0.55)  # where nothing is clipped
        assert np.std((shown[name] - clean)[middle]) == pytest.approx(0.1, rel=0.1)
    assert not np.array_equal(shown["her fresh noise"], shown["anyone's fresh noise"])


def test_summary_counts_every_run_and_gives_its_interval():
    ten = records.load("embed_class")
    row = tables.summary(ten).loc["new label"]
    values = 100 * ten[ten.scheme == "new label"].fresh_key_accuracy
    mean, low, high = stats.interval(values)
    assert (row["runs"], row["keys made from"]) == (10, "all but 0")
    assert row["fresh keys hit, %"] == f"{mean:.2f} [{low:.2f}, {high:.2f}]"
    few = tables.summary(ten[ten.seed < 3]).loc["new label", "fresh keys hit, %"]
    assert few == f"{values[:3].mean():.2f} ({values[:3].min():.2f} to {values[:3].max():.2f})"
    assert "(" not in tables.summary(ten[ten.seed < 1]).loc["new label", "fresh keys hit, %"]
    assert tables.summary(ten).loc["unmarked", "fresh keys hit, %"] == "–"
    other = pd.concat([ten, ten.assign(dataset="cifar10"), ten.assign(beta=0.5)])
    assert tables.summary(other)["runs"].tolist() == [10] * 9, "a row a setting and data set"


def test_churn_table_has_mean_and_range():
    table = embedding.churn_table([0.01, 0.03], {"new label": [0.02, 0.02]})
    assert table.loc["unmarked against unmarked (floor)"].tolist() == ["2.00%", "1.00% to 3.00%", 2]
