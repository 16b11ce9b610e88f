"""What hubs add to a quadratic majorant: products of every row with |h·u| ± h·u of a few directions h.

With s = |H u| and z = Z (u, s) ≥ 0, Z = [[H, I], [−H, I]], and t± = (|t| ± t)/2 of a row, any A± ≥ 0, g, w and V with
b ≥ |V − w| + g, |V + w| − g make both products nonnegative in
    r relu(t) ≤ r relu(t) + t₊ ((b − g − w·u + V·u)/2 + A⁺z) + t₋ ((b + g + w·u + V·u)/2 + A⁻z)
              ≤ (r − g − w·u + (A⁺ − A⁻) z) t/2 + p t² + l²/(16 p),    l = r + b + V·u + (A⁺ + A⁻) z.
Of hubs alone 0 ≤ zᵀN z + Σ z_j (|ω_j| + ω_j·u), N ≥ 0 but for pairs, as z_k z_(J+k) = 0: of these the entry −η/2 adds η
times (h_k·u)² − s_k², so that the block of s is negative definite for large η.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from certify.bounds.proof import Hubs
from certify.bounds.rounding import SLACK, gamma
from certify.bounds.rows.relaxations.tilts import Tilts

# Of the sizes of what is added, for the rounding of a few operations.
SLACK_FEW_SHARE = gamma(16)


@final
@dataclass(frozen=True, slots=True)
class SignedHubs:
    """The hubs of one sign.

    Attributes:
        parts: Z, (2J, h + J).
        links: A⁺ and A⁻, (2, N, 2J), nonnegative.
        lifts: C, (N, K).
        products: N, (2J, 2J), symmetric, nonnegative but for pairs.
        tilts: ω, (2J, h), zero at a free coordinate.
    """

    parts: Tensor
    links: Tensor
    lifts: Tensor
    products: Tensor
    tilts: Tensor

    @property
    def linked(self) -> Tensor:
        """Rows with products, (N,)."""
        return self.links.any(0).any(1)

    def sums(self) -> Tensor:
        """(A⁺ + A⁻) Z, (N, h + J)."""
        summed: Tensor = self.links.sum(0) @ self.parts
        return summed

    def sizes(self) -> tuple[Tensor, Tensor]:
        """Upper bounds on Σ_j (A⁺ + A⁻)_ij |Z_j|, (N,), and on |Z_j|, (2J,)."""
        lengths = torch.linalg.vector_norm(self.parts, dim=1) * SLACK
        return self.links.sum(0) @ lengths * SLACK, lengths

    def terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients of (u, s), (h + J,), and the symmetric matrix of the rest, but for those of l²."""
        turns = inputs.T @ (self.links[0] - self.links[1]) / 4 + self.tilts.T / 2
        quadratic = self.parts.T @ self.products @ self.parts
        pull = turns @ self.parts
        quadratic[: len(pull)] += pull
        quadratic[:, : len(pull)] += pull.T
        return torch.linalg.vector_norm(self.tilts, dim=1) @ self.parts, (quadratic + quadratic.T) / 2

    def error(self, inputs: Tensor) -> float:
        """The Frobenius norm of what rounding adds to both terms."""
        ties, lengths = self.sizes()
        tilts = torch.linalg.vector_norm(self.tilts, dim=1)
        rows = float(torch.linalg.vector_norm(inputs, dim=1) @ ties)
        hubs = float(lengths @ self.products.abs() @ lengths + 3 * tilts @ lengths)
        return gamma(len(inputs) + 4 * len(lengths) + inputs.shape[1] + 16) * SLACK * (rows + hubs)


def signed_hubs(hubs: Hubs, index: int, size: int) -> SignedHubs:
    """The hubs of the sign of an index in a region of so many coordinates; negative products count as 0."""
    directions, links, tilts = hubs.directions[index], hubs.links[index].clamp_min(0), hubs.tilts[index]
    count = len(directions)
    one = torch.eye(count).to(directions)
    products = hubs.products[index]
    return SignedHubs(
        parts=torch.cat([torch.cat([directions, one], 1), torch.cat([-directions, one], 1)]),
        links=torch.stack([torch.cat([links[0], links[1]], 1), torch.cat([links[2], links[3]], 1)]),
        lifts=hubs.lifts[index],
        products=torch.where(paired(one), products, products.clamp_min(0)),
        tilts=torch.cat([tilts, tilts.new_zeros(2 * count, size - tilts.shape[1])], 1),
    )


def paired(like: Tensor) -> Tensor:
    """Which entries of N belong to one hub's two parts, (2J, 2J), for a tensor of J rows."""
    one = torch.eye(len(like), dtype=torch.bool, device=like.device)
    nothing = torch.zeros_like(one)
    return torch.cat([torch.cat([nothing, one], 1), torch.cat([one, nothing], 1)])


def hub_share(rectified: Tensor, slopes: Tensor, tilts: Tilts, hubs: SignedHubs) -> Tensor:
    """A = r + b, rounded up, (N,); at least 0 in rows without products."""
    after, before = (
        Tilts(hubs.lifts + side, tilts.axes).lengths() for side in (tilts.coefficients, -tilts.coefficients)
    )
    needed = torch.maximum(before + slopes, after - slopes)
    share = rectified + needed + SLACK_FEW_SHARE * (rectified.abs() + before + after + slopes.abs())
    return torch.where(hubs.linked, share, share.clamp_min(0))
