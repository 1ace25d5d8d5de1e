"""The panels and tables of single lessons: their numbers against an independent computation."""

import base64
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path

import wmlab
from wmlab import records, stats, toy, zoo
from wmlab.lessons import boundary_twist, embedding
from wmlab.show import figures, tables
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


@pytest.fixture(scope="module")
def panel():
    return boundary_twist.maps()


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


SVG = "{http://www.w3.org/2000/svg}"
JOB = "Train a hidden layer"


def drawing(panel, number):
    """The maps, 0, or the trail, 1, as the page gets them: an XML element."""
    kind, _, data = panel.figure.layout.images[number].source.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(data, validate=True))


def places(path):
    """The points of a path's parts, in units of the plane: a list of arrays (m, 2)."""
    parts = [re.match(r"[-0-9 ]+", part).group().split() for part in path.get("d").split("M")[1:]]
    return [np.array(part, float).reshape(-1, 2) / (100, -100) for part in parts]


def drawn_map(panel, name):
    """What the map of a head shows: {region, point, boundary or key: its paths}."""
    (inside,) = [
        part
        for part, title in zip(
            *map(drawing(panel, 0).findall, (SVG + "svg", SVG + "text")), strict=True
        )
        if title.text == name
    ]
    kinds = {"region": "fill-rule", "point": "opacity", "boundary": "stroke-dasharray"}
    found = {kind: [path for path in inside if path.get(mark)] for kind, mark in kinds.items()}
    found["key"] = [path for path in inside if path.get("stroke") == boundary_twist.KEYS]
    assert sum(map(len, found.values())) == len(inside) and all(
        path.tag == SVG + "path" for path in inside
    )
    return found


def same(drawn, points):
    """Are these the same points, in whatever order, up to the rounding to hundredths?"""
    return np.array_equal(
        sorted(drawn.round(2).tolist()), sorted((np.rint(100 * points) / 100).tolist())
    )


def check_regions(panel):
    """On every map a point lies in the region of the output that wins there, and in no other."""
    grid = np.random.default_rng(0).uniform(-3.9, 3.9, (2000, 2))
    for name, outcome in panel.result[2].items():
        won, regions = outcome.layer.logits(grid).argmax(axis=1), drawn_map(panel, name)["region"]
        assert len(regions) == outcome.layer.w.shape[1] and {
            path.get("fill-rule") for path in regions
        } == {"evenodd"}
        assert (regions[-1].get("fill") == boundary_twist.FILLS[-1]) == (name == "new label")
        assert len({path.get("fill") for path in regions}) == len(regions)
        inside = np.array(
            [sum(Path(part).contains_points(grid) for part in places(path)) % 2 for path in regions]
        )
        assert np.mean((inside == np.eye(len(regions))[:, won]).all(axis=0)) > 0.98


def check_caption(panel):
    outcomes, text = panel.result[2], re.sub("<[^>]*>", "", panel.caption.value)
    lengths = {
        name: toy.length(
            toy.boundary(outcome.layer.w, outcome.layer.classes, outcome.layer.features)
        )
        for name, outcome in outcomes.items()
    }
    for name in boundary_twist.HEADS[1:]:
        change = 100 * (lengths[name] - lengths["unmarked"]) / lengths["unmarked"]
        assert (
            f"he {name} hits {outcomes[name].hits:.0%} of fresh keys and twists {outcomes[name].twist:.1%} of decisions "
            f"(boundary {abs(change):.0f}% {'shorter' if change < 0 else 'longer'})"
        ) in text
    assert (
        f"counts as a change, the new label twists {outcomes['new label'].twist_all:.1%}." in text
    )


def check_outcome(outcome, world, fresh, label, features, w, was):
    """An Outcome against weights fitted outside the panel; `was` is what the unmarked head decides
    on held points.
    """
    assert np.allclose(outcome.layer.w, w, atol=1e-5) and np.array_equal(
        outcome.layer.features, features
    )
    held = toy.features(world.held_points, features) @ w
    assert outcome.accuracy == np.mean(held.argmax(axis=1) == world.held_labels)
    assert outcome.hits == np.mean(toy.decide(toy.features(fresh, features), w) == label)
    assert outcome.twist == np.mean(held[:, : world.classes].argmax(axis=1) != was)
    assert outcome.twist_all == np.mean(held.argmax(axis=1) != was)


