"""Rules 34 to 37: quadratic majorants of a kink."""

from fractions import Fraction

import numpy as np

from ..exact import Matrix, above, identity, is_semidefinite, norms_above, product, square_norms, total, zeros
from ..rejection import require
from .task import Task

Region = tuple[Matrix, Matrix, Fraction]


def regions(task: Task, count: int) -> list[Region]:
    """Rule 34: X̃, R and ρ, for each of so many κ where there is a free column."""
    moved = task.moved()
    sizes, square = np.array(norms_above(moved), object), max(square_norms(moved))
    if not task.branch.is_free:
        return [(moved, sizes, Fraction(1))] * count
    columns = task.array("column", count)
    require(min(columns) > 0, "majorant-column")
    wide = [np.hstack([moved, np.full((len(moved), 1), column, object)]) for column in columns]
    return [
        (rows, sizes + max(sizes), 1 + above(square / column**2)) for rows, column in zip(wide, columns, strict=True)
    ]


def parts(scores: Matrix, slope: Fraction, rows: Matrix, *multipliers: Matrix) -> tuple[Matrix, Matrix, Fraction]:
    bent, (curvatures, slopes, tilts), constants = (1 - slope) * scores, map(np.copy, multipliers), []
    for row, (length, size) in enumerate(zip(norms_above(tilts), norms_above(rows), strict=True)):
        room = bent[row] + max(-bent[row], abs(slopes[row]) + length)
        if room == 0 or not rows[row].any():
            curvatures[row] = Fraction(0)
            continue
        curvatures[row] = curvatures[row] or above(room / (4 * size))
        constants.append(above(room**2 / (16 * curvatures[row])))
    linear = product(rows.T, ((bent - slopes) / 2 + slope * scores)[:, None])
    tilted = product(rows.T, tilts) / 4
    return linear, product((rows * curvatures[:, None]).T, rows) - tilted - tilted.T, total(constants)


def symmetric(lower: Matrix) -> Matrix:
    return np.where(np.tri(lower.shape[1], dtype=bool), lower, lower.transpose(0, 2, 1))


def require_nonnegative(values: Matrix, rule: str) -> None:
    require(min(values.ravel(), default=0) >= 0, rule)


def hub_arrays(task: Task, count: int, axes: int, penalized: int, width: int) -> list[list[Matrix]]:
    """H, links, V as coefficients, N and ω of rule 36, for both signs; none without hubs."""
    if not task.is_next("hubs"):
        return []
    hubs = task.array("hubs", 2, None, width)
    size = hubs.shape[1]
    links, lifts = task.array("links", 8, count, size), task.array("lifts", 2, count, axes)
    products, turns = task.array("hub-products", 2, 2 * size, 2 * size), task.array("hub-tilts", 2, 2 * size, penalized)
    return [[hubs[sign], links[4 * sign :][:4], lifts[sign], symmetric(products)[sign], turns[sign]] for sign in (0, 1)]


