"""Shapes and ranges of targets: the checks that keep a silent broadcast from changing the objective."""

from __future__ import annotations

from torch import Tensor

from certify.errors import UsageError


def real_targets(targets: Tensor, outputs: int, loss: str) -> Tensor:
    """Targets (n,) or (n, outputs) as (n, outputs) float64.

    Raises:
        UsageError: the shape does not match the network's outputs. A (n,) target against (n, c) outputs
            would broadcast to (n, n) in torch, which is another objective.
    """
    if targets.ndim == 1 and outputs == 1:
        targets = targets[:, None]
    if targets.ndim != 2 or targets.shape[1] != outputs:
        found = tuple(targets.shape)
        raise UsageError(
            f"targets have shape {found}, but loss '{loss}' of a network with {outputs} output(s) needs "
            f"shape ({found[0]}, {outputs})",
            code="shape-mismatch",
        )
    return targets.double()


def require_range(targets: Tensor, allowed: str, ok: bool, loss: str) -> None:
    """Raise UsageError unless `ok`, naming the values that the loss allows and the range found."""
    if not ok:
        low, high = float(targets.min()), float(targets.max())
        raise UsageError(
            f"loss '{loss}' needs targets {allowed}; found values between {low:g} and {high:g}",
            code="target-range",
        )
