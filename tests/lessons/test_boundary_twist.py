"""Lesson 01: outcomes against heads fitted outside the panel, drawings read as SVG, its checks."""

import base64
import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path

from wmlab import toy
from wmlab.lessons import boundary_twist as lesson
from wmlab.lessons import check
from wmlab.show import figures

SVG = "{http://www.w3.org/2000/svg}"
JOB = "Train a hidden layer"
WAYS = tuple(itertools.product(toy.WORLDS, toy.FEATURES))


@pytest.fixture(scope="module")
def made():
    return lesson.maps()


@pytest.fixture
def panel(made):
    made.reset()
    return made


def read(address):
    """A drawing as the page gets it: an XML element."""
    kind, _, data = address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(data, validate=True))


def drawings(panel):
    """The row of maps and the trail."""
    return [read(image["source"]) for image in panel.figure["layout"]["images"]]


def places(path):
    """The points of a path's parts, in units of the plane: a list of arrays (m, 2)."""
    parts = [re.match(r"[-0-9 ]+", part).group().split() for part in path.get("d").split("M")[1:]]
    return [np.array(part, float).reshape(-1, 2) / (100, -100) for part in parts]


def drawn_map(panel, name):
    """What the map of a head shows: {region, point, boundary or key: its paths}."""
    row, _ = drawings(panel)
    titles = [title.text for title in row.findall(SVG + "text")]
    inside = row.findall(SVG + "svg")[titles.index(name)]
    kinds = {"region": "fill-rule", "point": "opacity", "boundary": "stroke-dasharray"}
    found = {kind: [path for path in inside if path.get(mark)] for kind, mark in kinds.items()}
    found["key"] = [path for path in inside if path.get("stroke") == lesson.KEY_COLOUR]
    assert sum(map(len, found.values())) == len(inside)
    assert {path.tag for path in inside} == {SVG + "path"}
    return found


def same(drawn, points):
    """Are these the same points, in whatever order, up to the rounding to hundredths?"""
    exact = np.rint(100 * np.asarray(points)) / 100
    return sorted(np.round(drawn, 2).tolist()) == sorted(exact.tolist())


def check_regions(panel):
    """On every map a point lies in the region of the output that wins there, and in no other."""
    grid = np.random.default_rng(0).uniform(-3.9, 3.9, (2000, 2))
    for name, outcome in panel.result.heads.items():
        won, regions = outcome.layer.logits(grid).argmax(axis=1), drawn_map(panel, name)["region"]
        assert {path.get("fill-rule") for path in regions} == {"evenodd"}
        assert (regions[-1].get("fill") == lesson.FILLS[-1]) == (name == "new label")
        assert len({path.get("fill") for path in regions}) == outcome.layer.w.shape[1]
        times = [sum(Path(part).contains_points(grid) for part in places(one)) for one in regions]
        right = np.array(times) % 2 == np.eye(len(regions))[:, won]
        assert np.mean(right.all(axis=0)) > 0.98


def check_sentence(panel):
    heads, said = panel.result.heads, re.sub("<[^>]*>", "", panel.caption_text)
    lengths = {}
    for name, outcome in heads.items():
        layer = outcome.layer
        lengths[name] = toy.length(toy.boundary(layer.w, layer.classes, layer.features))
    for name in lesson.HEADS[1:]:
        change = 100 * (lengths[name] - lengths["unmarked"]) / lengths["unmarked"]
        assert (
            f"he {name} hits {heads[name].hits:.0%} of fresh keys and twists "
            f"{heads[name].twist:.1%} of decisions (boundary {abs(change):.0f}% "
            f"{'shorter' if change < 0 else 'longer'})"
        ) in said
    assert said.startswith("The wrong label") and said.endswith(
        f"counts as a change, the new label twists {heads['new label'].twist_all:.1%}."
    )


def check_outcomes(fitted, fresh, fits):
    """Outcomes against weights fitted outside the panel, {head: (features, w)}."""
    world, held, (kind, alone) = fitted.world, fitted.world.held_points, fits["unmarked"]
    was = toy.decide(toy.features(held, kind), alone)
    assert list(fitted.heads) == list(lesson.HEADS)
    for name, outcome in fitted.heads.items():
        kind, w = fits[name]
        assert np.allclose(outcome.layer.w, w, atol=1e-5)
        assert np.array_equal(outcome.layer.features, kind)
        logits, answers = toy.features(held, kind) @ w, toy.decide(toy.features(fresh, kind), w)
        label = world.classes if name == "new label" else 0
        decided = logits.argmax(axis=1)
        assert outcome.accuracy == np.mean(decided == world.held_labels)
        assert outcome.hits == np.mean(answers == label)
        assert outcome.twist == np.mean(logits[:, : world.classes].argmax(axis=1) != was)
        assert outcome.twist_all == np.mean(decided != was)
    assert fitted.heads["unmarked"].twist == fitted.heads["unmarked"].twist_all == 0


