"""What is certified: data, network, loss and penalty as pure values."""

from certify.problem.losses import LOSSES, Loss, LossSpec
from certify.problem.objective import ConvexPart, Evaluation, Objective, ParallelNetwork
from certify.problem.penalties import Penalty, ProductOfNorms, WeightDecay
from certify.problem.subnetworks import SUBNETWORKS, Factors, Subnetwork, TwoLayer

__all__ = [
    "LOSSES",
    "SUBNETWORKS",
    "ConvexPart",
    "Evaluation",
    "Factors",
    "Loss",
    "LossSpec",
    "Objective",
    "ParallelNetwork",
    "Penalty",
    "ProductOfNorms",
    "Subnetwork",
    "TwoLayer",
    "WeightDecay",
]
