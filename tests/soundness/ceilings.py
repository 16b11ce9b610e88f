"""What a certificate states, evaluated without certify: the objective of its network, and upper bounds on its optimum.

A ceiling is the objective of some network, so that no true lower bound exceeds it: the network in the certificate, the
zero network, known networks at many sizes, and for the squared error a fit of many neurons by proximal descent.
"""

from __future__ import annotations

import itertools

import numpy as np

from .deep_ceilings import DeepBranch, is_deep
from .entry_ceilings import EntryBranch, fitted_value, norm_of
from .layers import Layers, number
from .planted_tied import fitted_matrix
from .two_layers import loss_terms

SIZES = 2.0 ** np.arange(-12, 13)
NEURONS, SWEEPS = 12, 20


class Branch:
    """One branch as stated; first weights (r, h), biases (r) and second weights (r, m) are taken as arguments."""

    def __init__(self, entry, shape, kind):
        self.layers, self.bias, penalty = Layers(entry["layers"], shape), entry["bias"], entry["penalty"]
        self.product = penalty["name"] != "weight-decay"
        self.sides = [penalty[side] for side in ("left", "right")] if penalty["name"] == "factor-norms" else None
        strengths = [penalty["strength"]] * 2 if self.product else [*penalty["strengths"], "0x0.0p+0"][:2]
        self.strengths = [kind(number(strength)) for strength in strengths]
        own = self.strengths[0] if self.product or penalty["bias"] is None else kind(number(penalty["bias"]))
        self.decay = own if self.bias == "penalized" else kind(0)

    @property
    def strength(self):
        """λ of the product of norms."""
        return np.sqrt(self.strengths[0] * self.strengths[1])

    @property
    def column(self):
        """What a penalized bias reads where it weighs as much as the inputs."""
        return np.sqrt(self.strengths[0] / self.decay)

    def outputs(self, inputs, weights):
        """Z of this branch."""
        return self.layers.forward(inputs, *weights)

    def penalty(self, weights):
        """The penalty of first weights, biases and second weights."""
        first, bias, second = weights
        if self.sides is not None:
            whole = np.column_stack([first, bias]) if self.bias == "penalized" else first
            pairs = zip(self.sides, (whole, second), strict=True)
            return self.strength * np.prod([norm_of(side, factor) for side, factor in pairs], axis=0).sum()
        squares, outer = (first**2).sum(1), (second**2).sum(1)
        if self.product:
            inner = squares + (bias**2 if self.bias == "penalized" else 0)
            return self.strength * ((inner if self.layers.square else np.sqrt(inner)) * np.sqrt(outer)).sum()
        return (self.strengths[0] * squares + self.decay * bias**2 + self.strengths[1] * outer).sum() / 2

    def unit(self, direction):
        """First weight and bias (1, ·) of a direction in which a bias weighs as much as the inputs."""
        if self.bias == "absent":
            return direction[None], np.zeros(1)
        return direction[None, :-1], direction[-1:] * (self.column if self.bias == "penalized" else 1)

    def balanced(self, unit, second):
        """The cheapest neuron of a unit first weight with bias, and a second weight, that computes the same."""
        size = np.sqrt(np.linalg.norm(second) * np.sqrt(self.strengths[1] / self.strengths[0]))
        size = 1.0 if self.product or size == 0 else size
        return unit[0] * size, unit[1] * size, second / size