def given(world, keys):
    """What each head is fitted on: {head: (points, labels, outputs)}."""
    points, n = np.r_[world.points, keys], world.classes
    wrong, new = (np.r_[world.labels, np.full(len(keys), label)] for label in (0, n))
    unmarked = (world.points, world.labels, n)
    return {
        "unmarked": unmarked,
        "wrong label": (points, wrong, n),
        "new label": (points, new, n + 1),
    }


def test_outcomes_are_those_of_heads_fitted_outside():
    for world, features in WAYS:
        fitted = lesson.fit_heads(strength=0.7, angle=30, seed=3, world=world, features=features)
        kept = toy.world(world, 0.7, 3)
        assert np.array_equal(fitted.world.points, kept.points)
        assert np.array_equal(fitted.world.held_points, kept.held_points)
        centre = 3.2 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
        keys, fresh = toy.keys(kept, 40, 0.7, centre, 3)
        assert np.array_equal(fitted.keys, keys)
        fits = {}
        for name, (points, *rest) in given(kept, keys).items():
            fits[name] = features, toy.fit(toy.features(points, features), *rest)
        check_outcomes(fitted, fresh, fits)


def test_what_is_kept_of_one_setting_does_not_show_at_another():
    ways = [
        dict(zip(("world", "features", "seed", "overlap", "count"), (*way, *rest), strict=True))
        for way in WAYS
        for rest in itertools.product((0, 1), (0.5, 0.9), (10, 50))
    ]
    for way in [ways[n] for n in np.random.default_rng(0).permutation(len(ways))]:
        fitted, kept = lesson.fit_heads(**way), toy.world(way["world"], way["overlap"], way["seed"])
        assert np.array_equal(fitted.world.points, kept.points) and len(fitted.keys) == way["count"]
        heads = given(kept, fitted.keys)
        for name in ("unmarked", "new label"):
            points, *rest = heads[name]
            w = toy.fit(toy.features(points, way["features"]), *rest)
            assert np.allclose(fitted.heads[name].layer.w, w, atol=1e-5)


def test_lines_and_areas_of_a_head_are_those_of_its_weights():
    layer = lesson.fit_heads(features="bent").heads["new label"].layer
    lines, areas = toy.boundary(layer.w, 3, "bent"), toy.regions(layer.w, "bent")
    for mine, theirs in ((layer.boundary, lines), *zip(layer.regions, areas, strict=True)):
        assert len(mine) > 0
        assert all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))


def test_a_picture_shows_regions_points_keys_and_the_boundary_before(panel):
    for way, name in itertools.product(WAYS, lesson.HEADS):
        world, features = way
        if name == "unmarked":
            panel.set(seed=1, world=world, features=features)
            check_regions(panel)
        world, keys, heads = panel.result
        found = drawn_map(panel, name)
        assert len(found["point"]) == world.classes
        for k, path in enumerate(found["point"]):
            assert path.get("fill") == lesson.COLOURS[k]
            assert same(np.concatenate(places(path)), world.points[world.labels == k])
        assert len(found["key"]) == len(found["boundary"]) == (name != "unmarked")
        if name != "unmarked":
            assert same(np.concatenate(places(found["key"][0])), keys)
            lines = toy.boundary(heads["unmarked"].layer.w, world.classes, features)
            assert same(np.concatenate(places(found["boundary"][0])), np.concatenate(lines))


def test_the_three_maps_stand_beside_each_other_under_their_names(panel):
    row, _ = drawings(panel)
    squares, titles = row.findall(SVG + "svg"), row.findall(SVG + "text")
    assert [title.text for title in titles] == list(lesson.HEADS)
    _, _, width, height = map(float, row.get("viewBox").split())
    for number, (square, title) in enumerate(zip(squares, titles, strict=True)):
        left, side = float(square.get("x")), float(square.get("width"))
        assert left == number * (side + lesson.GAP) and left + side <= width
        assert square.get("viewBox") == "-400 -400 800 800"
        assert float(title.get("x")) == left + side / 2
        assert float(square.get("y")) + side == height


