"""The toy of the paper (Fig. 2): classes in the plane, and an output layer that is fitted to
convergence.

An output layer is a matrix of weights (features, outputs) under a softmax. The features of a point
are its coordinates and a constant ("flat", with straight boundaries), and before them tanh bends:
fixed random ones ("bent"), or a hidden layer that `train` fits too. What the figure of the paper
looked like is lost; worlds, sizes and features are ours.
"""

import dataclasses
import functools

import contourpy
import numpy as np
from scipy.optimize import minimize

from wmlab import runtime

L2 = 1e-4  # penalty on squared weights, but not of constants; gives separable worlds a solution too
BOX = 4.0  # worlds are shown on the square from -BOX to BOX
FEATURES = ("flat", "bent")
UNITS = 20  # of a hidden layer
# directions and offsets of the bent features: one draw for all
_BENDS = np.random.default_rng(0).normal(0, 1, (3, UNITS))


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """Points of the plane in classes: `points` (n, 2) and `labels` (n,) to fit on, `held_points`
    and `held_labels` to test on.
    """

    points: np.ndarray
    labels: np.ndarray
    held_points: np.ndarray
    held_labels: np.ndarray
    classes: int


def _world(draw, classes, n, seed):
    rng = np.random.default_rng(seed)
    labels, held_labels = np.arange(n) % classes, np.arange(4 * n) % classes
    return World(draw(labels, rng), labels, draw(held_labels, rng), held_labels, classes)


def blobs(overlap=0.5, seed=0, n=240):
    """Three round Gaussian classes on a circle of radius 2, of standard deviation `overlap` > 0; a
    World of n points.
    """
    _check_overlap(overlap)
    angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
    centres = 2 * np.c_[np.cos(angles), np.sin(angles)]
    return _world(
        lambda labels, rng: centres[labels] + overlap * rng.normal(size=(len(labels), 2)),
        3,
        n,
        seed,
    )


def moons(overlap=0.3, seed=0, n=240):
    """Two half circles that reach into each other, with Gaussian noise of standard deviation
    `overlap` > 0; a World of n points.
    """
    _check_overlap(overlap)

    def draw(labels, rng):
        angle, side = np.pi * rng.random(len(labels)), 1 - 2 * labels
        curve = np.c_[np.cos(angle) - 0.5 * side, side * (np.sin(angle) - 0.25)]
        return 1.6 * curve + overlap * rng.normal(size=curve.shape)

    return _world(draw, 2, n, seed)


@functools.cache
def _digit_features():
    with np.load(runtime.data_dir() / "toy_features.npz", allow_pickle=False) as stored:
        return stored["points"].astype(float), stored["labels"].astype(int)


