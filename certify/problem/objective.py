"""The optimization problem that a certificate speaks of, as one value.

    minimize over r, W, C   l(Z) + Σ_b θ_b(W_b) + Σ_j (μ_j/2)|C_j|²,   Z = Z_0 + Σ_b Σ_{i≤r_b} φ_b(W_bi) + E C

with branches b of subnetworks, a convex part E C outside the sum (output bias: a column of ones; linear skip: the
inputs), a fixed offset Z_0 (identity skip), and l bound to its targets. Its optimum is over all widths r_b.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from certify.errors import UnsupportedError
from certify.problem.branch import Branch
from certify.problem.entries import products_with
from certify.problem.groups import Groups
from certify.problem.kinds import Factors
from certify.problem.losses import Loss
from certify.problem.rounding import rounded_sum


@final
@dataclass(frozen=True, slots=True)
class ConvexPart:
    """Linear features outside the sum of subnetworks.

    Attributes:
        features: the first columns of E, (n, k_0) float64; k_0 may be 0.
        ridge: μ, (k,) float64 nonnegative; 0 marks a free (unpenalized) row of coefficients.
        groups: the other columns of E, by the group that every sample is in.
    """

    features: Tensor
    ridge: Tensor
    groups: tuple[Groups, ...] = ()

    @property
    def free(self) -> Tensor:
        """(k,) booleans: which rows of coefficients are unpenalized."""
        return self.ridge == 0

    @property
    def free_features(self) -> Tensor:
        """The columns of `features` whose coefficients are unpenalized, (n, ·)."""
        return self.features[:, self.free[: self.features.shape[1]]]

    @property
    def free_groups(self) -> tuple[Groups, ...]:
        """The groups whose coefficients are unpenalized; all of one are, or none."""
        parts = torch.split(self.free[self.features.shape[1] :], [group.count for group in self.groups])
        return tuple(group for group, free in zip(self.groups, parts, strict=True) if bool(free.any()))

    def outputs(self, coefficients: Tensor) -> Tensor:
        """E C, (n, c), for C (k, c)."""
        sizes = [self.features.shape[1], *(group.count for group in self.groups)]
        dense, *parts = torch.split(coefficients, sizes)
        total: Tensor = self.features @ dense
        for group, part in zip(self.groups, parts, strict=True):
            total = total + part[group.index]
        return total

    def moments(self, dual: Tensor) -> Tensor:
        """EᵀA, (k, c), for A (n, c)."""
        return torch.cat([self.features.T @ dual, *(group.sums(dual) for group in self.groups)])

    def absolute(self) -> ConvexPart:
        """With the magnitudes of all columns."""
        return replace(self, features=self.features.abs())

    def penalty(self, coefficients: Tensor) -> float:
        """Σ_j (μ_j/2)|C_j|² for coefficients C (k, c)."""
        return rounded_sum((self.ridge[:, None] / 2 * coefficients**2).flatten().tolist())

    def conjugate(self, dual: Tensor) -> float:
        """Σ_{μ_j>0} |E_jᵀ A|²/(2 μ_j): what the penalized rows cost the dual value, for A (n, c)."""
        return rounded_sum(self.conjugate_terms(dual).flatten().tolist())

    def conjugate_terms(self, dual: Tensor) -> Tensor:
        """The terms of `conjugate`, (k_penalized, c)."""
        penalized = ~self.free
        return self.moments(dual)[penalized] ** 2 / (2 * self.ridge[penalized])[:, None]


@final
@dataclass(frozen=True, slots=True)
class ParallelNetwork:
    """Weights of Φ = Z_0 + Σ_b Σ_i φ_b(W_bi) + E C.

    Attributes:
        stacks: of every branch, one tensor per factor of φ, stacked along the leading axis r_b, float64.
        coefficients: C, (k, c) float64.
    """

    stacks: tuple[Factors, ...]
    coefficients: Tensor

    @property
    def widths(self) -> tuple[int, ...]:
        """Number r_b of subnetworks in each branch."""
        return tuple(stack[0].shape[0] for stack in self.stacks)

    @property
    def width(self) -> int:
        """Number of subnetworks in all branches."""
        return sum(self.widths)

    @property
    def parameters(self) -> int:
        """Number of scalars in all factors and coefficients."""
        return sum(f.numel() for stack in self.stacks for f in stack) + self.coefficients.numel()


@final
@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network's place in the landscape.

    Attributes:
        outputs: Z, (n, c).
        loss: l(Z), what is not observed included.
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
        branches: of subnetworks; empty where there are none, as for a single linear layer.
        convex: the part outside the sum.
        loss: l, bound to targets (n, c).
        offset: Z_0, (n, c) float64, or None for zero.
        unobserved: κ; every entry z of the matrix of a factorization that is no sample adds κ z².
    """

    branches: tuple[Branch, ...]
    convex: ConvexPart
    loss: Loss
    offset: Tensor | None = None
    unobserved: float = 0.0

    @property
    def samples(self) -> int:
        """Number of samples n."""
        return self.loss.targets.shape[0]

    @property
    def outputs(self) -> int:
        """Number of outputs c."""
        return self.loss.targets.shape[1]

    @property
    def exponent(self) -> float:
        """Of the gauges of all branches, 1 where degrees of penalty and subnetworks are equal.

        Raises:
            UnsupportedError: branches differ in it.
        """
        found = {branch.gauge.exponent for branch in self.branches} or {1.0}
        if len(found) > 1:
            kinds = " and ".join(f"'{branch.kind.name}' of degree {branch.kind.degree}" for branch in self.branches)
            raise UnsupportedError(
                f"degree mismatch: the penalty fits some branches and not others ({kinds}), and no bound serves both; "
                "use product_of_norms, or branches of one degree",
                code="degree-mismatch",
            )
        return found.pop()

    def matched(self, slope: float) -> Objective:
        """With the penalty s Σ λ t in every branch, whose degree is that of the subnetworks."""
        return replace(self, branches=tuple(branch.matched(slope) for branch in self.branches))

    def total(self, network: ParallelNetwork) -> float:
        """τ = Σ λ t over all subnetworks."""
        pairs = zip(self.branches, network.stacks, strict=True)
        return sum(branch.gauge.strength * float(branch.products(stack).sum()) for branch, stack in pairs)

    def forward(self, network: ParallelNetwork) -> Tensor:
        """Outputs Z (n, c)."""
        outputs = self.convex.outputs(network.coefficients)
        for branch, stack in zip(self.branches, network.stacks, strict=True):
            outputs = outputs + branch.forward(stack)
        return outputs if self.offset is None else outputs + self.offset

    def penalty(self, network: ParallelNetwork) -> float:
        """Penalty of all branches and of the convex part."""
        terms = [branch.penalty_of(stack) for branch, stack in zip(self.branches, network.stacks, strict=True)]
        return rounded_sum((*terms, self.convex.penalty(network.coefficients)))

    def evaluate(self, network: ParallelNetwork) -> Evaluation:
        """Outputs, objective and gradient of a network."""
        outputs = self.forward(network)
        loss = self.loss.value(outputs) + float(self.unobserved_loss(network, outputs))
        penalty = self.penalty(network)
        return Evaluation(outputs, loss, penalty, loss + penalty, self.loss.gradient(outputs))

    def unobserved_loss(self, network: ParallelNetwork, outputs: Tensor) -> Tensor:
        """κ Σ z² over the entries that are no samples, from outputs Z (n, 1) at the others."""
        if not self.unobserved:
            return outputs.new_zeros(())
        (stack,) = network.stacks
        return self.unobserved * (squared_norm(stack) - (outputs**2).sum())

    def empty_network(self) -> ParallelNetwork:
        """The network of width zero with a zero convex part."""
        coefficients = self.convex.ridge.new_zeros(len(self.convex.ridge), self.outputs)
        return ParallelNetwork(self.empty_stacks(), coefficients)

    def empty_stacks(self) -> tuple[Factors, ...]:
        """Width zero in every branch."""
        return tuple(branch.empty(self.outputs) for branch in self.branches)


def squared_norm(stack: Factors) -> Tensor:
    """|Σ_i u_i v_iᵀ|_F² for factors u (r, m), v (r, n)."""
    return products_with(stack, stack).sum()
