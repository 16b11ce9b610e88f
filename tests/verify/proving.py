"""Bounds on a polar and their proofs, by numpy: each takes a form, and gives the entry of a proof and its arrays."""

from __future__ import annotations

import itertools

import numpy as np

ROOM = 1 + 1e-9


def entry(kind, upper, steps=()):
    return {"steps": list(steps), "kind": kind, "upper": float(max(upper, 2.0**-200))}


def _near(form):
    return form.rows.near, form.scores.near


def _steep(form):
    return max(abs(form.activation.above), abs(form.activation.below))


def zero(form):
    return {"steps": [], "kind": "zero" if not form.scores.near.any() else "norm-products", "upper": 0.0}, {}


def spectral(form):
    rows, scores = _near(form)
    return entry("spectral", np.linalg.norm(rows.T @ scores, 2) * ROOM), {}


def randomized(form):
    rows, scores = _near(form)
    edge = np.linalg.norm(rows.T @ scores, 2) * ROOM
    return entry("randomized", edge * (1 + 1e-6)), {"edge": np.array([edge])}


def norm_products(form):
    rows, scores = _near(form)
    lengths = np.linalg.norm(rows, axis=1)
    lengths = lengths + lengths.max() if form.free else lengths
    return entry("norm-products", _steep(form) * np.linalg.norm(scores, axis=1) @ lengths * ROOM), {}


def sorting(form):
    """Every breakpoint, by brute force."""
    (rows, scores), sigma = _near(form), form.activation
    x, values = rows[:, 0], [0.0]
    for sign, at in itertools.product((1, -1), x):
        t = sign * (x - at)
        values.append(np.linalg.norm(scores.T @ (sigma.above * np.maximum(t, 0) + sigma.below * np.minimum(t, 0))))
    return entry("sorting", max(values) * ROOM), {}


def quadratic_form(form):
    rows, scores = _near(form)
    forms = [rows.T @ (scores[:, j : j + 1] * rows) for j in range(scores.shape[1])]
    if len(forms) == 1:
        return entry("quadratic-form", np.abs(np.linalg.eigvalsh(forms[0])).max() * ROOM), {}
    grams = sum(m @ m for m in forms), np.array([[np.sum(m * k) for k in forms] for m in forms])
    return entry("quadratic-form", min(np.linalg.eigvalsh(gram)[-1] for gram in grams) ** 0.5 * ROOM), {}


def cone_tree(form, depth=4):
    """F = I, G = H; every root is split `depth` times along its edges in turn, and every leaf takes all tangents."""
    rows = form.rows.near
    free = {"center": rows.mean(0), "column": np.array([np.abs(rows).max()])} if form.free else {}
    rows = rows - free["center"] if form.free else rows
    k, outputs = rows.shape[1] + form.free, form.scores.shape[1]
    edges = k * (k - 1) // 2

    def tree(level):
        if level == depth or not edges:
            return [0]
        return [level % edges + 1, *tree(level + 1), *tree(level + 1)]

    splits = np.array(tree(0) * ((2 if outputs == 1 else 1) << k), np.uint8)
    tangents = np.ones((int((splits == 0).sum()), k), np.uint8)
    arrays = {"frame": np.eye(rows.shape[1]), "rows": rows, "splits": splits, "tangents": tangents} | free
    return entry("cone-tree", 1.0, ["project"]), arrays


def majorant(form):
    return _scalar(form) if form.scores.shape[1] == 1 else _vector(form)


def _region(form):
    """X̃, R, ρ and the arrays of a free column."""
    rows = form.rows.near
    if not form.free:
        return rows, np.linalg.norm(rows, axis=1), 1.0, {}
    center = rows.mean(0)
    norms = np.linalg.norm(rows - center, axis=1)
    column = norms.max()
    inputs = np.concatenate([rows - center, np.full((len(rows), 1), column)], 1)
    return inputs, norms + column, 2.0, {"center": center, "column": np.array([column])}


def _multipliers(form, q, reach, index):
    generator = np.random.default_rng(index)
    bent = (form.activation.above - form.activation.below) * q
    slopes = 0.5 * generator.uniform(-1, 1, len(q)) * np.maximum(-bent, 0)
    convex = np.maximum(bent + np.abs(slopes), 0)
    curvatures = np.where(convex > 0, convex / (4 * reach) * (0.5 + generator.random(len(q))), 0.0)
    return bent, slopes, convex, curvatures


def _pieces(form, inputs, q, multipliers):
    bent, slopes, convex, curvatures = multipliers
    linear = inputs.T @ ((bent - slopes) / 2 + form.activation.below * q)
    live = convex > 0
    return linear, inputs.T @ (curvatures[:, None] * inputs), float((convex[live] ** 2 / (16 * curvatures[live])).sum())