def hub_form(arrays: list[Matrix], rows: Matrix, scores: Matrix, slope: Fraction, own: tuple[Matrix, ...]) -> Matrix:
    """F of rule 36 over (1, u, s)."""
    (count, width), (curvatures, slopes, tilts, axes) = rows.shape, own
    (hubs, links, coefficients, products, given), size = arrays, len(arrays[0])
    lifts, turns = zeros(count, width), zeros(2 * size, width)
    lifts[:, : axes.shape[1]], turns[:, : axes.shape[1]] = product(coefficients, axes), given
    pair = np.roll(np.eye(2 * size, dtype=bool), size, 1)
    require_nonnegative(links, "hub-links")
    require_nonnegative(products[~pair], "hub-products")
    parts = np.hstack([np.zeros((2 * size, 1), int), np.vstack([hubs, -hubs]), np.vstack([identity(size)] * 2)])
    after, before = np.hstack([links[0], links[1]]), np.hstack([links[2], links[3]])
    bent, form = (1 - slope) * scores, zeros(1 + width + size, 1 + width + size)
    needed = np.maximum(norms_above(lifts - tilts) + slopes, norms_above(lifts + tilts) - slopes)
    sides = product(after + before, parts)
    sides[:, 0] += bent + np.where((after + before).any(1), needed, np.maximum(needed, -bent))
    sides[:, 1 : 1 + width] += lifts
    wide, one = (
        np.hstack([np.zeros((count, 1), int), rows, np.zeros((count, size), int)]),
        identity(1 + width + size)[0],
    )
    once = ((bent - slopes) / 2 + slope * scores)[:, None] * one - np.pad(tilts / 2, ((0, 0), (1, size)))
    pulls, lengths = once + product(after - before, parts) / 2, np.array(norms_above(turns), object)[:, None]
    live = rows.any(1)
    curved = live & sides.any(1)
    touching = abs(sides[:, 0]) / (4 * np.array(norms_above(rows), object) + (1 - live)) + Fraction(1, 2**200)
    used = np.where(curved, np.where(curvatures > 0, curvatures, touching), 0)
    weights = np.where(curved, 1 / (16 * np.where(curved, used, 1)), 0)
    twice = product(wide.T, pulls) + product(parts.T, lengths * one + np.pad(turns, ((0, 0), (1, size))))
    form = (
        product((wide * used[:, None]).T, wide) + product((sides * weights[:, None]).T, sides) + (twice + twice.T) / 2
    )
    return form + product(product(parts.T, products), parts)


def scalar_majorant(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    require(outputs == 1, "majorant-outputs")
    curvatures, slopes = (task.array(name, 2, count) for name in ("curvatures", "slopes"))
    tilts, width = task.array("tilts", 2, count, None), task.branch.columns.shape[1]
    axes, levels = task.array("axes", 2, tilts.shape[2], width), task.array("levels", 2, 1 + task.branch.is_free)
    require_nonnegative(curvatures, "majorant-curvatures")
    require_nonnegative(levels[:, 1:], "majorant-levels")
    found = regions(task, 2)
    hubs = hub_arrays(task, count, tilts.shape[2], width, found[0][0].shape[1])
    for sign, (level, (rows, _, radius)) in enumerate(zip(levels, found, strict=True)):
        scores, own = (2 * sign - 1) * task.scores[:, 0], zeros(*rows.shape)
        own[:, :width] = product(tilts[sign], axes[sign])
        multipliers = curvatures[sign], slopes[sign], own
        if hubs:
            form = hub_form(hubs[sign], rows, scores, slope, (*multipliers, axes[sign]))
        else:
            linear, quadratic, constant = parts(scores, slope, rows, *multipliers)
            form = np.block([[np.full((1, 1), constant, object), linear.T / 2], [linear / 2, quadratic]])
        corner = task.upper - level[0] - (radius - 1) * level[-1]
        diagonal = [corner, *[level[0]] * width, *level[1:]]
        whole = np.diag(diagonal + [Fraction(0)] * (len(form) - len(diagonal))) - form
        require(is_semidefinite(whole), "polar")


def vector_majorant(task: Task) -> None:
    (count, outputs), slope = task.scores.shape, task.branch.geometry.slope
    curvatures, slopes = (task.array(name, 2, count, outputs) for name in ("curvatures", "slopes"))
    mixings, size = task.array("mixings", 2, outputs), task.branch.columns.shape[1] + task.branch.is_free
    envelopes, ((rows, _, radius),) = symmetric(task.array("envelopes", outputs, size, size)), regions(task, 1)
    require_nonnegative(curvatures, "majorant-curvatures")
    require(min(mixings.ravel()) > 0, "majorant-mixings")
    for output, sign in np.ndindex(outputs, 2):
        scores, place = (2 * sign - 1) * task.scores[:, output], (sign, slice(None), output)
        linear, form, constant = parts(scores, slope, rows, curvatures[place], slopes[place], zeros(count, 1))
        mixing = mixings[sign, output]
        rest = above(1 + 1 / mixing) * product(linear, linear.T) + 4 * (1 + mixing) * constant * form
        require(is_semidefinite(envelopes[output] - rest), "polar")
    require(is_semidefinite(task.upper**2 * identity(size) - radius * envelopes.sum(0)), "polar")
