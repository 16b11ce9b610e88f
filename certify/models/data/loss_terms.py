"""How the loss of a problem was stated: what a certificate must say, and the objective no longer knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, final

from torch import Tensor

from certify.problem import LossSpec

if TYPE_CHECKING:
    from certify.models.data.arrays import Arrays
    from certify.models.spec.problem_file import ProblemSpec


@final
@dataclass(frozen=True, slots=True)
class LossTerms:
    """How the loss of a problem was stated; `Objective.loss` holds only what follows from it.

    Attributes:
        loss: name, reduction and scale.
        sample_weights: (n,), or None.
        mask: (n, c) booleans, or None.
        data_names: name in the data file of `inputs`, `targets`, `sample_weights` and `mask`; None for memory.
    """

    loss: LossSpec
    sample_weights: Tensor | None = None
    mask: Tensor | None = None
    data_names: Mapping[str, str | Sequence[str] | None] | None = None

    @classmethod
    def of(cls, spec: ProblemSpec, data: Arrays) -> Self:
        """The terms of a problem file and its data."""
        names = spec.data.model_dump(exclude={"path"})
        listed = {role: list(name) if isinstance(name, tuple) else name for role, name in names.items()}
        loss = LossSpec(spec.loss.name, spec.loss.reduction, spec.loss.scale, spec.loss.unobserved_weight or 0.0)
        return cls(loss, data.sample_weights, data.mask, None if data.path is None else listed)
