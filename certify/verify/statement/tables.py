"""Which arrays a certificate holds, in which order and shape; all of it follows from the statement, X, Y and widths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from certify.verify.reals import Arrays
from certify.verify.rejection import refuse
from certify.verify.statement.activations import IDENTITY
from certify.verify.statement.ends import SIGNS
from certify.verify.statement.entries import EntryTerm
from certify.verify.statement.entry_penalties import EntryFactorNorms
from certify.verify.statement.neuron import Neuron
from certify.verify.statement.penalties import FactorNorms
from certify.verify.statement.problem import Branch, Problem

CONE_DIMENSIONS = range(1, 15)
# Rows whose signs a tree may decide.
MOST_SIGNS = 254
# Rows whose products a proof may hold.
MOST_ROWS = 2**13
# Rows of the matrix of such a proof, and terms whose products with each other are taken.
MOST_SIDE = 2**14
# Rows of the matrix of one about an unfolding.
MOST_UNFOLDED = 2**12
# Entries of the largest array derived from the ones in the file.
LARGEST_DERIVED = 2**28
BYTES = ("mask", "splits", "tangents", "sides")

Shapes = dict[str, tuple[int, ...]]


def require_shapes(problem: Problem, kinds: Sequence[str], points: Sequence[str], arrays: Arrays) -> None:
    """Every array that the statement, the kinds of proofs and the named dual points need is there; no other.

    They are in this order and shape; there are proofs of every branch for each dual point in turn.

    Raises:
        Rejection: refused; not so, or what is computed from them would not fit in memory.
    """
    n, c, d = _extent(arrays, "X", 0), _extent(arrays, "Y", 1), math.prod(problem.inputs)
    if n < 1 or c < 1:
        refuse("size-limit", f"{n} samples, {c} outputs")
    shapes: Shapes = {"X": (n, d), "Y": (n, c)}
    shapes |= {"sample_weights": (n,)} if problem.loss.weighted else {}
    shapes |= {"mask": (n, c)} if problem.loss.masked else {}
    shapes |= {"offset": (n, c)} if problem.offset == "array" else {}
    if problem.offset == "inputs" and c != d:
        refuse("shape", f"inputs are added to the outputs, but {d} inputs and {c} outputs are there")
    for index, branch in enumerate(problem.branches):
        shapes |= _parameters(branch, index, c, arrays)
    extents = {"ones": (1,), "inputs": (d,), "axis": problem.entries.shape if problem.entries else ()}
    shapes |= {f"C{index}": (extents[b.features][b.axis], c) for index, b in enumerate(problem.outside)}
    shapes |= dict.fromkeys(points, (n, c))
    if problem.loss.unobserved is not None and problem.entries:
        shapes |= _unobserved(problem.entries, shapes["F0.0"][0], arrays)
    for index, (branch, kind) in enumerate(zip(problem.branches * len(points), kinds, strict=True)):
        weights = f"F{index % len(problem.branches)}"
        if isinstance(branch.neuron, EntryTerm):
            _require_room_of_entries(branch.neuron, kind, n, c, shapes[f"{weights}.0"][0])
            shapes |= _entry_proof(branch, kind, index, arrays)
            continue
        _require_room(branch, n, d, shapes[f"{weights}.{_neuron(branch).weights - 1}"])
        if _neuron(branch).hops:
            _require_deep_room(branch, weights, n, c, shapes)
            shapes |= _deep_proof(branch, kind, index, (n, c), arrays)
            continue
        shapes |= _proof(branch, kind, index, (n, c), arrays)
    if list(arrays) != list(shapes):
        refuse("shape", f"needs exactly the arrays {', '.join(shapes)}, in this order; found {', '.join(arrays)}")
    for name, shape in shapes.items():
        item = "|u1" if name.split(".")[-1] in BYTES else "<f8"
        if arrays[name].shape != shape or arrays[name].dtype != np.dtype(item):
            refuse("shape", f"array '{name}' is {arrays[name].dtype.str} {arrays[name].shape}, needs {item} {shape}")


def _extent(arrays: Arrays, name: str, axis: int) -> int:
    if name not in arrays or arrays[name].ndim != 2:
        refuse("shape", f"array '{name}' with 2 axes is missing")
    return int(arrays[name].shape[axis])


def _neuron(branch: Branch) -> Neuron:
    if isinstance(branch.neuron, EntryTerm):
        refuse("proof-kind", "proofs of rows say nothing of entries")
    return branch.neuron


def _scores(branch: Branch, c: int) -> int:
    """m, the number of entries of the second weight."""
    windows, _, entries = _neuron(branch).readout.counts.shape
    if c % windows:
        refuse("shape", f"{c} outputs are not a multiple of the {windows} positions that a branch ends with")
    return int(c // windows * entries)


def _parameters(branch: Branch, index: int, c: int, arrays: Arrays) -> Shapes:
    width = _extent(arrays, f"F{index}.0", 0)
    if isinstance(branch.neuron, EntryTerm):
        return {f"F{index}.{axis}": (width, extent) for axis, extent in enumerate(branch.neuron.shape)}
    if _neuron(branch).hops:
        return _deep_parameters(branch, index, width, c, arrays)
    neuron, scores = _neuron(branch), _scores(branch, c)
    bias: Shapes = {f"F{index}.bias": (width,)} if branch.bias != "absent" else {}
    if neuron.tied and c != neuron.fan_in:
        refuse("shape", f"tied weights of {neuron.fan_in} inputs make as many outputs, found {c}")
    second: Shapes = {} if neuron.tied else {f"F{index}.1": (width, scores)}
    return {f"F{index}.0": (width, neuron.fan_in)} | bias | second


def _deep_parameters(branch: Branch, index: int, width: int, c: int, arrays: Arrays) -> Shapes:
    """Weights of three layers or more; each tells the number of channels that it makes."""
    neuron, found, before = _neuron(branch), Shapes(), 1
    reaches = (neuron.fan_in, *(hop.places.shape[1] for hop in neuron.hops))
    for place, reach in enumerate(reaches):
        name = f"F{index}.{place}"
        size = _extent(arrays, name, 1)
        if size < 1 or size % (before * reach):
            refuse("shape", f"array '{name}' holds {size} weights a subnetwork, not a multiple of {before * reach}")
        found[name], before = (width, size), size // (before * reach)
        if place == 0 and branch.bias != "absent":
            found[f"F{index}.bias"] = (width, before)
    return found | {f"F{index}.{len(reaches)}": (width, before * _scores(branch, c))}


def _columns(branch: Branch) -> int:
    """Entries of a row of H: of the first weight, and a bias that is penalized."""
    return _neuron(branch).fan_in + (branch.bias == "penalized")


def _require_room(branch: Branch, n: int, d: int, second: tuple[int, ...]) -> None:
    (width, m), columns, neuron = second, _columns(branch) + branch.free_column, _neuron(branch)
    windows, positions, entries = neuron.readout.counts.shape
    rows = n * max(neuron.positions, positions)
    moments = m * columns if neuron.activation == IDENTITY else m * columns**2
    outputs = m // entries * windows
    moments = max(moments, columns**2) if neuron.tied else moments
    largest = max(rows * max(columns, width, m, outputs), moments, width * positions * max(m, outputs))
    if largest > LARGEST_DERIVED:
        refuse("size-limit", f"n = {n}, d = {d}, a branch of {width} subnetworks with {columns} and {m} entries")


def _require_deep_room(branch: Branch, weights: str, n: int, c: int, shapes: Shapes) -> None:
    neuron, m = _neuron(branch), _scores(branch, c)
    width, size = shapes[f"{weights}.0"]
    channels, largest = size // neuron.fan_in, [n * neuron.positions * width * (size // neuron.fan_in)]
    for place, hop in enumerate(neuron.hops, 1):
        q, k = hop.places.shape
        size = shapes[f"{weights}.{place}"][1]
        largest += [n * q * k * channels, n * q * width * (size // (channels * k))]
        channels = size // (channels * k)
    for hop in reversed(neuron.hops):
        m *= hop.places.shape[1]
        averaged = 0 if hop.averaged is None else len(hop.averaged.counts)
        q, p = len(hop.places), averaged or hop.positions
        largest += [n * max(hop.positions, q, p) * m, q * (p + 1)]
    if max(largest) > LARGEST_DERIVED:
        refuse("size-limit", f"n = {n}, a branch of {width} subnetworks of {neuron.weights} weights")


def _require_room_of_entries(term: EntryTerm, kind: str, n: int, c: int, width: int) -> None:
    """One output, and a Gram matrix that fits memory where the proof needs it."""
    if c != 1:
        refuse("shape", f"entries have one output, found {c}")
    side = sorted(term.shape)[-2] if kind == "spectral" or (kind == "vertices" and len(term.shape) > 2) else 1
    if max(n, side**2, max(width, 1) * max(term.shape)) > LARGEST_DERIVED:
        refuse("size-limit", f"{n} entries of {term.shape}, {width} terms")


def _unobserved(term: EntryTerm, width: int, arrays: Arrays) -> Shapes:
    """Factors of the dual point at entries that are no samples."""
    rank = _extent(arrays, "A.0", 0)
    if max(rank, width) > MOST_SIDE or max(rank, 1) * max(term.shape) > LARGEST_DERIVED:
        refuse("size-limit", f"{width} terms and {rank} of a dual point for entries of {term.shape}")
    return {f"A.{axis}": (rank, extent) for axis, extent in enumerate(term.shape[:2])}


def _entry_proof(branch: Branch, kind: str, index: int, arrays: Arrays) -> Shapes:
    """Arrays of one proof: the axes that make the rows of an unfolding, and multipliers of pairs along its axes."""
    term = branch.neuron
    if kind == "semidefinite" and isinstance(term, EntryTerm) and len(term.shape) == 2:
        cones = isinstance(branch.penalty, EntryFactorNorms) and all(side.nonnegative for side in branch.penalty.sides)
        return _named(index, _forms(term.shape[0], term.shape[1], cones=cones))
    if kind not in ("unfolding", "symmetric-unfolding") or not isinstance(term, EntryTerm):
        return {f"P{index}.edge": (1,)} if kind == "randomized" else {}
    order, sides = len(term.shape), arrays.get(f"P{index}.sides")
    if sides is None or sides.shape != (order,) or set(sides.tolist()) != {0, 1}:
        refuse("shape", f"array 'P{index}.sides' needs a 1 for axes of rows and a 0 for those of columns")
    ends = [[n for n, row in zip(term.shape, sides.tolist(), strict=True) if row == side] for side in (1, 0)]
    high, wide = map(math.prod, ends)
    found: Shapes = {f"P{index}.sides": (order,)}
    if kind == "unfolding":
        if min(high, wide) ** 2 > LARGEST_DERIVED:
            refuse("size-limit", f"an unfolding of {high} × {wide}")
        return found
    if high + wide > MOST_UNFOLDED:
        refuse("size-limit", f"an unfolding of {high} × {wide}")
    if len(ends[0]) != 2 or len(ends[1]) > 2:
        refuse("shape", f"array 'P{index}.sides' needs two axes of rows, and one or two of columns")
    pairs = zip(("row_multipliers", "column_multipliers"), ends, strict=True)
    multiplied = {
        name: (end[0] * (end[0] - 1) // 2, end[1] * (end[1] - 1) // 2) for name, end in pairs if len(end) == 2
    }
    return found | {f"P{index}.{name}": shape for name, shape in multiplied.items()}


def _deep_proof(branch: Branch, kind: str, index: int, shape: tuple[int, int], arrays: Arrays) -> Shapes:
    """Arrays of one proof after the step `peel`: multipliers of every peeled layer, and the base proof of each end."""
    if kind == "zero":
        return {}
    neuron, top = _neuron(branch), _scores(branch, shape[1])
    found = Shapes()
    for end in neuron.ends(top):
        m = top
        for place, hop in enumerate(reversed(neuron.hops)):
            n, signs = shape[0] * len(hop.places), 1 if end in SIGNS and place == 0 else 2
            sizes = {"curvatures": (signs, n, m), "slopes": (n, m)}
            if not hop.kink.is_linear:
                found |= {f"P{index}.{end}.{name}-{place}": extents for name, extents in sizes.items()}
            m *= hop.places.shape[1]
        found |= _base_proof(branch, kind, f"P{index}.{end}", (shape[0] * neuron.positions, m), arrays)
    return found


def _proof(branch: Branch, kind: str, index: int, shape: tuple[int, int], arrays: Arrays) -> Shapes:
    """Arrays of one proof."""
    sizes = shape[0] * _neuron(branch).rows_per_sample, _scores(branch, shape[1])
    return _base_proof(branch, kind, f"P{index}", sizes, arrays)


def _base_proof(branch: Branch, kind: str, prefix: str, sizes: tuple[int, int], arrays: Arrays) -> Shapes:
    """Arrays of one proof about (N, m) scores."""
    n, m = sizes
    columns, free = _columns(branch), branch.free_column
    found: Shapes = {}
    match kind:
        case "cone-tree":
            frame, tangents, splits = (arrays.get(f"{prefix}.{name}") for name in ("frame", "tangents", "splits"))
            rank = frame.shape[-1] if frame is not None and frame.ndim == 2 else 0
            leaves = len(tangents) if tangents is not None and tangents.ndim == 2 else 0
            if rank + free not in CONE_DIMENSIONS:
                refuse("size-limit", f"a cone tree in {rank + free} dimensions")
            nodes = 0 if splits is None else splits.size
            found = {"frame": (columns, rank), "rows": (n, rank), "splits": (nodes,), "tangents": (leaves, rank + free)}
            found |= {"center": (columns,), "column": (1,)} if free else {}
        case "sign-tree":
            splits, multipliers = (arrays.get(f"{prefix}.{name}") for name in ("splits", "multipliers"))
            ends = 0 if multipliers is None or multipliers.ndim != 2 else len(multipliers)
            if n > MOST_SIGNS or ends * n > LARGEST_DERIVED:
                refuse("size-limit", f"signs of {n} rows, {ends} leaves")
            found = {"splits": (0 if splits is None else splits.size,), "multipliers": (ends, n)}
            found |= {"center": (columns,), "column": (1,)} if free else {}
        case "randomized":
            found = {"edge": (1,)}
        case "semidefinite":
            penalty = branch.penalty
            cones = isinstance(penalty, FactorNorms) and penalty.left.nonnegative and penalty.right.nonnegative
            found = _forms(columns, m, cones=cones)
        case "scalar-majorant":
            tilts = arrays.get(f"{prefix}.tilts")
            rank = tilts.shape[-1] if tilts is not None and tilts.ndim == 3 else 0
            found = {"curvatures": (2, n), "slopes": (2, n), "tilts": (2, n, rank), "axes": (2, rank, columns)}
            found |= {"levels": (2, 1 + free)}
            found |= {"center": (columns,), "column": (2,)} if free else {}
            hubs = arrays.get(f"{prefix}.hubs")
            if hubs is not None:
                count = hubs.shape[1] if hubs.ndim == 3 else 0
                found |= {"hubs": (2, count, columns + free), "links": (8, n, count), "lifts": (2, n, rank)}
                found |= {"hub-products": (2, 2 * count, 2 * count), "hub-tilts": (2, 2 * count, columns)}
        case "vector-majorant":
            inner = columns + free
            found = {"curvatures": (2, n, m), "slopes": (2, n, m), "mixings": (2, m), "envelopes": (m, inner, inner)}
            found |= {"center": (columns,), "column": (1,)} if free else {}
        case "doubly-nonnegative":
            side = m + columns + free + n
            if n > MOST_ROWS or side > MOST_SIDE:
                refuse("size-limit", f"products of {n} rows, in a matrix of side {side}")
            both = arrays.get(f"{prefix}.both")
            split = len(both).bit_length() - 1 if both is not None and both.ndim else 0
            split = max(min(split, m), int(m == 1))
            signs = 2**split
            found = dict.fromkeys(("both", "cross", "none"), (signs, n, n))
            found |= {"heights": (2 * signs, n, split)} | ({"tilts": (4, n, columns)} if m == 1 else {})
            found |= {"levels": (signs, 2)}
            found |= {"center": (columns,), "column": (signs,)} if free else {}
    return {f"{prefix}.{name}": extents for name, extents in found.items()}


def _forms(columns: int, m: int, *, cones: bool) -> Shapes:
    """Of a semidefinite proof."""
    if columns + m > MOST_SIDE:
        refuse("size-limit", f"a matrix of side {columns + m}")
    return {"left": (columns, columns), "right": (m, m), "levels": (2,)} | ({"cross": (columns, m)} if cones else {})


def _named(index: int, found: Shapes) -> Shapes:
    return {f"P{index}.{name}": extents for name, extents in found.items()}