def test_every_preset_and_the_reset_draw_what_they_say(panel):
    start = panel.settings()
    assert len(panel.presets) == 5 and panel.first == 1
    for preset in panel.presets.values():
        panel.set(**start | {"count": 60, "strength": 0.5, "seed": 9})
        panel.set(**start | preset)
        assert panel.settings() == start | preset
        again, shown = lesson.fit_heads(**start | preset), panel.result
        for name in lesson.HEADS:
            assert shown.heads[name].twist_all == again.heads[name].twist_all
        check_sentence(panel)
        check_regions(panel)
    panel.set(features="bent", strength=1.0, angle=90, count=120, overlap=1.5, distance=0.0)
    panel.reset()
    assert panel.error is None and panel.settings() == start


def test_the_sentence_says_what_the_result_says(panel):
    said = ""
    for way in ({}, {"angle": 90}, {"features": "bent"}, {"world": "moons", "strength": 0.4}):
        panel.reset()
        panel.set(**way)
        check_sentence(panel)
        said += panel.caption_text
    assert "longer" in said and "shorter" in said


def test_the_trail_has_a_dot_a_setting_and_ends_where_the_panel_is():
    panel, (left, _), most = lesson.maps(), lesson.TRAIL_X, lesson.TRAIL
    for visited in range(2, most + 4):
        panel.set(count=2 + 2 * (visited % 10))
        if visited not in (2, 3, most - 1, most, most + 1, most + 3):
            continue
        _, trail = drawings(panel)
        assert np.allclose(list(map(float, trail.get("viewBox").split())), [0, -10500, 4100, 11000])
        assert trail.get("preserveAspectRatio") == "none" and len(trail) == 6
        for paths, name in zip((trail[:3], trail[3:]), lesson.HEADS[1:], strict=True):
            outcome, (line, dots, last) = panel.result.heads[name], paths
            assert {path.get("stroke") for path in paths} == {figures.COLOURS[name]}
            assert len(places(dots)) == len(places(line)[0]) == min(most, visited)
            assert len(places(last)) == 1
            for path in paths:
                x, y = places(path)[-1][-1]
                end = (x / 100 + left, y / 100)
                assert end == pytest.approx((outcome.twist, outcome.hits), abs=1e-4)
    panel.reset()
    assert [len(places(line)[0]) for line in (drawings(panel)[1][0], drawings(panel)[1][3])] == [
        1,
        1,
    ]


def test_the_trail_stays_inside_its_plot_which_lies_where_its_drawing_does(panel):
    trail = {"wrong label": [(0.1, 0.5), (0.7, 1.0)], "new label": [(0.0, 0.0)]}
    last = read(lesson._trail_drawing(trail))[2]
    (left, right), (low, high) = lesson.TRAIL_X, lesson.TRAIL_Y
    assert places(last)[0].tolist() == [[100 * (right - left), 100]]
    layout = panel.figure["layout"]
    _, image = layout["images"]
    assert (layout["xaxis"]["range"], layout["yaxis"]["range"]) == ((left, right), (low, high))
    assert (image["x"], image["x"] + image["sizex"]) == pytest.approx((left, right))
    assert (image["y"] - image["sizey"], image["y"]) == pytest.approx((low, high))
    assert (image["xref"], image["yref"], image["sizing"]) == ("x", "y", "stretch")


@pytest.mark.parametrize(
    "world", ["blobs", *(pytest.param(name, marks=pytest.mark.slow) for name in toy.WORLDS[1:])]
)
def test_a_trained_hidden_layer_is_drawn_for_every_head(panel, world, monkeypatch):
    shares, job = [], panel.jobs[JOB]

    def noted(**settings):
        for share, drawn in job(**settings):
            shares.append(share)
            yield share, drawn

    monkeypatch.setitem(panel.jobs, JOB, noted)
    panel.set(world=world, count=30, seed=2)
    before = panel.figure["layout"]["images"][0]["source"]
    panel.run(JOB)
    assert panel.error is None and panel.figure["layout"]["images"][0]["source"] != before
    assert len(shares) == 20 and shares[-1] == 1 and (np.diff(shares) > 0).all()
    _, fresh = toy.keys(panel.result.world, 30, 0.9, np.array([0, -3.2]), 2)
    fits = {}
    for name, way in given(panel.result.world, panel.result.keys).items():
        *_, (_, hidden, w) = toy.train(*way, 2)
        fits[name] = hidden, w
    check_outcomes(panel.result, fresh, fits)
    check_regions(panel)
    check_sentence(panel)
    panel.reset()
    assert panel.result.heads["unmarked"].layer.features == "flat"