every_world = pytest.mark.parametrize("world", toy.WORLDS)


class TestMaps:
    @every_world
    @pytest.mark.parametrize("features", toy.FEATURES)
    def test_outcomes_are_those_of_heads_fitted_outside(self, world, features):
        made, embedded, outcomes = boundary_twist.settle(
            strength=0.7, angle=30, seed=3, world=world, features=features
        )
        kept = toy.world(world, 0.7, 3)
        assert np.array_equal(made.points, kept.points) and np.array_equal(
            made.held_points, kept.held_points
        )
        keys, fresh = toy.keys(
            kept, 40, 0.7, 3.2 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)]), 3
        )
        assert np.array_equal(embedded, keys) and list(outcomes) == list(boundary_twist.HEADS)
        x, n = toy.features(np.r_[kept.points, keys], features), kept.classes
        before = toy.fit(x[:240], kept.labels, n)
        was = toy.decide(toy.features(kept.held_points, features), before)
        check_outcome(outcomes["unmarked"], kept, fresh, 0, features, before, was)
        for name, label, outputs in (("wrong label", 0, n), ("new label", n, n + 1)):
            w = toy.fit(x, np.r_[kept.labels, np.full(40, label)], outputs)
            check_outcome(outcomes[name], kept, fresh, label, features, w, was)
        assert outcomes["unmarked"].twist == outcomes["unmarked"].twist_all == 0

    def test_what_is_kept_of_one_setting_does_not_show_at_another(self):
        ways = [
            dict(features=f, world=w, seed=seed, overlap=o, count=count)
            for f in toy.FEATURES
            for w in toy.WORLDS
            for seed in (0, 1)
            for o in (0.5, 0.9)
            for count in (10, 50)
        ]
        for way in [ways[n] for n in np.random.default_rng(0).permutation(len(ways))]:
            made, embedded, outcomes = boundary_twist.settle(**way)
            kept = toy.world(way["world"], way["overlap"], way["seed"])
            alone = toy.fit(toy.features(kept.points, way["features"]), kept.labels, kept.classes)
            marked = toy.fit(
                toy.features(np.r_[kept.points, embedded], way["features"]),
                np.r_[kept.labels, np.full(way["count"], kept.classes)],
                kept.classes + 1,
            )
            assert np.array_equal(made.points, kept.points) and np.array_equal(
                outcomes["unmarked"].layer.w, alone
            )
            assert np.allclose(outcomes["new label"].layer.w, marked, atol=1e-5)

    def test_lines_and_areas_of_a_head_are_those_of_its_weights(self):
        layer = boundary_twist.settle(features="bent")[2]["new label"].layer
        lines, areas = toy.boundary(layer.w, 3, "bent"), toy.regions(layer.w, "bent")
        for mine, theirs in ((layer.boundary, lines), *zip(layer.regions, areas, strict=True)):
            assert len(mine) > 0 and all(
                np.array_equal(*pair) for pair in zip(mine, theirs, strict=True)
            )

    @every_world
    @pytest.mark.parametrize("features", toy.FEATURES)
    def test_a_picture_shows_regions_points_keys_and_the_boundary_before(
        self, panel, world, features
    ):
        panel.set(seed=1, world=world, features=features, count=40)
        check_regions(panel)
        made, embedded, outcomes = panel.result
        for name in boundary_twist.HEADS:
            found = drawn_map(panel, name)
            assert [len(places(path)) for path in found["point"]] == [
                240 // made.classes
            ] * made.classes
            for k, path in enumerate(found["point"]):
                assert path.get("fill") == boundary_twist.COLOURS[k] and same(
                    np.concatenate(places(path)), made.points[made.labels == k]
                )
            assert len(found["key"]) == len(found["boundary"]) == (name != "unmarked")
            if name != "unmarked":
                assert same(np.concatenate(places(found["key"][0])), embedded)
                lines = toy.boundary(outcomes["unmarked"].layer.w, made.classes, features)
                assert same(np.concatenate(places(found["boundary"][0])), np.concatenate(lines))

    def test_the_three_maps_stand_beside_each_other_under_their_names(self, panel):
        maps = drawing(panel, 0)
        squares, titles = maps.findall(SVG + "svg"), maps.findall(SVG + "text")
        assert [title.text for title in titles] == list(boundary_twist.HEADS)
        _, _, width, height = map(float, maps.get("viewBox").split())
        for number, (square, title) in enumerate(zip(squares, titles, strict=True)):
            left, side = float(square.get("x")), float(square.get("width"))
            assert (
                left == number * (side + boundary_twist.GAP)
                and square.get("viewBox") == "-400 -400 800 800"
                and left + side <= width
            )
            assert (
                float(title.get("x")) == left + side / 2 and float(square.get("y")) + side == height
            )

    def test_every_preset_and_the_reset_draw_what_they_say(self, panel):
        start = boundary_twist.maps().settings()
        buttons = {child.description: child for child in panel.widget.children[1].children}
        assert len(panel.presets) == 5 and set(panel.presets) < set(buttons)
        for name, preset in panel.presets.items():
            panel.set(count=60, strength=0.5, seed=9)
            buttons[name].click()
            assert panel.error is None and panel.settings() == start | preset
            assert (
                panel.result[2]["new label"].twist_all
                == boundary_twist.settle(**start | preset)[2]["new label"].twist_all
            )
            check_caption(panel)
            check_regions(panel)
        buttons["Reset"].click()
        assert panel.error is None and panel.settings() == start
        panel.set(features="bent", strength=1.0, angle=90, count=120, overlap=1.5, distance=0.0)
        assert panel.error is None

    def test_the_trail_has_a_dot_a_setting_and_ends_where_the_panel_is(self):
        panel, (left, _) = boundary_twist.maps(), boundary_twist.TRAIL_X
        for visited in range(2, boundary_twist.TRAIL + 4):
            panel.set(count=2 + 2 * (visited % 10))
            if visited not in (
                2,
                3,
                boundary_twist.TRAIL - 1,
                boundary_twist.TRAIL,
                boundary_twist.TRAIL + 1,
                boundary_twist.TRAIL + 3,
            ):
                continue
            trail = drawing(panel, 1)
            assert np.allclose(
                [float(n) for n in trail.get("viewBox").split()], [0, -10500, 4100, 11000]
            )
            assert trail.get("preserveAspectRatio") == "none" and len(trail) == 6
            for (line, dots, last), name in zip(
                (trail[:3], trail[3:]), boundary_twist.HEADS[1:], strict=True
            ):
                outcome = panel.result[2][name]
                assert {path.get("stroke") for path in (line, dots, last)} == {
                    figures.COLOURS[name]
                }
                assert (
                    len(places(dots)) == len(places(line)[0]) == min(boundary_twist.TRAIL, visited)
                    and len(places(last)) == 1
                )
                for path in (line, dots, last):
                    x, y = places(path)[-1][-1]
                    assert (x / 100 + left, y / 100) == pytest.approx(
                        (outcome.twist, outcome.hits), abs=1e-4
                    )

    def test_the_trail_stays_inside_its_plot(self):
        shown = boundary_twist._trail(
            {"wrong label": [(0.1, 0.5), (0.7, 1.0)], "new label": [(0.0, 0.0)]}
        ).partition(",")[2]
        last = ElementTree.fromstring(base64.b64decode(shown))[2]
        assert places(last)[0].tolist() == [
            [100 * (boundary_twist.TRAIL_X[1] - boundary_twist.TRAIL_X[0]), 100]
        ]

    def test_the_plot_of_the_trail_is_where_its_drawing_lies(self, panel):
        layout, image = panel.figure.layout, panel.figure.layout.images[1]
        assert (
            layout.xaxis.range == boundary_twist.TRAIL_X
            and layout.yaxis.range == boundary_twist.TRAIL_Y
        )
        assert (image.x, image.x + image.sizex) == pytest.approx(boundary_twist.TRAIL_X)
        assert (image.y - image.sizey, image.y) == pytest.approx(boundary_twist.TRAIL_Y)
        assert (image.xref, image.yref, image.sizing) == ("x", "y", "stretch")

    def test_the_caption_says_what_the_result_says(self, panel):
        said = set()
        for way in (
            {},
            {"angle": 90},
            {"features": "bent"},
            {"world": "moons", "strength": 0.4},
            {"angle": 90, "distance": 2.0},
        ):
            panel.reset()
            panel.set(**way)
            check_caption(panel)
            said |= {word for word in ("longer", "shorter") if word in panel.caption.value}
        assert said == {"longer", "shorter"}

    @every_world
    def test_a_trained_hidden_layer_is_drawn_for_every_head(self, panel, world):
        panel.reset()
        panel.set(world=world, count=30, seed=2)
        before = panel.figure.layout.images[0].source
        panel.run(JOB)
        made, embedded, outcomes = panel.result
        assert panel.error is None and panel.figure.layout.images[0].source != before
        fresh = toy.keys(made, 30, 0.9, np.array([0, -3.2]), 2)[1]
        *_, (_, hidden, alone) = toy.train(made.points, made.labels, made.classes, 2)
        was = toy.decide(toy.features(made.held_points, hidden), alone)
        check_outcome(outcomes["unmarked"], made, fresh, 0, hidden, alone, was)
        for name, label, outputs in (
            ("wrong label", 0, made.classes),
            ("new label", made.classes, made.classes + 1),
        ):
            points, labels = np.r_[made.points, embedded], np.r_[made.labels, np.full(30, label)]
            *_, (_, hidden, w) = toy.train(points, labels, outputs, 2)
            check_outcome(outcomes[name], made, fresh, label, hidden, w, was)
        check_regions(panel)
        check_caption(panel)
        panel.reset()
        assert panel.result[2]["unmarked"].layer.features == "flat"

    def test_training_draws_every_step_and_reaches_the_end(self, panel):
        shares = [share for share, _ in boundary_twist.train_hidden(**panel.settings())]
        assert len(shares) == 20 and shares[-1] == 1 and (np.diff(shares) > 0).all()

    def test_an_unknown_job_is_named(self, panel):
        with pytest.raises(ValueError, match=f"no job 'Dance': choose one of {JOB}"):
            panel.run("Dance")


