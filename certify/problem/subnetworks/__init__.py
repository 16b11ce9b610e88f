"""Subnetwork kinds: what a parallel network sums."""

from certify.problem.subnetworks.linear import Linear
from certify.problem.subnetworks.quadratic import Quadratic
from certify.problem.subnetworks.relu import ReLU
from certify.problem.subnetworks.single_layer import SingleLayer
from certify.problem.subnetworks.subnetwork import Factors, Subnetwork, TwoLayer

SUBNETWORKS: dict[str, Subnetwork] = {kind.name: kind for kind in (Linear(), ReLU(), Quadratic(), SingleLayer())}

__all__ = ["SUBNETWORKS", "Factors", "Linear", "Quadratic", "ReLU", "SingleLayer", "Subnetwork", "TwoLayer"]
