"""The toy's output layers against scikit-learn, hidden ones against differences, twist by counting,
lengths by geometry.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path
from scipy.optimize import approx_fprime
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression

from wmlab import toy

WORLDS = {"blobs": toy.blobs, "moons": toy.moons}
every_head = pytest.mark.parametrize("kind", toy.FEATURES)
every_world = pytest.mark.parametrize("world", WORLDS)


def marked_world(world, overlap=0.5, seed=0, keys=40):
    """Points, labels and number of classes of a world with a cloud of keys at its rim under a new
    label.
    """
    made = WORLDS[world](overlap, seed)
    cloud = np.array([3.0, -1.0]) + 0.3 * np.random.default_rng(seed).normal(size=(keys, 2))
    return np.r_[made.points, cloud], np.r_[made.labels, np.full(keys, made.classes)], made


@every_world
@every_head
@pytest.mark.parametrize("overlap", [0.2, 1.0])
def test_newton_finds_what_scikit_learn_finds(world, kind, overlap):
    points, labels, made = marked_world(world, overlap)
    x = toy.features(points, kind)
    w = toy.fit(x, labels, made.classes + 1)
    oracle = LogisticRegression(
        C=1 / (toy.L2 * len(x)), tol=1e-12, max_iter=100_000, solver="newton-cg"
    ).fit(x[:, :-1], labels)
    grid = toy.features(np.random.default_rng(1).uniform(-toy.BOX, toy.BOX, (500, 2)), kind)
    assert np.abs(toy._softmax((grid @ w).T).T - oracle.predict_proba(grid[:, :-1])).max() < 1e-6
    assert abs(w[-1].sum()) < 1e-9


@every_head
def test_a_separable_world_has_a_solution(kind):
    made = toy.blobs(0.05)
    w = toy.fit(toy.features(made.points, kind), made.labels, 3)
    assert np.isfinite(w).all()
    assert (toy.decide(toy.features(made.held_points, kind), w) == made.held_labels).all()


@given(st.integers(0, 10_000), st.integers(0, 1))
def test_twist_by_counting_and_whatever_shift_of_all_logits(seed, new):
    rng = np.random.default_rng(seed)
    x = np.c_[rng.normal(size=(50, 2)), np.ones(50)]
    before, after = rng.normal(size=(3, 3)), rng.normal(size=(3, 3 + new))
    among, all_told = toy.twist(x @ before, x @ after)
    changed = delta = 0
    for row in x:
        was, logits = np.argmax(row @ before), row @ after
        changed += np.argmax(logits[:3]) != was
        delta += np.argmax(logits) != was
    assert (among, all_told) == (changed / 50, delta / 50)
    assert new or among == all_told
    shift = rng.normal(size=(50, 1))  # the same for every output
    assert toy.twist(x @ before + shift, x @ after + shift) == (among, all_told)


def test_the_boundary_of_two_classes_has_the_length_geometry_gives_it():
    # classes left and right of the vertical axis
    w = np.array([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])
    assert toy.length(toy.boundary(w, 2)) == pytest.approx(2 * toy.BOX, rel=1e-6)
    tilted = np.array([[1.0, -1.0], [1.0, -1.0], [0.0, 0.0]])
    assert toy.length(toy.boundary(tilted, 2)) == pytest.approx(2 * toy.BOX * np.sqrt(2), rel=1e-3)


def test_the_boundary_of_three_classes_is_a_star():
    """Three equal sectors that meet in the middle: rays of known lengths to the edge of the box."""
    angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
    w = np.r_[np.array([np.cos(angles), np.sin(angles)]), np.zeros((1, 3))]
    rays = toy.BOX * (1 + 2 * 2 / np.sqrt(3))  # one down, two up and out at 30 degrees
    length = toy.length(toy.boundary(w, 3))
    assert length == pytest.approx(rays, rel=0.03)
    more = toy.length(toy.boundary(np.c_[w, [5, 5, 5]], 3))
    assert more == pytest.approx(length), "a new label has no say"


def test_classes_are_equally_many_and_held_points_others():
    for make in WORLDS.values():
        made = make(seed=3)
        for labels in (made.labels, made.held_labels):
            assert np.bincount(labels).tolist() == [len(labels) // made.classes] * made.classes
        assert len(made.held_points) == 4 * len(made.points)
        assert not set(map(tuple, made.points)) & set(map(tuple, made.held_points))
        assert np.array_equal(make(seed=3).points, made.points)
        assert not np.array_equal(make(seed=4).points, made.points)
        assert np.abs(made.points).max() < toy.BOX + 1


def test_a_region_with_a_hole_comes_with_the_outline_of_the_hole():
    """Four bends as steep as walls: output 1 wins in the square of side 4 between them, and nowhere
    else.
    """
    # +1 on the inner side of a wall, -1 beyond it
    hidden = 50 * np.array([[1.0, -1, 0, 0], [0, 0, 1, -1], [2, 2, 2, 2]])
    w = np.r_[np.repeat([[-1.0, 1.0]], 4, axis=0), np.zeros((2, 2)), [[3.0, -3.0]]]
    (edge, hole), (square,) = toy.regions(w, hidden)
    for outline, side in ((edge, 8), (hole, 4), (square, 4)):
        assert np.ptp(outline, axis=0) == pytest.approx([side, side], abs=0.2)
    assert toy.length(toy.boundary(w, 2, hidden)) == pytest.approx(16, rel=0.03)


@every_world
@every_head
def test_every_point_lies_in_the_region_of_its_output_and_in_no_other(world, kind):
    points, labels, made = marked_world(world)
    w = toy.fit(toy.features(points, kind), labels, made.classes + 1)
    asked = np.random.default_rng(0).uniform(-toy.BOX, toy.BOX, (2000, 2))
    regions = toy.regions(w, kind)
    times = [sum(Path(part).contains_points(asked) for part in outlines) for outlines in regions]
    inside = np.array(times) % 2
    won = np.eye(made.classes + 1, dtype=int)[toy.decide(toy.features(asked, kind), w)].T
    assert np.mean((inside == won).all(axis=0)) > 0.98


def test_an_output_that_wins_nowhere_has_no_region():
    first, nowhere = toy.regions(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]))
    assert nowhere == [] and len(first) == 1


def test_moons_are_those_of_scikit_learn():
    """Up to place and size: the same two curves, compared by how far each point lies from the
    nearest of theirs.
    """
    theirs, labels = make_moons(4000, noise=None)
    ours = toy.moons(1e-6, n=400)
    ours_plain = ours.points / 1.6
    for label in (0, 1):
        placed = theirs[labels == label] - [0.5, 0.25]
        mine = ours_plain[ours.labels == label]
        assert np.hypot(*(mine[:, None] - placed[None]).T).min(axis=0).max() < 0.01


def test_bad_input_gets_one_sentence():
    for call, sentence in [
        (lambda: toy.blobs(0), "the overlap is 0"),
        (lambda: toy.moons(np.nan), "the overlap is nan"),
        (lambda: toy.world("cubes"), "unknown world 'cubes': choose one of blobs, moons, digits"),
        (lambda: toy.world("blobs", -1), "the overlap is -1"),
        (lambda: toy.features(np.zeros((1, 2)), "round"), "unknown features 'round': choose one"),
        (lambda: toy.keys(toy.blobs(), 0, 0.5, np.zeros(2)), "at least one key"),
        (lambda: toy.keys(toy.blobs(), 5, 1.1, np.zeros(2)), "a strength from 0 to 1"),
        (lambda: toy.fit(np.ones((2, 3)), [0, 2], 2), "2 points need as many labels from 0 to 1"),
        (lambda: toy.fit(np.ones((2, 3)), [0], 2), "2 points need as many labels"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            call()


def test_a_world_by_name_is_balanced_repeats_and_changes_with_the_seed():
    for kind in toy.WORLDS:
        made, again, other = (toy.world(kind, 0.5, seed) for seed in (3, 3, 4))
        held = 660 if kind == "digits" else 960
        assert made.points.shape == (240, 2) and made.held_points.shape == (held, 2)
        assert made.classes == (2 if kind == "moons" else 3)
        for labels in (made.labels, made.held_labels):
            assert np.bincount(labels).tolist() == [len(labels) // made.classes] * made.classes
        for part in ("points", "labels", "held_points", "held_labels"):
            assert np.array_equal(getattr(made, part), getattr(again, part))
        assert not np.array_equal(made.points, other.points)
        assert not np.array_equal(made.held_points, other.held_points)


def test_worlds_by_name_are_those_of_their_functions_and_only_digits_have_no_overlap():
    assert np.array_equal(toy.world("blobs", 0.4, 2).points, toy.blobs(0.4, 2).points)
    assert np.array_equal(toy.world("moons", 0.4, 2).points, toy.moons(0.4, 2).points)
    assert np.array_equal(toy.world("digits", 0.4, 2).points, toy.world("digits", 1.4, 2).points)


def test_digits_are_the_900_features_each_either_fitted_on_or_held():
    made = toy.digits(seed=5)
    points, labels = toy._digit_features()
    stored = sorted(zip(*points.T, labels, strict=True))
    dealt = np.r_[made.points, made.held_points].T, np.r_[made.labels, made.held_labels]
    assert sorted(zip(*dealt[0], dealt[1], strict=True)) == stored and len(stored) == 900
    few = toy.digits(0, 30)
    assert (len(few.points), len(few.held_points)) == (30, 870)


def test_features_of_a_hidden_layer_are_its_bends_then_the_flat_ones():
    points = np.array([[0.5, -1.0], [2.0, 3.0]])
    hidden = np.array([[1.0, 0.0], [2.0, 1.0], [-1.0, 0.5]])
    bends = [[np.tanh(x + 2 * y - 1), np.tanh(y + 0.5)] for x, y in points]
    assert np.allclose(toy.features(points, hidden), np.c_[bends, points, [1, 1]])
    assert np.array_equal(toy.features(points, toy._BENDS), toy.features(points, "bent"))
    assert np.array_equal(toy.features(points), np.c_[points, [1, 1]])


@pytest.fixture(scope="module")
def descent():
    """Blurred moons with keys, the loss that `train` gave to the optimiser, and every step of the
    training.
    """
    points, labels, _ = marked_world("moons", 0.4)
    losses, minimize = [], toy.minimize

    def noted(loss, *args, **options):
        losses.append(loss)
        return minimize(loss, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "minimize", noted)
        steps = list(toy.train(points, labels, 3))
    return points, labels, losses[0], steps


def objective(points, labels, hidden, w):
    """The documented loss of a hidden and an output layer, in other words than the package's."""
    x = toy.features(points, hidden)
    z = x @ w
    entropy = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]
    return entropy.mean() + toy.L2 / 2 * ((hidden[:2] ** 2).sum() + (w[:-1] ** 2).sum())


