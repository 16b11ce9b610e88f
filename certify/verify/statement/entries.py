"""Terms of a factorization: φ(x; u_1, …, u_K) = scale · Π_k u_k[x_k], where a sample x holds one place an axis.

With counted decay the norm of a factor is √(Σ_i count_i u_i²), count_i the number of samples at place i of its axis. In
the coordinates √count_i u_i the polar has the coefficient scale/Π_k √count at every sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from certify.verify.reals import Array, Real, Reals
from certify.verify.rejection import refuse, require
from certify.verify.statement.activations import IDENTITY, Activation
from certify.verify.statement.fields import integers, number, section

LARGEST_EXTENT = 2**31 - 1
Places = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True)
class EntryTerm:
    """One term, without its factors.

    Attributes:
        shape: extents of the matrix or tensor.
        scale: factor on every entry.
    """

    shape: tuple[int, ...]
    scale: float

    activation: ClassVar[Activation] = IDENTITY
    # Entries of tables, of which there are none.
    entries: ClassVar[int] = 0

    @property
    def wording(self) -> str:
        """The term in words."""
        extents = " × ".join(map(str, self.shape))
        return f"entries of {extents}" + ("" if self.scale == 1 else f", times {self.scale:g}")

    def places(self, inputs: Array) -> Places:
        """Places (N, K) of samples (N, K), each of them once.

        Raises:
            Rejection: not integers inside the extents, or a place that is there twice.
        """
        inside = (inputs >= 0) & (inputs < np.array(self.shape)) & (inputs == np.floor(inputs))
        require(bool(inside.all()), "entries", "a sample is no place of the matrix or tensor")
        found: Places = inputs.astype(np.int64)
        flat = np.sort(np.ravel_multi_index(tuple(found.T), self.shape))
        require(bool((np.diff(flat) > 0).all()), "entries", "an entry is there twice")
        return found

    def outputs(self, factors: list[Array], inputs: Array, real: Real) -> Reals:
        """Σ_i φ(x; u_i) of every sample, (N, 1), for factors (r, n_k)."""
        places = self.places(inputs)
        if not len(factors[0]):
            return real(np.zeros((len(places), 1)))
        total: Reals | None = None
        for term in zip(*factors, strict=True):
            product = real(term[0][places[:, 0]])
            for axis, factor in enumerate(term[1:], 1):
                product = product * factor[places[:, axis]]
            total = product if total is None else total + product
        found = total if total is not None else real(np.zeros(len(places)))
        return (found if self.scale == 1 else found * self.scale)[:, None]

    def coefficients(self, inputs: Array, real: Real, *, counted: bool) -> Reals | None:
        """What multiplies every sample's value in the polar, (N,); None for 1."""
        if not counted:
            return None if self.scale == 1 else real(np.full(len(inputs), self.scale))
        places, product = self.places(inputs), real(np.ones(len(inputs)))
        for axis in range(len(self.shape)):
            product = product * counts_of(places[:, axis], self.shape[axis])[places[:, axis]]
        return real(np.full(len(inputs), self.scale)) / product.square_root()


def counts_of(places: Places, extent: int) -> Array:
    """Number of samples at every place of an axis."""
    found: Array = np.bincount(places, minlength=extent).astype(np.float64)
    return found


def read_entries(layer: Any, inputs: tuple[int, ...], place: str) -> EntryTerm:  # noqa: ANN401
    """The term that a layer `entries` describes.

    Raises:
        Rejection: refused; samples that do not hold one place an axis, or extents that are none.
    """
    stated = section(layer, f"{place}, entries", ("op", "shape", "scale"))
    shape = integers(stated["shape"], f"{place}, entries", 1)
    fits = inputs == (len(shape),) and 2 <= len(shape) <= 4 and max(shape) <= LARGEST_EXTENT
    total = 1
    for extent in shape:
        total *= extent
    if not fits or total >= 2**62:
        refuse("layers", f"{place}: entries of {list(shape)[:8]} for samples of {list(inputs)}")
    return EntryTerm(shape, number(stated["scale"], f"{place}, entries"))
