"""How hidden responses and second factors make outputs: a map that is linear in each, and its adjoint.

With hidden responses y_ip of sample i at position p, and weights v_jk of output channel j at place k,

    z_i(j,o) = Σ_p Σ_k y_ip R_opk v_jk,
    <A, z> = Σ_jk v_jk Σ_ip y_ip S_(ip)(jk)   with   S_(ip)(jk) = Σ_o A_i(j,o) R_opk,

o being the place of an output. A dense layer after a dense one has one position and one place, and R = 1; pooling,
flattening and convolutions after the activation are all in R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class Readout:
    """The map.

    Attributes:
        weights: R, (O, P, k), or (n, O, P, k) where it differs from sample to sample; None for 1.
    """

    weights: Tensor | None = None

    @property
    def positions(self) -> int:
        """Number P of hidden positions of a sample."""
        return 1 if self.weights is None else self.weights.shape[-2]

    @property
    def reach(self) -> int:
        """Number k of weights for each pair of a hidden and an output channel."""
        return 1 if self.weights is None else self.weights.shape[-1]

    def weights_of(self, outputs: int) -> int:
        """Number m of weights that make c outputs."""
        return outputs if self.weights is None else outputs // self.weights.shape[-3] * self.weights.shape[-1]

    def sum(self, hidden: Tensor, second: Tensor) -> Tensor:
        """Outputs of all subnetworks together, (n, c), for hidden responses (n P, r) and weights v (r, m)."""
        if self.weights is None:
            return hidden @ second
        spread = _spread(self.weights, hidden)
        channels = _channels(self.weights, second)
        return torch.einsum("nokr,rjk->njo", spread, channels).flatten(1)

    def each(self, hidden: Tensor, second: Tensor) -> Tensor:
        """Outputs of every subnetwork, (r, n, c)."""
        if self.weights is None:
            return torch.einsum("nr,rc->rnc", hidden, second)
        return torch.einsum("nokr,rjk->rnjo", _spread(self.weights, hidden), _channels(self.weights, second)).flatten(2)

    def scores(self, dual: Tensor) -> Tensor:
        """S (n P, m) for A (n, c); linear in A."""
        if self.weights is None:
            return dual
        folded = dual.reshape(len(dual), -1, self.weights.shape[-3])
        pattern = "njo,opk->npjk" if self.weights.ndim == 3 else "njo,nopk->npjk"
        return torch.einsum(pattern, folded, self.weights).flatten(2).flatten(0, 1)

    def collected(self, products: Tensor) -> Tensor:
        """Outputs (n, c) of Σ y vᵀ, (n P, m): the adjoint of `scores`."""
        if self.weights is None:
            return products
        positions, reach = self.weights.shape[-2:]
        folded = products.reshape(len(products) // positions, positions, -1, reach)
        pattern = "npjk,opk->njo" if self.weights.ndim == 3 else "npjk,nopk->njo"
        return torch.einsum(pattern, folded, self.weights).flatten(1)

    def squared_norm(self) -> float:
        """The largest |scores(A)|²/|A|²."""
        if self.weights is None:
            return 1.0
        flat = self.weights.flatten(-2)
        return float(torch.linalg.eigvalsh(flat @ flat.mT).max())

    def absolute(self) -> Readout:
        """The map of magnitudes."""
        return self if self.weights is None else Readout(self.weights.abs())


def _spread(weights: Tensor, hidden: Tensor) -> Tensor:
    """Σ_p R_opk y_ip of every subnetwork, (n, O, k, r)."""
    positions = weights.shape[-2]
    positioned = hidden.reshape(len(hidden) // positions, positions, hidden.shape[1])
    spread: Tensor = torch.einsum("npr,opk->nokr" if weights.ndim == 3 else "npr,nopk->nokr", positioned, weights)
    return spread


def _channels(weights: Tensor, second: Tensor) -> Tensor:
    """Weights v (r, m) by output channel, (r, c/O, k)."""
    reach = weights.shape[-1]
    return second.reshape(len(second), second.shape[1] // reach, reach)