def products(form):
    """C = −δ I and nothing else, δ the best; [[|a| I, aᵀ], [a, |a|]] ⪰ 0 for a of K between u and v."""
    inputs, _, radius, free = _region(form)
    (n, outputs), sigma = form.scores.shape, form.activation
    k = 2
    gv = np.linalg.norm((sigma.above - sigma.below) * form.scores.near / 2, 2)
    uv = np.linalg.norm(inputs.T @ ((sigma.above + sigma.below) * form.scores.near), 2) / 4
    size = np.linalg.norm(inputs, 2)
    delta = max(gv / (size * np.sqrt(radius)), 1e-9)
    levels = np.array([gv**2 / (2 * delta) + uv, delta * size**2 / 2 + uv])
    levels += (ROOM - 1) * levels.sum() + 1e-12
    zeros = np.zeros((k, n, n))
    arrays = {"both": zeros, "cross": np.tile(-delta * np.eye(n), (k, 1, 1)), "none": zeros}
    arrays["heights"] = np.zeros((2 * k, n, 1))
    if outputs == 1:
        arrays["tilts"] = np.zeros((2 * k, n, form.rows.shape[1]))
    arrays["levels"] = np.tile(levels, (k, 1))
    free = free | ({"column": np.repeat(free["column"], k)} if free else {})
    return entry("doubly-nonnegative", (levels[0] + radius * levels[1]) * ROOM), arrays | free


def signs(form):
    """The first row is decided where its r > 0; s = 1/2 everywhere else, and α = 0."""
    inputs, reach, radius, free = _region(form)
    sigma, upper, splits, given = form.activation, 0.0, [], []
    for sign in (-1.0, 1.0):
        q = sign * form.scores.near[:, 0]
        bent, decided = (sigma.above - sigma.below) * q, (sigma.above - sigma.below) * q[0] > 0
        splits += [1, 0, 0] if decided else [0]
        for first in (1.0, 0.0) if decided else (0.5,):
            shares = np.full(len(q), 0.5)
            shares[0] = first
            spread = np.maximum(bent, 0) * reach / 2
            w = inputs.T @ (bent * shares + sigma.below * q)
            upper = max(upper, np.sqrt(radius) * np.linalg.norm(w) + spread[int(decided) :].sum())
            given.append(np.where(np.arange(len(q)) < decided, 0.0, 0.5))
    arrays = {"splits": np.array(splits, np.uint8), "multipliers": np.array(given)}
    return entry("sign-tree", upper * ROOM), arrays | free


def _scalar(form):
    inputs, reach, radius, free = _region(form)
    found, upper = {"curvatures": [], "slopes": [], "levels": []}, 0.0
    for index, sign in enumerate((-1.0, 1.0)):
        q = sign * form.scores.near[:, 0]
        multipliers = _multipliers(form, q, reach, index)
        linear, quadratic, constant = _pieces(form, inputs, q, multipliers)
        values, vectors = np.linalg.eigh(quadratic)
        squares = (vectors.T @ linear) ** 2
        level = max(values[-1], 0.0) + np.sqrt(squares.sum()) / 2 + 1e-9
        upper = max(upper, constant + radius * level + (squares / (4 * (level - values))).sum() + 1e-9)
        found["curvatures"].append(multipliers[3])
        found["slopes"].append(multipliers[1])
        found["levels"].append(level)
    arrays = {name: np.array(values) for name, values in found.items()}
    untilted = {"tilts": np.zeros((2, len(inputs), 0)), "axes": np.zeros((2, 0, form.rows.shape[1]))}
    levels = np.repeat(arrays.pop("levels")[:, None], 1 + form.free, 1)
    arrays |= untilted | {"levels": levels}
    free = free | ({"column": np.repeat(free["column"], 2)} if free else {})
    return entry("scalar-majorant", upper * ROOM), arrays | free


def _vector(form):
    inputs, reach, radius, free = _region(form)
    scores = form.scores.near
    curvatures, slopes = np.zeros((2, *scores.shape)), np.zeros((2, *scores.shape))
    envelopes = []
    for j in range(scores.shape[1]):
        needed = []
        for index, sign in enumerate((-1.0, 1.0)):
            q = sign * scores[:, j]
            multipliers = _multipliers(form, q, reach, 2 * j + index)
            linear, quadratic, constant = _pieces(form, inputs, q, multipliers)
            curvatures[index, :, j], slopes[index, :, j] = multipliers[3], multipliers[1]
            needed.append(2 * np.outer(linear, linear) + 8 * constant * quadratic)
        # N = A + (B − A)₊ ⪰ A and B.
        values, vectors = np.linalg.eigh(needed[1] - needed[0])
        total = needed[0] + (vectors * np.maximum(values, 0)) @ vectors.T
        envelopes.append(total + 1e-9 * (1 + np.linalg.norm(total)) * np.eye(len(total)))
    upper = np.sqrt(radius * np.linalg.eigvalsh(sum(envelopes))[-1]) * ROOM
    arrays = {"curvatures": curvatures, "slopes": slopes, "mixings": np.ones((2, scores.shape[1]))}
    return entry("vector-majorant", upper), arrays | {"envelopes": np.array(envelopes)} | free


PROVERS = {
    "zero": zero,
    "spectral": spectral,
    "randomized": randomized,
    "norm-products": norm_products,
    "sorting": sorting,
    "quadratic-form": quadratic_form,
    "cone-tree": cone_tree,
    "majorant": majorant,
    "products": products,
    "signs": signs,
}