def test_the_slope_of_the_training_loss_is_that_of_differences(descent):
    points, labels, loss, steps = descent
    rng = np.random.default_rng(0)
    trained = np.r_[steps[3][1].ravel(), steps[3][2].ravel()]
    for at in (rng.normal(size=60 + 23 * 3), rng.normal(0, 3, 60 + 23 * 3), trained):
        value, slope = loss(at)
        parts = at[:60].reshape(3, 20), at[60:].reshape(23, 3)
        assert value == pytest.approx(objective(points, labels, *parts))
        assert np.abs(slope - approx_fprime(at, lambda w: loss(w)[0], 1e-6)).max() < 1e-4


def test_training_goes_down_to_a_minimum_in_twenty_steps(descent):
    points, labels, loss, steps = descent
    assert [share for share, *_ in steps] == pytest.approx(np.arange(1, 21) / 20)
    losses = [objective(points, labels, hidden, w) for _, hidden, w in steps]
    assert (np.diff(losses) <= 1e-12).all()
    _, hidden, w = steps[-1]
    assert hidden.shape == (3, 20) and w.shape == (23, 3)
    assert np.abs(loss(np.r_[hidden.ravel(), w.ravel()])[1]).max() < 1e-3
    rng = np.random.default_rng(0)
    for _ in range(20):
        near = hidden + 0.03 * rng.normal(size=hidden.shape), w + 0.03 * rng.normal(size=w.shape)
        assert objective(points, labels, *near) > losses[-1]


def test_a_trained_hidden_layer_fits_what_straight_lines_cannot(descent):
    points, labels, _, steps = descent
    _, hidden, w = steps[-1]
    x, flat = toy.features(points, hidden), toy.features(points)
    straight = np.mean(toy.decide(flat, toy.fit(flat, labels, 3)) == labels)
    assert np.mean(toy.decide(x, w) == labels) > straight + 0.05
    # what Newton makes of the same hidden layer
    best = objective(points, labels, hidden, toy.fit(x, labels, 3))
    assert best <= objective(points, labels, hidden, w) < best + 1e-3


def test_training_repeats_with_its_seed_and_ends_elsewhere_with_another(descent):
    points, labels, _, steps = descent
    *_, again = toy.train(points, labels, 3)
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(again, steps[-1], strict=True))
    *_, other = toy.train(points, labels, 3, seed=1, chunks=2)
    assert other[0] == 1 and not np.allclose(other[1], steps[1][1], atol=0.1)
