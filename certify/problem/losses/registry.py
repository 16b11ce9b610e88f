"""The table of losses, and how reduction, scale, sample weights and mask become atom weights ω."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from certify.errors import UsageError
from certify.problem.losses.binary_cross_entropy import BinaryCrossEntropy
from certify.problem.losses.cross_entropy import CrossEntropy
from certify.problem.losses.huber import Huber
from certify.problem.losses.loss import Loss, Reduction
from certify.problem.losses.mean_squared_error import MeanSquaredError
from certify.problem.losses.poisson import Poisson
from certify.problem.losses.soft_margin import SoftMargin
from certify.problem.losses.squared_hinge import SquaredHinge

LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (MeanSquaredError, CrossEntropy, BinaryCrossEntropy, SoftMargin, Huber, SquaredHinge, Poisson)
}


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A loss by name, as `torch.nn.functional` defines it.

    Attributes:
        name: a key of `LOSSES`.
        reduction: `mean` divides by what torch divides by: entries, or samples for cross-entropy.
        scale: positive factor on the whole loss; 0.5 with `mse` is the textbook half square.
        unobserved_weight: of entries of a factorization that are no samples, in units of the weights of samples.
    """

    name: str
    reduction: Reduction = "mean"
    scale: float = 1.0
    unobserved_weight: float = 0.0

    def bind(
        self, targets: Tensor, outputs: int, sample_weights: Tensor | None = None, mask: Tensor | None = None
    ) -> Loss:
        """The loss of outputs (n, c) against `targets`.

        Args:
            targets: as the loss takes them; see its `prepare_targets`.
            outputs: number of outputs c.
            sample_weights: (n,) nonnegative factors, or None for ones. They multiply each sample's loss and
                do not enter the denominator of `mean`.
            mask: (n, c) booleans, True where the entry is observed; `mean` is over the observed entries.

        Raises:
            UsageError: unknown name, or targets, weights or mask of a wrong shape or range.
        """
        if self.name not in LOSSES:
            raise UsageError(f"unknown loss '{self.name}'; known: {', '.join(LOSSES)}", code="unknown-loss")
        kind = LOSSES[self.name]
        prepared = kind.prepare_targets(targets, outputs)
        observed = _observed(kind, mask, prepared)
        weights = observed * self.scale
        if self.reduction == "mean":
            weights = weights / _denominator(kind, observed)
        if sample_weights is not None:
            weights = weights * _checked_sample_weights(sample_weights, prepared.shape[0])[:, None]
        return kind(targets=prepared, weights=weights)


def _observed(kind: type[Loss], mask: Tensor | None, targets: Tensor) -> Tensor:
    if mask is None:
        return torch.ones_like(targets)
    if kind.couples_row:
        raise UsageError(f"loss '{kind.name}' couples the outputs of a sample and takes no mask", code="mask")
    if mask.shape != targets.shape:
        raise UsageError(
            f"mask has shape {tuple(mask.shape)}, targets have {tuple(targets.shape)}", code="shape-mismatch"
        )
    return mask.to(targets)


def _denominator(kind: type[Loss], observed: Tensor) -> float:
    count = float(observed[:, 0].sum()) if kind.couples_row else float(observed.sum())
    if count == 0:
        raise UsageError("no observed entry: the mean loss is undefined", code="mask")
    return count


def _checked_sample_weights(weights: Tensor, samples: int) -> Tensor:
    if weights.shape != (samples,):
        raise UsageError(f"sample_weights have shape {tuple(weights.shape)}, need ({samples},)", code="shape-mismatch")
    if not bool((weights >= 0).all()):
        raise UsageError("sample_weights must be nonnegative", code="target-range")
    return weights.double()
