"""Penalties θ on the weights of each subnetwork."""

from certify.problem.penalties.penalty import Gauge, Penalty, factor_norms, matched_strength
from certify.problem.penalties.product_of_norms import ProductOfNorms
from certify.problem.penalties.weight_decay import WeightDecay

__all__ = ["Gauge", "Penalty", "ProductOfNorms", "WeightDecay", "factor_norms", "matched_strength"]