class Stated:
    """The problem that a statement and arrays state; parameters are arrays by their names in a certificate."""

    def __init__(self, statement, arrays, kind=np.float64):
        self.kind, self.arrays, loss = kind, arrays, statement["loss"]
        self.loss = loss["name"]
        self.branches = [_branch(entry, statement["inputs"], arrays["X"], kind) for entry in statement["branches"]]
        self.inputs, self.targets = arrays["X"].astype(kind), arrays["Y"].astype(kind)
        self.outside = [(block["features"], kind(number(block["decay"]))) for block in statement["outside"]]
        offset = {"inputs": "X", "array": "offset"}.get(statement["offset"])
        self.offset = np.zeros_like(self.targets) if offset is None else arrays[offset].astype(kind)
        observed = arrays.get("mask", np.ones(self.targets.shape)).astype(kind)
        count = len(observed) if self.loss == "cross-entropy" else observed.sum()
        weights = arrays.get("sample_weights", np.ones(len(observed))).astype(kind)
        scale = kind(number(loss["scale"])) / (count if loss["reduction"] == "mean" else 1)
        self.omega = observed * (weights[:, None] * scale)
        self.unobserved = scale * kind(number(loss.get("unobserved_weight", "0x0.0p+0")))

    def features(self, index):
        """E of one block outside the branches."""
        name = self.outside[index][0]
        if "axis" in name:
            return self.branches[0].features(int(name[-1]))
        return np.ones((len(self.inputs), 1), self.kind) if name == "ones" else self.inputs

    def decays(self, index):
        """Weight decay of every row of C of one block."""
        name, decay = self.outside[index]
        rows = self.features(index).shape[1]
        return decay * (self.branches[0].counts[int(name[-1])] if name.startswith("counted") else np.ones(rows))

    def neurons(self, parameters, index):
        """First weights, biases and second weights of a branch; the factors of a factorization."""
        if isinstance(self.branches[index], EntryBranch):
            axes = range(len(self.branches[index].shape))
            return tuple(parameters[f"F{index}.{axis}"].astype(self.kind) for axis in axes)
        if isinstance(self.branches[index], DeepBranch):
            return self.branches[index].factors(parameters, index, self.kind)
        tied = self.branches[index].layers.tied
        first, second = (parameters[f"F{index}.{role}"].astype(self.kind) for role in ("00" if tied else "01"))
        return first, parameters.get(f"F{index}.bias", np.zeros(len(first))).astype(self.kind), second

    def outputs(self, parameters):
        """Z."""
        z = self.offset
        for index, branch in enumerate(self.branches):
            z = z + branch.outputs(self.inputs, self.neurons(parameters, index))
        for index in range(len(self.outside)):
            z = z + self.features(index) @ parameters[f"C{index}"].astype(self.kind)
        return z

    def objective(self, parameters):
        """Loss and penalty."""
        omega = self.omega[:, :1] if self.loss == "cross-entropy" else self.omega
        with np.errstate(all="ignore"):
            value = (omega * loss_terms(self.loss, self.outputs(parameters), self.targets)).sum()
            if self.unobserved:
                value = value + self.unobserved * self.branches[0].unobserved_squares(self.neurons(parameters, 0))
            for index, branch in enumerate(self.branches):
                value = value + branch.penalty(self.neurons(parameters, index))
            for index in range(len(self.outside)):
                squares = (parameters[f"C{index}"].astype(self.kind) ** 2).sum(1)
                value = value + self.decays(index) @ squares / 2
            return value


def _branch(entry, shape, inputs, kind):
    if entry["layers"][0]["op"] == "entries":
        return EntryBranch(entry, inputs, kind)
    if is_deep(entry["layers"]):
        return DeepBranch(entry, shape, kind)
    return Branch(entry, shape, kind)


def parameters_of(arrays):
    """The parameters of a certificate."""
    return {name: values for name, values in arrays.items() if name[0] in "FC"}


def scaled(parameters, inner, outer):
    """First weights and biases times one constant, second ones times another."""
    return {
        name: values * (1.0 if name[0] == "C" else outer if name.endswith(".1") else inner)
        for name, values in parameters.items()
    }


def ceiling(statement, arrays, known):
    """An upper bound on the optimum of what is stated.

    Args:
        statement: of a certificate.
        arrays: of a certificate.
        known: parameters of a network that was optimal before the certificate was forged.
    """
    stated, own = Stated(statement, arrays), parameters_of(arrays)
    fits = {name for name in own if name in known and known[name].shape == own[name].shape}
    known = known if fits == set(own) else own
    candidates = [own, {name: 0 * values for name, values in own.items()}, scaled(known, 0.0, 0.0)]
    candidates += [scaled(known, size, other) for size in SIZES for other in (1.0, size)]
    best = np.nanmin([stated.objective(candidate) for candidate in candidates])
    if stated.loss == "mse" and not any(isinstance(branch, DeepBranch) for branch in stated.branches):
        with np.errstate(all="ignore"):
            of_entries = any(isinstance(branch, EntryBranch) for branch in stated.branches)
            tied = not of_entries and any(branch.layers.tied for branch in stated.branches)
            fit = fitted_value if of_entries else _fitted_tied if tied else lambda given: _fitted(given, known)
            best = np.fmin(best, fit(stated))
    return float(best)


