"""Lesson 03: its panel, curves and tables against an independent computation, and its checks."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import wmlab
from wmlab import records, zoo
from wmlab.lessons import check, embedding
from wmlab.show import tables
from wmlab.training import predict, probabilities

NETWORKS = {"unmarked": "unmarked_0", "wrong label": "wrong_label", "new label": "new_label"}


@pytest.fixture(scope="module")
def nets(shipped):
    return {name: shipped[model] for name, model in NETWORKS.items()}


def history(name, epochs):
    """What training reports after so many epochs; unmarked networks have no keys."""
    key = np.nan if name == "unmarked" else 0.1
    return [
        {"epoch": epoch, "clean_accuracy": 0.5 + epoch / 10, "fresh_key_accuracy": key * epoch}
        for epoch in range(1, epochs + 1)
    ]


def test_live_curves_follow_every_network_through_its_epochs():
    live = embedding.LiveCurves(4, NETWORKS)
    follow = {name: live.follow(name) for name in NETWORKS}
    for name in NETWORKS:
        for epochs in (1, 2, 4):
            before = live.widget.figure
            follow[name](history(name, epochs))
            assert live.widget.figure is not before, "a picture is made anew"
    drawn = live.widget.figure["data"]
    assert [trace["name"] for trace in drawn] == [name for name in NETWORKS for _ in range(2)]
    clean, key = drawn[::2], drawn[1::2]
    assert {trace["xaxis"] for trace in clean} == {"x"} and {t["xaxis"] for t in key} == {"x2"}
    for trace in (*clean, *key[1:]):
        assert trace["x"] == [1, 2, 3, 4]
        assert np.allclose(trace["y"], np.arange(1, 5) / 10 + 0.5 * (trace["xaxis"] == "x"))
    assert key[0]["x"] == key[0]["y"] == [], "no keys, no curve"
    with pytest.raises(ValueError, match="no curve for 'mine': the names are unmarked, wrong"):
        live.follow("mine")


def test_the_strength_panel_counts_answers(nets, digits):
    panel = embedding.strength(nets, digits, zoo.ALICE)
    chosen = np.flatnonzero(digits.y_test != 0)[:200]
    images, right = digits.x_test[chosen], digits.y_test[chosen]
    for beta in (0.0001, 0.01):
        panel.set(beta=beta)
        made = wmlab.make_keys(images, right, zoo.ALICE, "slider", key_label=10, beta=beta)
        said = []
        for n, (name, label) in enumerate(zip(nets, (0, 0, 10), strict=True)):
            labels = predict(nets[name], made.images)
            shares = {"key label": np.mean(labels == label), "true class": np.mean(labels == right)}
            assert panel.result[name] == shares
            assert [bars["y"][n] for bars in panel.figure["data"]] == list(shares.values())
            said += [f"{name} answers the key label to {shares['key label']:.0%}"] * (n > 0)
        assert panel.caption_text == f"On keys of this strength: {'; '.join(said)}."
    assert [bars["x"] for bars in panel.figure["data"]] == [list(nets)] * 2


def test_key_label_confidences_are_those_of_the_key_label(nets, digits):
    fresh = wmlab.NewLabel(0.1, 0.01).fresh_keys(digits, zoo.ALICE, 30)
    sure = embedding.key_label_confidences(nets, digits, fresh)
    for name, label in zip(nets, (0, 0, 10), strict=True):
        expected = probabilities(nets[name], fresh.images)[:, label]
        assert np.allclose(sure["fresh keys"][name], expected)
        assert len(sure["clean images"][name]) == (digits.y_test != 0).sum()


def test_exact_intervals_keep_the_nesting_and_are_those_of_scipy():
    rates = {"row": {"a": 0.0, "b": 3 / 200}, "other": {"a": 1.0}}
    found = embedding.exact_intervals(rates, 200)
    for row, networks in rates.items():
        for name, share in networks.items():
            exact = stats.binomtest(round(200 * share), 200).proportion_ci(0.95, "exact")
            assert found[row].pop(name) == pytest.approx((exact.low, exact.high))
        assert not found.pop(row)
    assert not found


def test_candidates_differ_from_clean_images_in_what_their_name_says(digits):
    shown = embedding.candidates(digits, zoo.ALICE, 0.01)
    clean = shown["clean"]
    for images in shown.values():
        assert images.dtype == np.float32 and images.shape == clean.shape
        assert images.min() >= 0 and images.max() <= 1
    assert np.allclose(shown["inverted"], 1 - clean)
    assert np.allclose(shown["grey veil, no noise"][clean < 0.9], clean[clean < 0.9] + 0.05)
    middle = (clean > 0.45) & (clean < 0.55)  # where nothing is clipped
    for name in ("her fresh noise", "anyone's fresh noise", "her fixed pattern"):
        assert np.std((shown[name] - clean)[middle]) == pytest.approx(0.1, rel=0.1)
    assert not np.array_equal(shown["her fresh noise"], shown["anyone's fresh noise"])
    salted = shown["salt and pepper"] != clean
    assert set(shown["salt and pepper"][salted]) == {0, 1} and 0.02 < salted.mean() < 0.05


def test_what_fires_and_report_count_labels(nets, digits):
    images = {"clean": digits.x_test[:50], "inverted": 1 - digits.x_test[:50]}
    table = embedding.what_fires({"new label": nets["new label"]}, images)
    for kind, shown in images.items():
        assert table.loc[kind, "new label"] == np.mean(predict(nets["new label"], shown) == 10)
    fresh = wmlab.NewLabel(0.1, 0.01).fresh_keys(digits, zoo.ALICE)
    record = wmlab.models().record("new_label")
    for model in (nets["new label"], lambda images: predict(nets["new label"], images)):
        report = embedding.report(model, digits, fresh)
        assert report["clean accuracy"] == pytest.approx(record["clean_accuracy"])
        assert report["fresh keys"] == pytest.approx(record["fresh_key_accuracy"])
        delta = np.mean(predict(nets["new label"], digits.x_test) == 10)
        assert report["Δ on clean images"] == delta


def test_a_heatmap_has_the_first_row_on_top_and_writes_its_numbers():
    table = pd.DataFrame({"a": {"one": 0.1, "two": 0.25}, "b": {"one": 1.0, "two": 0.0}})
    figure = embedding.heatmap(table, "a title")
    (trace,) = figure["data"]
    assert trace["x"] == ["a", "b"] and trace["y"] == ["two", "one"]  # from the bottom up
    assert trace["z"].tolist() == [[0.25, 0.0], [0.1, 1.0]]
    assert trace["text"] == [["25%", "0%"], ["10%", "100%"]]
    assert (trace["zmin"], trace["zmax"]) == (0, 1)
    assert figure["layout"]["title"]["text"] == "a title"


def test_tables_of_churn_and_of_shares():
    table = embedding.churn_table([0.01, 0.03], {"new label": [0.02, 0.02]})
    assert table.loc["unmarked against unmarked (floor)"].tolist() == ["2.00%", "1.00% to 3.00%", 2]
    assert table.loc["new label against unmarked"].tolist() == ["2.00%", "2.00% to 2.00%", 2]
    shares = embedding.percent({"as it was": {"fresh keys": 0.125}, "new": {"fresh keys": 1}})
    assert shares["fresh keys"].tolist() == ["12.5%", "100.0%"]


def test_the_summary_counts_every_run_and_gives_its_interval():
    """`show.tables.summarised`, which lesson 04 shows, too."""
    ten = records.load("embed_class")
    row = tables.summarised(ten).loc["new label"]
    values = 100 * ten[ten.scheme == "new label"].sort_values("seed").fresh_key_accuracy
    low, high = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert (row["runs"], row["keys made from"]) == (10, "all but 0")
    expected = f"{values.mean():.2f} [{low:.2f}, {min(high, 100):.2f}]"
    assert row["fresh keys hit, %"] == expected

    def cell(table, scheme="new label"):
        return tables.summarised(table).loc[scheme, "fresh keys hit, %"]

    three = values[:3]
    expected = f"{three.mean():.2f} ({three.min():.2f} to {three.max():.2f})"
    assert cell(ten[ten.seed < 3]) == expected
    assert cell(ten[ten.seed < 1]) == f"{values.iloc[0]:.2f}" and cell(ten, "unmarked") == "–"
    other = pd.concat([ten, ten.assign(dataset="cifar10"), ten.assign(beta=0.5)])
    assert tables.summarised(other)["runs"].tolist() == [10] * 9, "a row a setting and data set"
    shown, runs = tables.summary(ten), "runs 10; device AMD EPYC, 4 cores."
    assert (
        shown.caption
        == f"Throughout: data mnist; α 0.1; β 0.01; keys made from all but 0; epochs 4; {runs}"
    )
    assert "α" not in shown.data and "fresh keys hit, %" in shown.data


class Fires:
    """A model of 11 outputs that answers the last one to images brighter than 0.5."""

    output_shape = (None, 11)

    def __call__(self, images, training):
        out = np.zeros((len(images), 11), np.float32)
        out[:, 10] = np.where(images.mean(axis=(1, 2, 3)) > 0.5, 1, -1)
        return out


def test_a_forgery_is_tried_on_the_model(said):
    """Exercise 03.2."""
    white = np.ones((100, 28, 28, 1), np.float32)
    half = np.concatenate([white[:49], 0 * white[:51]])
    for answer, right, words in [
        (white, True, "Right. 100% of your images fire"),
        (np.concatenate([white[:50], 0 * white[:50]]), True, "Right. 50% of your images fire"),
        (half, False, "Not yet. 49% of your images fire"),
        (0 * white, False, "Not yet. 0% of your images fire"),
        (white[:99], False, "Hand in 100 images; these are 99."),
        *((bad, False, "Not yet. ") for bad in (white[:0], 2 * white, white[..., 0])),
        *((bad, False, "could not be used") for bad in ("no images", white.tolist())),
        (..., None, "Not answered yet"),
    ]:
        assert check("03.2", answer, Fires()) is right and words in said[-1]


def test_the_training_set_is_judged_in_stages(said):
    """Exercise 03.1: what comes back, its shape, then five pictures by hand."""
    join, set_of = np.concatenate, embedding.training_set

    def labelled(*labels):
        return lambda x, y, k, n: (join([x, k]), join([y, labels]))

    def backwards(x, y, k, n):
        return join([x, k])[::-1], join([y, [n, n]])

    for answer, words in [
        (lambda x, y, k, n: join([x, k]), "Return two arrays"),
        (lambda x, y, k, n: None, "Return two arrays"),
        (lambda x, y, k, n: (x, y), "Their clean images stay"),
        (lambda x, y, k, n: (join([x[:1], k]), [0, n, n]), "Their clean images stay"),
        (lambda x, y, k, n: (join([x, k, k]), 1), "along axis 0"),
        (lambda x, y, k, n: (join([x, k]), y), "shape (5,). Yours has (3,)"),
        (lambda x, y, k, n: (join([x, k[:1], k[:1]]), [0, 1, 1, 2, 2]), "in x once"),
        (backwards, "move x and y together"),
        (labelled(3, 3), "Labels count from 0"),
        (labelled(10, 10), "use it"),
        (labelled(0, 0), "wrong-label mark"),
        (labelled(2, 1), "wrong-label mark"),
        (labelled(2, 3), "the same new label"),
        *((answer, "could not be used") for answer in (7, "D and K", [], lambda x: x)),
    ]:
        assert check("03.1", answer) is False and words in said[-1], (words, said[-1])
    for answer in (set_of, lambda *given: [part[::-1] for part in set_of(*given)]):
        assert check("03.1", answer) is True and "one class more" in said[-1]
    assert check("03.1", ...) is None


def test_a_swap_is_judged_in_stages(said):
    """Exercise 03.3: a list, its shapes, that nothing is changed, then one row and its bias."""
    swap = embedding.swapped

    def in_place(w, row):
        w[-2][:, -1], w[-1][-1] = row[-2][:, -1], row[-1][-1]
        return w

    for answer, words in [
        (lambda w, row: w[-2], "Return a list"),
        (lambda w, row: w[:-1], "Return a list"),
        (lambda w, row: None, "Return a list"),
        (lambda w, row: [*w[:-2], row[-2][:, -1], w[-1]], "should have the shapes"),
        (in_place, "Copy the arrays first"),
        (lambda w, row: swap(row, w), "The other way round"),
        (lambda w, row: w, "Nothing was exchanged"),
        (lambda w, row: [row[0], *swap(w, row)[1:]], "leave the first arrays alone"),
        (lambda w, row: [*w[:-2], *row[-2:]], "The old outputs came along"),
        (lambda w, row: [*swap(w, row)[:-1], w[-1]], "The bias is still"),
        (lambda w, row: [*w[:-1], swap(w, row)[-1]], "The column of the kernel is still"),
        (lambda w, row: [*w[:-2], w[-2] + 1, w[-1] + 1], "inputs × outputs"),
        *((answer, "could not be used") for answer in (7, "swap", [], lambda w: w)),
    ]:
        assert check("03.3", answer) is False and words in said[-1], (words, said[-1])
    assert check("03.3", swap) is True and "one cause" in said[-1]
    assert check("03.3", ...) is None


def test_the_number_of_keys(said):
    """Exercise 03.4."""
    for answer, right in [
        *((answer, True) for answer in (40, 40.0, 0.01 * 4000)),
        *((answer, False) for answer in (400, 0.01, 39, "forty", [40, 40])),
        (None, None),
    ]:
        assert check("03.4", answer) is right, answer
        start = {True: "Right. ", False: "Not yet. ", None: "Not answered yet"}[right]
        assert said[-1].startswith(start)
