"""Penalties θ on the weights of each subnetwork."""

from certify.problem.penalties.factor_norms import FactorNorms
from certify.problem.penalties.penalty import Penalty, matched_product, matched_strength
from certify.problem.penalties.product_of_norms import ProductOfNorms
from certify.problem.penalties.weight_decay import WeightDecay

__all__ = ["FactorNorms", "Penalty", "ProductOfNorms", "WeightDecay", "matched_product", "matched_strength"]