def _fitted_tied(stated):
    """Of one branch of tied weights and nothing beside it; NaN for anything else."""
    branch = stated.branches[0]
    if len(stated.branches) > 1 or stated.outside or not np.isfinite(stated.inputs).all():
        return np.nan
    biased, (decay, _) = branch.bias == "penalized", branch.strengths
    column = [np.full((len(stated.inputs), 1), branch.column)] if biased else []
    rows = np.hstack([stated.inputs, *column])
    with np.errstate(all="ignore"):
        if not (np.isfinite(rows).all() and np.isfinite(stated.targets).all() and decay > 0):
            return np.nan
        try:
            found = fitted_matrix(rows, stated.targets - stated.offset, stated.omega, decay / 2)
        except np.linalg.LinAlgError:
            return np.nan
    weights = {"F0.0": found[:, :-1], "F0.bias": found[:, -1] * branch.column} if biased else {"F0.0": found}
    return stated.objective(weights)


def _fitted(stated, known):
    """Block proximal descent on many unit neurons: min Σ ω |Z − Y|² + Σ λ |v_k|, then the parts outside exactly."""
    units = [(index, unit) for index in range(len(stated.branches)) for unit in _units(stated, known, index)]
    found = {f"C{place}": np.zeros_like(known[f"C{place}"]) for place in range(len(stated.outside))}
    blocks = [_response(stated, known, index, unit) for index, unit in units]
    weights = [np.zeros(block.shape[-1]) for block in blocks]
    roots = np.sqrt(stated.omega)[..., None]
    steps = [2 * np.linalg.norm((roots * block).reshape(-1, block.shape[-1]), 2) ** 2 for block in blocks]
    residual = stated.targets - stated.offset
    for _ in range(SWEEPS):
        for k, (block, step) in enumerate(zip(blocks, steps, strict=True)):
            if not 0 < step < np.inf:
                continue
            pull = weights[k] + np.einsum("nc,ncm->m", 2 * stated.omega * residual, block) / step
            size = np.linalg.norm(pull)
            threshold = stated.branches[units[k][0]].strength / step
            new = pull * (max(0.0, 1 - threshold / size) if size > 0 else 0.0)
            residual = residual - block @ (new - weights[k])
            weights[k] = new
        for place, (_, decay) in enumerate(stated.outside):
            features, before = stated.features(place), found[f"C{place}"]
            after = _ridge(features, residual + features @ before, stated.omega, decay)
            residual, found[f"C{place}"] = residual - features @ (after - before), after
    for index, branch in enumerate(stated.branches):
        neurons = [
            branch.balanced(unit, v[None]) for (own, unit), v in zip(units, weights, strict=True) if own == index
        ]
        first, bias, second = (np.concatenate(part) for part in zip(*neurons, strict=True))
        found |= {f"F{index}.0": first, f"F{index}.bias": bias, f"F{index}.1": second}
    return stated.objective(found)


def _ridge(features, goal, omega, decay):
    """argmin Σ ω |E C − goal|² + decay/2 |C|², a tiny ridge added."""
    columns = []
    for weights, own in zip(omega.T, goal.T, strict=True):
        gram = 2 * features.T @ (weights[:, None] * features)
        gram = gram + (decay + 1e-14 * np.trace(gram) + 1e-300) * np.eye(len(gram))
        columns.append(np.linalg.lstsq(gram, 2 * features.T @ (weights * own), rcond=None)[0])
    return np.stack(columns, 1)


def _response(stated, known, index, unit):
    """Outputs (n, c, m) of a unit neuron at every unit second weight."""
    size = known[f"F{index}.1"].shape[1]
    layers = stated.branches[index].layers
    return np.stack([layers.forward(stated.inputs, *unit, row[None]) for row in np.eye(size)], -1)


def _units(stated, known, index):
    """Unit first weights with biases: known ones, rows, singular vectors and random ones; free ones bend at samples."""
    branch, rng = stated.branches[index], np.random.default_rng(0)
    first, bias, second = stated.neurons(known, index)
    rows, scores = branch.layers.form(stated.inputs, stated.targets, second.shape[1])
    if branch.bias == "free":
        slopes = np.concatenate([rng.standard_normal((NEURONS, rows.shape[1])), first])
        slopes = slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-300)
        return [(slope[None], np.array([-slope @ row])) for slope, row in itertools.product(slopes, rows)]
    if branch.bias == "penalized":
        first = np.column_stack([first, bias / branch.column])
        rows = np.column_stack([rows, np.full(len(rows), branch.column)])
    principal = np.linalg.svd(rows.T @ scores)[0].T if np.isfinite(rows.T @ scores).all() else rows[:0]
    found = np.concatenate([first, rows, -rows, principal, -principal, rng.standard_normal((NEURONS, rows.shape[1]))])
    sizes = np.linalg.norm(found, axis=1)
    good = (sizes > 0) & np.isfinite(sizes)
    return [branch.unit(row) for row in found[good] / sizes[good, None]]
