"""The toy's output layers against scikit-learn, its twist by definition, its lengths against geometry."""
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression

from wmlab import toy

WORLDS = {"blobs": toy.blobs, "moons": toy.moons}
every_head = pytest.mark.parametrize("kind", toy.FEATURES)
every_world = pytest.mark.parametrize("world", WORLDS)


def marked_world(world, overlap=0.5, seed=0, keys=40):
    """Points, labels and number of classes of a world with a cloud of keys at its rim under a new label."""
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
    oracle = LogisticRegression(C=1 / (toy.L2 * len(x)), tol=1e-12, max_iter=100_000, solver="newton-cg").fit(x[:, :-1], labels)
    grid = toy.features(np.random.default_rng(1).uniform(-toy.BOX, toy.BOX, (500, 2)), kind)
    assert np.abs(toy._softmax(grid @ w) - oracle.predict_proba(grid[:, :-1])).max() < 1e-6
    assert abs(w[-1].sum()) < 1e-9


@every_head
def test_the_gradient_vanishes_and_every_step_away_costs(kind):
    points, labels, made = marked_world("blobs")
    x, rng = toy.features(points, kind), np.random.default_rng(0)
    w = toy.fit(x, labels, 4)

    def loss(w):
        p = toy._softmax(x @ w)
        return -np.log(p[np.arange(len(x)), labels]).mean() + toy.L2 / 2 * (w[:-1] ** 2).sum()

    assert all(loss(w + 1e-3 * rng.normal(size=w.shape)) > loss(w) for _ in range(20))


@every_head
def test_a_separable_world_has_a_solution(kind):
    made = toy.blobs(0.05)
    w = toy.fit(toy.features(made.points, kind), made.labels, 3)
    assert np.isfinite(w).all() and (toy.decide(toy.features(made.held_points, kind), w) == made.held_labels).all()


@every_head
def test_a_refit_takes_less_than_10_ms(kind):
    points, labels, _ = marked_world("blobs")
    x, seconds = toy.features(points, kind), []
    for _ in range(15):
        start = time.thread_time()
        toy.fit(x, labels, 4)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.010


@every_world
@every_head
def test_twist_is_zero_for_identical_heads(world, kind):
    made = WORLDS[world]()
    x = toy.features(made.points, kind)
    w = toy.fit(x, made.labels, made.classes)
    assert toy.twist(x, w, w) == (0, 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 1))
def test_twist_by_counting_and_whatever_shift_of_all_logits(seed, new):
    rng = np.random.default_rng(seed)
    x, before, after = np.c_[rng.normal(size=(50, 2)), np.ones(50)], rng.normal(size=(3, 3)), rng.normal(size=(3, 3 + new))
    among, all_told = toy.twist(x, before, after)
    changed = delta = 0
    for row in x:
        was, logits = np.argmax(row @ before), row @ after
        changed += np.argmax(logits[:3]) != was
        delta += np.argmax(logits) != was
    assert (among, all_told) == (changed / 50, delta / 50)
    assert new or among == all_told
    shift = rng.normal(size=(3, 1))  # the same for every output
    assert toy.twist(x, before + shift, after + shift) == (among, all_told)


def test_the_boundary_of_two_classes_has_the_length_geometry_gives_it():
    w = np.array([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])  # classes left and right of the vertical axis
    assert toy.boundary_length(w, 2) == pytest.approx(2 * toy.BOX, rel=1e-6)
    tilted = np.array([[1.0, -1.0], [1.0, -1.0], [0.0, 0.0]])
    assert toy.boundary_length(tilted, 2) == pytest.approx(2 * toy.BOX * np.sqrt(2), rel=1e-3)


def test_the_boundary_of_three_classes_is_a_star():
    """Three equal sectors that meet in the middle: rays of known lengths to the edge of the box."""
    angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
    w = np.r_[np.array([np.cos(angles), np.sin(angles)]), np.zeros((1, 3))]
    rays = toy.BOX * (1 + 2 * 2 / np.sqrt(3))  # one down, two up and out at 30 degrees
    assert toy.boundary_length(w, 3) == pytest.approx(rays, rel=0.03)
    assert toy.boundary_length(np.c_[w, [5, 5, 5]], 3) == pytest.approx(toy.boundary_length(w, 3)), "a new label has no say"


def test_classes_are_equally_many_and_held_points_others():
    for make in WORLDS.values():
        made = make(seed=3)
        assert np.bincount(made.labels).tolist() == [len(made.labels) // made.classes] * made.classes
        assert len(made.held_points) == 4 * len(made.points)
        assert not set(map(tuple, made.points)) & set(map(tuple, made.held_points))
        assert np.array_equal(make(seed=3).points, made.points) and not np.array_equal(make(seed=4).points, made.points)
        assert np.abs(made.points).max() < toy.BOX + 1


def test_moons_are_those_of_scikit_learn():
    """Up to place and size: the same two curves, compared by how far each point lies from the nearest of theirs."""
    theirs, labels = make_moons(4000, noise=None)
    ours = toy.moons(1e-6, n=400)
    ours_plain = ours.points / 1.6
    for label in (0, 1):
        placed = theirs[labels == label] - [0.5, 0.25]
        mine = ours_plain[ours.labels == label]
        assert np.hypot(*(mine[:, None] - placed[None]).T).min(axis=0).max() < 0.01


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: toy.blobs(0), "the overlap is 0"), (lambda: toy.moons(np.nan), "the overlap is nan"),
    (lambda: toy.features(np.zeros((1, 2)), "round"), "unknown features 'round': choose one of flat, bent"),
    (lambda: toy.fit(np.ones((2, 3)), [0, 2], 2), "2 points need as many labels from 0 to 1"),
    (lambda: toy.fit(np.ones((2, 3)), [0], 2), "2 points need as many labels"),
])
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
