"""A proof that the polar of one branch is at most a bound: a kind, a claim and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.verify.reals import Arrays


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """What a certificate says of the polar of one branch; nothing about it has been checked.

    Attributes:
        kind: the rule.
        upper: claimed bound U on the polar of the branch at −A.
        failure_probability: with which this proof may be accepted falsely; None without randomness.
        arrays: by name, without the prefix of the branch.
    """

    kind: str
    upper: float
    failure_probability: float | None
    arrays: Arrays
