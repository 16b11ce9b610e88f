"""scikit-learn's factorizations of a table X ≈ C D, codes times components, and the objective that they minimize.

`NMF`, `MiniBatchNMF` with `l1_ratio=0`: ½|X − C D|² + (a/2)|C|² + (b/2)|D|², C, D ≥ 0, with a = alpha_W · features and
b = alpha_H · samples. Scaling each product so that √a |c_i| = √b |d_i| lowers it to √(ab) Σ |c_i||d_i|.
`DictionaryLearning`: ½|X − C D|² + alpha |C|_1 with |d_i|_2 ≤ 1, alpha Σ |c_i|_1 |d_i|_2 where these norms are 1.
`SparsePCA`: ½|X − C D|² + alpha |D|_1 with |c_i|_2 ≤ 1 of the centered table, alpha Σ |c_i|_2 |d_i|_1. It keeps the
directions d_i alone; with w_i the vector c_i at a d_i of length 1, what is left is a group lasso, convex,

    ½|X − Σ_i w_i d_iᵀ|² + alpha Σ_i |d_i|_1 |w_i|_2,   w_i ← (1 − alpha |d_i|_1/|R_i d_i|)₊ R_i d_i in turn,

R_i what the others leave of X (Yuan and Lin 2006). The factors of the fit are one of its points.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from certify.errors import UnsupportedError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]
_MODULE = "sklearn.decomposition."
# Sweeps over the components end when no number moves by more than this, relative.
_SETTLED, _MOST_SWEEPS = 1e-15, 20_000
_WITHOUT_PENALTY = ("PCA", "TruncatedSVD", "IncrementalPCA", "KernelPCA", "FastICA", "FactorAnalysis")


@final
@dataclass(frozen=True, slots=True)
class FittedFactors:
    """What an estimator fitted, in the words of a problem file.

    Attributes:
        codes: C (n, r).
        components: D (r, d).
        content: loss and penalty.
        notes: what differs from what the estimator holds.
        table: X, centered where the estimator does so.
    """

    codes: Array
    components: Array
    content: Mapping[str, Any]
    notes: tuple[str, ...]
    table: Array

    @property
    def weights(self) -> dict[str, Array]:
        """Two linear layers on unit vectors, one for each sample."""
        return {"codes.weight": self.codes.T, "components_.weight": self.components.T}


def is_decomposition(estimator: object) -> bool:
    """Whether scikit-learn has the estimator among its matrix decompositions."""
    return type(estimator).__module__.startswith(_MODULE)


def fitted_factors(estimator: Any, table: Array) -> FittedFactors:  # noqa: ANN401
    """Factors and objective of a fitted estimator on X (n, d), as it was given to `fit`.

    Raises:
        UsageError: not fitted.
        UnsupportedError: no penalty, or one that is no product of norms.
    """
    name = type(estimator).__name__
    require_reader(name)
    if not hasattr(estimator, "components_"):
        raise UsageError("estimator: the estimator is not fitted; call fit first", code="no-weights")
    return _READERS[name](estimator, np.asarray(table, float))


def require_reader(name: str) -> None:
    """Raise UnsupportedError unless estimators of this class are read."""
    if name in _WITHOUT_PENALTY:
        raise UnsupportedError(
            f"estimator: {name} has no penalty: it is optimal in closed form at its own rank, and over all ranks the "
            "loss goes to 0. Weight decay on both factors makes it a nuclear norm problem: save U and V to .npz, with "
            "layers: [{factorization: {left: U, right: V}}] and penalty: {weight_decay: …}",
            code="unsupported-penalty",
        )
    if name not in _READERS:
        raise UnsupportedError(f"estimator: {name} is no factorization that certify reads", code="unsupported-format")


def _nonnegative(estimator: Any, table: Array) -> FittedFactors:  # noqa: ANN401
    if estimator.beta_loss not in ("frobenius", 2):
        raise UnsupportedError(
            f"estimator: beta_loss is {estimator.beta_loss!r}; certify serves the squared loss, 'frobenius'",
            code="unsupported-format",
        )
    first = float(estimator.alpha_W) * table.shape[1]
    second = float(estimator.alpha_W if estimator.alpha_H == "same" else estimator.alpha_H) * len(table)
    if not (first > 0 and second > 0):
        raise UnsupportedError(
            f"estimator: alpha_W = {estimator.alpha_W}, alpha_H = {estimator.alpha_H}: a factor without penalty can "
            "make the other as small as one likes; fit with alpha_W > 0 and l1_ratio=0",
            code="unsupported-penalty",
        )
    if estimator.l1_ratio != 0:
        raise UnsupportedError(
            f"estimator: l1_ratio is {estimator.l1_ratio}; sums of absolute values of both factors have degree 1, "
            "their product degree 2, and no certificate exists; fit with l1_ratio=0",
            code="degree-mismatch",
        )
    codes, components = np.asarray(estimator.transform(table), float), np.asarray(estimator.components_, float)
    sizes = [np.linalg.norm(codes, axis=0) * math.sqrt(first), np.linalg.norm(components, axis=1) * math.sqrt(second)]
    live = (sizes[0] > 0) & (sizes[1] > 0)
    scale = np.sqrt(np.divide(sizes[1], sizes[0], out=np.zeros_like(sizes[0]), where=live))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=live)
    penalty = {
        "strength": math.sqrt(first * second),
        "left": "l2",
        "right": "l2",
        "nonnegative": ["left", "right"],
    }
    note = "products of codes and components are scaled to equal shares of the penalty, which lowers the objective"
    return FittedFactors(codes * scale, components * inverse[:, None], _content(penalty), (note,), table)


def _dictionary(estimator: Any, table: Array) -> FittedFactors:  # noqa: ANN401
    components = np.asarray(estimator.components_, float)
    signs = [
        side for side, positive in (("left", estimator.positive_code), ("right", estimator.positive_dict)) if positive
    ]
    algorithm = "lasso_cd" if estimator.positive_code else "lasso_lars"
    coder = copy.copy(estimator)
    coder.transform_algorithm, coder.transform_alpha = algorithm, estimator.alpha
    codes = coder.transform(table)
    penalty = {"strength": float(estimator.alpha), "left": "l1", "right": "l2", "nonnegative": signs}
    note = f"codes are those of {algorithm} at alpha, the objective of the fit, whatever transform_algorithm is"
    return FittedFactors(np.asarray(codes, float), components, _content(penalty), (note,), table)


def _sparse_components(estimator: Any, table: Array) -> FittedFactors:  # noqa: ANN401
    components = np.asarray(estimator.components_, float)
    sizes = np.linalg.norm(components, axis=1, keepdims=True)
    directions = np.divide(components, sizes, out=np.zeros_like(components), where=sizes > 0)
    centered = table - np.asarray(estimator.mean_, float)
    costs = float(estimator.alpha) * np.abs(directions).sum(1)
    responses = _group_lasso(centered, directions, costs)
    scales = np.linalg.norm(responses, axis=0)
    codes = np.divide(responses, scales, out=np.zeros_like(responses), where=scales > 0)
    penalty = {"strength": float(estimator.alpha), "left": "l2", "right": "l1", "nonnegative": []}
    notes = (
        "the table is centered, as the estimator does",
        "codes and sizes are the best ones for the directions of the components, all that the estimator keeps",
    )
    return FittedFactors(codes, directions * scales[:, None], _content(penalty), notes, centered)


def _group_lasso(table: Array, directions: Array, costs: Array) -> Array:
    """W (n, r) of the group lasso, for directions (r, d) of length 1 or 0, and costs (r,)."""
    found = np.zeros((len(table), len(directions)))
    residual = table.copy()
    for _ in range(_MOST_SWEEPS):
        moved = 0.0
        for place, (direction, cost) in enumerate(zip(directions, costs, strict=True)):
            pull = residual @ direction + found[:, place] * (direction @ direction)
            size = float(np.linalg.norm(pull))
            new = pull * max(0.0, 1 - cost / size) if size > 0 else 0 * pull
            step = new - found[:, place]
            residual -= np.outer(step, direction)
            found[:, place] = new
            moved = max(moved, float(np.abs(step).max(initial=0)))
        if moved <= _SETTLED * (1 + float(np.abs(found).max(initial=0))):
            break
    return found


def _content(factor_norms: dict[str, Any]) -> dict[str, Any]:
    loss = {"name": "mse", "reduction": "sum", "scale": 0.5}
    return {"loss": loss, "penalty": {"factor_norms": factor_norms}}


_READERS: dict[str, Callable[[Any, Array], FittedFactors]] = {
    **dict.fromkeys(("NMF", "MiniBatchNMF"), _nonnegative),
    **dict.fromkeys(("DictionaryLearning", "MiniBatchDictionaryLearning"), _dictionary),
    **dict.fromkeys(("SparsePCA", "MiniBatchSparsePCA"), _sparse_components),
}
