"""The optimization problem that a certificate speaks of, as one value.

    minimize over r, W, C   l(Z) + penalty(W) + Σ_j (μ_j/2)|C_j|²,   Z = Σ_{i≤r} φ(H; W_i) + E C

with inputs H (n, d), a convex part E C outside the sum (output bias: a column of ones; linear skip: the
inputs), and l bound to its targets. Its optimum is over all widths r.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.problem.losses import Loss
from certify.problem.penalties import Penalty, factor_norms, matched_strength
from certify.problem.subnetworks import Factors, Subnetwork


@final
@dataclass(frozen=True, slots=True)
class ConvexPart:
    """Linear features outside the sum of subnetworks.

    Attributes:
        features: E, (n, k) float64; k may be 0.
        ridge: μ, (k,) float64 nonnegative; 0 marks a free (unpenalized) row of coefficients.
    """

    features: Tensor
    ridge: Tensor

    @property
    def free(self) -> Tensor:
        """(k,) booleans: which rows of coefficients are unpenalized."""
        return self.ridge == 0

    def penalty(self, coefficients: Tensor) -> float:
        """Σ_j (μ_j/2)|C_j|² for coefficients C (k, c)."""
        return math.fsum((self.ridge[:, None] / 2 * coefficients**2).flatten().tolist())

    def conjugate(self, dual: Tensor) -> float:
        """Σ_{μ_j>0} |E_jᵀ A|²/(2 μ_j): what the penalized rows cost the dual value, for A (n, c)."""
        penalized = ~self.free
        moments = self.features[:, penalized].T @ dual
        return math.fsum((moments**2 / (2 * self.ridge[penalized])[:, None]).flatten().tolist())

    def free_moments(self, dual: Tensor) -> Tensor:
        """E_jᵀ A of the free rows, (k_free, c); a dual point must make them vanish."""
        return self.features[:, self.free].T @ dual


@final
@dataclass(frozen=True, slots=True)
class ParallelNetwork:
    """Weights of Φ(H) = Σ_i φ(H; W_i) + E C.

    Attributes:
        factors: one tensor per factor of φ, stacked along the leading axis r, float64.
        coefficients: C, (k, c) float64.
    """

    factors: Factors
    coefficients: Tensor

    @property
    def width(self) -> int:
        """Number r of subnetworks."""
        return self.factors[0].shape[0]

    @property
    def parameters(self) -> int:
        """Number of scalars in all factors and coefficients."""
        return sum(f.numel() for f in self.factors) + self.coefficients.numel()


@final
@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network's place in the landscape.

    Attributes:
        outputs: Z, (n, c).
        loss: l(Z).
        penalty: penalty of the factors plus the ridge of the convex part.
        objective: loss + penalty.
        gradient: ∇l(Z), (n, c).
    """

    outputs: Tensor
    loss: float
    penalty: float
    objective: float
    gradient: Tensor


@final
@dataclass(frozen=True, slots=True)
class Objective:
    """The function to minimize: everything but the weights.

    Attributes:
        kind: φ.
        inputs: H, (n, d) float64, with a constant last column where there is a hidden bias.
        free_inputs: number of trailing columns of H whose weights are not penalized (0 or 1).
        convex: the part outside the sum.
        loss: l, bound to targets (n, c).
        penalty: θ with its strength.
    """

    kind: Subnetwork
    inputs: Tensor
    free_inputs: int
    convex: ConvexPart
    loss: Loss
    penalty: Penalty

    @property
    def samples(self) -> int:
        """Number of samples n."""
        return self.inputs.shape[0]

    @property
    def outputs(self) -> int:
        """Number of outputs c."""
        return self.loss.targets.shape[1]

    @property
    def strength(self) -> float:
        """λ of the polar condition Ω°(−A) ≤ λ.

        Raises:
            UnsupportedError: penalty and subnetwork have different degrees.
        """
        return matched_strength(self.penalty, self.kind)

    def forward(self, network: ParallelNetwork) -> Tensor:
        """Outputs Z (n, c)."""
        return self.kind.forward(self.inputs, network.factors) + self.convex.features @ network.coefficients

    def norms(self, network: ParallelNetwork) -> Factors:
        """Penalized norm of every factor of every subnetwork, (r,) each."""
        return factor_norms(network.factors, self.free_inputs)

    def evaluate(self, network: ParallelNetwork) -> Evaluation:
        """Outputs, objective and gradient of a network."""
        outputs = self.forward(network)
        loss = self.loss.value(outputs)
        terms = self.penalty.per_subnetwork(network.factors, self.norms(network))
        penalty = math.fsum(terms.tolist()) + self.convex.penalty(network.coefficients)
        return Evaluation(outputs, loss, penalty, loss + penalty, self.loss.gradient(outputs))

    def matched_products(self, network: ParallelNetwork) -> Tensor:
        """t_i = Π_k |W_i^k|^{d_k} of every subnetwork, (r,)."""
        product = torch.ones(network.width, dtype=torch.float64, device=self.inputs.device)
        for norm, degree in zip(self.norms(network), self.kind.degrees, strict=True):
            product = product * norm**degree
        return product

    def empty_network(self) -> ParallelNetwork:
        """The network of width zero with a zero convex part."""
        d, c = self.inputs.shape[1], self.outputs
        blank = self.inputs.new_zeros
        return ParallelNetwork((blank(0, d), blank(0, c)), blank(self.convex.features.shape[1], c))