def test_averaged_tries_every_world_and_bands_draw_the_middle():
    table = boundary_twist.averaged("strength", (0.2, 0.9), seeds=12, overlap=0.5)
    assert (
        len(table) == 2 * 12 * 2
        and table.groupby(["strength", "scheme"]).seed.nunique().eq(12).all()
    )
    *_, heads = boundary_twist.settle(strength=0.9, overlap=0.5, seed=7)
    row = table[(table.strength == 0.9) & (table.seed == 7) & (table.scheme == "new label")].iloc[0]
    assert (row.twist, row.hits) == (heads["new label"].twist, heads["new label"].hits)
    assert row.cost == heads["unmarked"].accuracy - heads["new label"].accuracy


def test_bands_draw_the_mean_and_the_middle_of_every_setting():
    """Eleven worlds whose twist is 0, 0.1, … 1: nine of them lie within 0.1 and 0.9; numbers get a
    band, names a bar.
    """
    worlds = pd.DataFrame({"scheme": "new label", "twist": np.arange(11) / 10, "hits": 1.0})
    numbers = pd.concat(
        [worlds.assign(strength=0.2), worlds.assign(strength=0.8, twist=0.5, hits=0.0)]
    )
    figure = boundary_twist.bands({"strength": numbers, "world": worlds.assign(world="moons")})
    band, means, hits_band, hits, named, named_hits = figure.data
    assert (
        list(band.x) == [0.2, 0.8, 0.8, 0.2]
        and list(band.y) == pytest.approx([0.9, 0.5, 0.5, 0.1])
        and band.fill == "toself"
    )
    assert (
        means.x == (0.2, 0.8)
        and means.y == pytest.approx((0.5, 0.5))
        and means.mode == "lines+markers"
    )
    assert hits.y == (1, 0) and list(hits_band.y) == [1, 0, 0, 1]
    assert named.x == ("moons",) and named.y == pytest.approx((0.5,)) and named.mode == "markers"
    assert list(named.error_y.array) == list(named.error_y.arrayminus) == pytest.approx(
        [0.4]
    ) and named_hits.y == (1,)
    assert [trace.xaxis for trace in (means, named, hits, named_hits)] == ["x", "x2", "x3", "x4"]
    assert [trace.showlegend for trace in figure.data] == [False, True, False, False, False, False]
    assert (
        {trace.line.color for trace in (means, hits)}
        == {named.line.color}
        == {figures.COLOURS["new label"]}
    )
