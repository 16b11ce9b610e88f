"""A proof that the polar of one branch is at most a bound: steps to a smaller form, a kind, a claim and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy.typing as npt


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """What a certificate says of the polar of one branch; nothing about it has been checked.

    Attributes:
        steps: reductions, before the kind applies.
        kind: the rule.
        upper: claimed bound U on the polar of the branch at −A.
        failure_probability: with which this proof may be accepted falsely; None without randomness.
        arrays: by name, without the prefix of the branch.
    """

    steps: tuple[str, ...]
    kind: str
    upper: float
    failure_probability: float | None
    arrays: Mapping[str, npt.NDArray[Any]]