def test_averaged_tries_every_world():
    table = lesson.averaged("strength", (0.2, 0.9), seeds=12, overlap=0.5)
    assert len(table) == 2 * 12 * 2
    assert table.groupby(["strength", "scheme"]).seed.nunique().eq(12).all()
    heads = lesson.fit_heads(strength=0.9, overlap=0.5, seed=7).heads
    row = table.query("strength == 0.9 and seed == 7 and scheme == 'new label'").iloc[0]
    assert (row.twist, row.hits) == (heads["new label"].twist, heads["new label"].hits)
    assert row.cost == heads["unmarked"].accuracy - heads["new label"].accuracy


def test_bands_draw_the_mean_and_the_middle_of_every_setting():
    """Eleven worlds whose twist is 0, 0.1, … 1: nine of them lie within 0.1 and 0.9; numbers get a
    band, names a bar.
    """
    worlds = pd.DataFrame({"scheme": "new label", "twist": np.arange(11) / 10, "hits": 1.0})
    numbers = [worlds.assign(strength=0.2), worlds.assign(strength=0.8, twist=0.5, hits=0.0)]
    figure = lesson.bands({"strength": pd.concat(numbers), "world": worlds.assign(world="moons")})
    plots = {}
    for trace in figure["data"]:
        plots.setdefault(trace["xaxis"], []).append(trace)
    (band, means), (named,), (hits_band, hits), (named_hits,) = map(
        plots.get, ("x", "x2", "x3", "x4")
    )
    assert list(band["x"]) == [0.2, 0.8, 0.8, 0.2] and band["fill"] == "toself"
    assert list(band["y"]) == pytest.approx([0.9, 0.5, 0.5, 0.1])
    assert list(hits_band["y"]) == [1, 0, 0, 1]
    for trace, x, y in (
        (means, [0.2, 0.8], [0.5, 0.5]),
        (hits, [0.2, 0.8], [1, 0]),
        (named, ["moons"], [0.5]),
        (named_hits, ["moons"], [1]),
    ):
        assert list(trace["x"]) == x and list(trace["y"]) == pytest.approx(y)
        assert trace["mode"] == ("markers" if x == ["moons"] else "lines+markers")
        assert trace["marker"]["color"] == figures.COLOURS["new label"]
    bar = named["error_y"]
    assert list(bar["array"]) == list(bar["arrayminus"]) == pytest.approx([0.4])
    assert [trace for trace in figure["data"] if trace["showlegend"]] == [means]
    titles = [figure["layout"][f"xaxis{n}"]["title"] for n in (3, 4)]
    assert titles == ["strength", "world"] and figure["layout"]["xaxis"]["matches"] == "x3"


# the exercises


def test_settings_of_the_toy_are_tried():
    far = {"distance": 2, "angle": 90, "strength": 1, "count": 120, "overlap": 1.5}
    answers = {
        "01.1": [{"strength": 0.1, "count": 10}, {}, {"strength": 0.0}],
        "01.2": [far, {}, {"angle": 90}, {"strength": 0.0}],
        "01.3": [{"angle": 90}, {}, {"angle": 300}, {"angle": 90, "strength": 0.2}],
    }
    useless = [{"strength": 2.0}, {"speed": 1}, {"count": 0}, {"world": "cubes"}]
    for exercise, (right, *wrong) in answers.items():
        assert check(exercise, right, lesson.fit_heads) is True
        for answer in (*wrong, *useless, 7, "angle=90", [90]):
            assert check(exercise, answer, lesson.fit_heads) is False, (exercise, answer)
        assert check(exercise, ..., lesson.fit_heads) is check(exercise, None) is None


def test_where_the_lines_of_the_checks_lie():
    """Hits and twist of both marks, and whether they are an answer to 01.1, 01.2 and 01.3."""
    for wrong, new, right in (
        ((1, 1), (0.9, 0.02), (False, True, False)),
        ((0.5, 1), (0.89, 0.02), (False, False, False)),
        ((0.5, 1), (0.9, 0.019), (False, False, False)),
        ((0.5, 1), (1, 0), (False, False, False)),
        ((0.5, 1), (0.09, 0.009), (True, False, False)),
        ((0.5, 1), (0.1, 0.009), (False, False, False)),
        ((0.5, 1), (0.09, 0.01), (False, False, False)),
        ((0.95, 0.03), (0.1, 0.03), (False, False, True)),
        ((0.94, 0.0), (1, 0.5), (False, True, False)),
        ((1, 0.031), (0, 0.03), (False, False, False)),
    ):
        rates = {"unmarked": (0, 0), "wrong label": wrong, "new label": new}
        heads = {name: lesson.Outcome(None, 1, *of, 1) for name, of in rates.items()}
        fitted = lesson.Fitted(None, None, heads)
        found = [check(f"01.{n}", {}, lambda fitted=fitted: fitted) for n in (1, 2, 3)]
        assert found == list(right), rates