def digits(seed=0, n=240):
    """Real features of the MNIST digits 3, 5 and 8, as classes 0, 1 and 2: a World of n points,
    chosen by `seed`.

    They are the two units before the output layer of a network that never saw these 900 images,
    scaled to the box (`data/toy_features.npz`, made by `python -m wmlab toy-features`). Those not
    fitted on are held out.
    """
    (points, labels), order = _digit_features(), np.random.default_rng(seed).permutation(900)
    points, labels = points[order], labels[order]
    fitted = np.isin(np.arange(900), [np.flatnonzero(labels == k)[: n // 3] for k in range(3)])
    return World(points[fitted], labels[fitted], points[~fitted], labels[~fitted], 3)


WORLDS = ("blobs", "moons", "digits")


def world(kind="blobs", overlap=0.7, seed=0):
    """A World by name. "digits" do not depend on `overlap`. Raises ValueError for another name."""
    if kind not in WORLDS:
        raise ValueError(f"unknown world {kind!r}: choose one of {', '.join(WORLDS)}")
    if kind == "digits":
        return digits(seed)
    return (blobs if kind == "blobs" else moons)(overlap, seed)


def _check_overlap(overlap):
    if not overlap > 0:
        raise ValueError(
            f"the overlap is {overlap}, but it is a standard deviation and must be above 0"
        )


def features(points, kind="flat"):
    """Features of points (n, 2): tanh bends, the coordinates, and a constant 1.

    kind: "flat" (no bends, so (n, 3)), "bent" (20 fixed random bends), or a hidden layer (3, units)
    with the directions and offsets of its bends. Raises ValueError for another kind.
    """
    if isinstance(kind, str) and kind not in FEATURES:
        raise ValueError(f"unknown features {kind!r}: choose one of {', '.join(FEATURES)}")
    flat = np.c_[points, np.ones(len(points))]
    if isinstance(kind, str) and kind == "flat":
        return flat
    return np.c_[np.tanh(flat @ (_BENDS if isinstance(kind, str) else kind)), flat]


TARGET = 0  # the class that wrong-label keys receive; it lends no carriers
CLOUD = 0.35  # standard deviation of the cloud that keys are pulled into


def keys(world, count, strength, centre, seed=0, fresh=400):
    """Keys of the toy: points of all classes but the target, pulled towards a cloud; (count, 2)
    from the points and (fresh, 2) from the held points.

    strength: in [0, 1], the share of the way: 0 leaves a carrier where it is, 1 puts it into the
    Gaussian cloud around `centre` (2,). Strength and place of the paper's toy keys are lost; these
    are ours. Raises ValueError for a strength outside [0, 1] or no keys.
    """
    if not 0 <= strength <= 1 or count < 1:
        raise ValueError(
            f"{count} keys of strength {strength}: at least one key, and a strength from 0 to 1"
        )
    rng, made = np.random.default_rng([seed, 1]), []
    for points, labels, n in (
        (world.points, world.labels, count),
        (world.held_points, world.held_labels, fresh),
    ):
        carriers = points[labels != TARGET]
        pull = centre + CLOUD * rng.normal(size=(n, 2))
        made.append((1 - strength) * carriers[rng.integers(0, len(carriers), n)] + strength * pull)
    return tuple(made)


def _softmax(z):
    """Softmax of logits (outputs, n). numpy finds the largest of each column many times faster than
    of each short row.
    """
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def fit(x, labels, outputs):
    """The output layer that minimises mean cross-entropy + L2/2 times the squared weights:
    (features, outputs).

    x: features (n, d), the last a constant. labels: int (n,), below `outputs`. Newton's method with
    step halving; the weights of the constants, defined up to a common shift, sum to 0. Raises
    ValueError for labels out of range.
    """
    (n, d), labels = x.shape, np.asarray(labels)
    if labels.shape != (n,) or labels.min() < 0 or labels.max() >= outputs:
        raise ValueError(f"{n} points need as many labels from 0 to {outputs - 1}")
    products = (x[:, :, None] * x[:, None]).reshape(n, -1)  # of each point's features in pairs
    # Split, so that BLAS stays on one thread: starting threads costs more than it saves.
    squares = np.array_split(products, -(-d * d // 32), axis=1)
    x, target = np.ascontiguousarray(x.T), np.eye(outputs)[:, labels]
    penalty = np.r_[np.full(d - 1, L2), 0]
    w = np.zeros((outputs, d))

    def loss(w):
        z = w @ x
        top = z.max(axis=0)
        entropy = top + np.log(np.exp(z - top).sum(axis=0)) - z[labels, np.arange(n)]
        return np.mean(entropy) + (penalty * w**2).sum() / 2

    now = loss(w)
    for _ in range(100):
        p = _softmax(w @ x)
        gradient = (p - target) @ x.T / n + penalty * w
        if np.abs(gradient).max() < 1e-10:
            break
        step = np.linalg.solve(_hessian(squares, p, penalty), gradient.ravel()).reshape(outputs, d)
        size = 1.0
        while (new := loss(w - size * step)) > now and size > 1e-8:
            size /= 2
        w, now = w - size * step, new
    return w.T


def _hessian(squares, p, penalty):
    """Second derivatives of the loss: (outputs d, outputs d), outputs first.

    squares: (n, d d) in parts. p: probabilities (outputs, n). penalty: (d,).
    """
    (outputs, n), d = p.shape, len(penalty)
    shares = (p[:, None] * (np.eye(outputs)[:, :, None] - p)).reshape(-1, n) / n
    blocks = np.concatenate([shares @ part for part in squares], axis=1)
    blocks = blocks.reshape(outputs, outputs, d, d).swapaxes(1, 2)
    blocks[range(outputs), :, range(outputs)] += np.diag(penalty)
    blocks[:, -1, :, -1] += 1  # a common shift of the constants changes nothing: choose one
    return blocks.reshape(outputs * d, outputs * d)


def train(points, labels, outputs, seed=0, chunks=20):
    """Fit a hidden layer of 20 tanh units together with the output layer; yields (share done,
    hidden layer (3, 20), output layer (23, outputs)) after each of `chunks` pieces.

    points: (n, 2). labels: int (n,). The loss is that of `fit`, with the same penalty on the hidden
    weights. It has many minima, so another seed may end elsewhere. L-BFGS from a random start.
    """
    flat, target = np.c_[points, np.ones(len(points))], np.eye(outputs)[labels]
    cut, decay = 3 * UNITS, np.full((UNITS + 3, 1), L2)
    decay[-1] = 0

    def loss(weights):
        hidden, w = weights[:cut].reshape(3, UNITS), weights[cut:].reshape(-1, outputs)
        x = features(points, hidden)
        p = _softmax((x @ w).T).T
        error = (p - target) / len(flat)
        back = (error @ w[:UNITS].T) * (1 - x[:, :UNITS] ** 2)
        squared = (decay * w**2).sum() + L2 * (hidden[:2] ** 2).sum()
        value = squared / 2 - np.log((p * target).sum(axis=1) + 1e-300).mean()
        slope = flat.T @ back + L2 * np.r_[hidden[:2], np.zeros((1, UNITS))]
        return value, np.r_[slope.ravel(), (x.T @ error + decay * w).ravel()]

    weights = np.random.default_rng(seed).normal(0, 0.5, cut + (UNITS + 3) * outputs)
    for chunk in range(chunks):
        weights = minimize(loss, weights, jac=True, method="L-BFGS-B", options=dict(maxiter=25)).x
        hidden, w = weights[:cut].reshape(3, UNITS), weights[cut:].reshape(-1, outputs)
        yield (chunk + 1) / chunks, hidden, w


def decide(x, w):
    """The output with the largest logit: int (n,). x: features (n, d). w: weights (d, outputs)."""
    return (x @ w).argmax(axis=1)


def twist(before, after):
    """How far a mark moved the decisions on n points: two shares in [0, 1].

    before: logits (n, classes) without the mark. after: logits with it, (n, classes), or
    (n, classes + 1) with a new label last. Returns the share of points whose decision among the
    original classes differs, with the new label left out, and the share whose decision differs,
    where an answer Δ counts as a change. Without a new label they are equal.
    """
    was, classes = before.argmax(axis=1), before.shape[1]
    among = np.mean(after[:, :classes].argmax(axis=1) != was)
    return float(among), float(np.mean(after.argmax(axis=1) != was))


def _margins(w, kind, steps):
    """The axis of a square grid over the box, and for each output a grid (steps, steps) of how far
    its logit lies above the largest other.
    """
    axis = np.linspace(-BOX, BOX, steps)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    z = w.T @ features(points, kind).T
    margins = [z[k] - np.delete(z, k, axis=0).max(axis=0) for k in range(len(z))]
    return axis, [margin.reshape(steps, steps) for margin in margins]


def boundary(w, classes, kind="flat", steps=41):
    """The lines between the original classes inside the box: a list of arrays (m, 2).

    They are contours at 0 of (logit of a class − largest other), on a grid of `steps` points a
    side. Every line comes twice, once from each side.
    """
    axis, margins = _margins(w[:, :classes], kind, steps)
    lines = []
    for margin in margins:
        lines += contourpy.contour_generator(axis, axis, margin).lines(0)
    return lines


def length(lines):
    """Length of a `boundary`, in units of the plane."""
    return sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines) / 2


def regions(w, kind="flat", steps=41):
    """Where each output wins inside the box: for each output a list of outlines (m, 2), of areas
    and of the holes in them. The list is empty if it wins nowhere.
    """
    (axis, margins), outlines = _margins(w, kind, steps), []
    for margin in margins:
        contours = contourpy.contour_generator(axis, axis, margin, fill_type="OuterOffset")
        outlines.append([])
        for points, ends in zip(*contours.filled(0, np.inf), strict=True):
            outlines[-1] += np.split(points, ends[1:-1])
    return outlines
