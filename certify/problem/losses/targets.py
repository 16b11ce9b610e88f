"""Shapes and ranges of targets: the checks that keep a silent broadcast from changing the objective."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from certify.errors import UsageError

# Which values a loss allows: in words, and entrywise.
Allowed = tuple[str, Callable[[Tensor], Tensor]]
SIGNS: Allowed = ("-1 or +1", lambda y: y.abs() == 1)
SHARES: Allowed = ("in [0, 1]", lambda y: (y >= 0) & (y <= 1))
NONNEGATIVE: Allowed = ("that are nonnegative", lambda y: y >= 0)


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


def require_range(targets: Tensor, allowed: Allowed, loss: str) -> None:
    """Raise UsageError unless all targets are allowed, naming the values that the loss allows and the range found."""
    words, allows = allowed
    if not bool(allows(targets).all()):
        low, high = float(targets.min()), float(targets.max())
        raise UsageError(
            f"loss '{loss}' needs targets {words}; found values between {low:g} and {high:g}", code="target-range"
        )
