"""Losses: convex functions of the network's outputs."""

from certify.problem.losses.loss import EntrywiseLoss, Loss, Reduction
from certify.problem.losses.registry import LOSSES, LossSpec

__all__ = ["LOSSES", "EntrywiseLoss", "Loss", "LossSpec", "Reduction"]
