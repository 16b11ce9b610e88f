"""What an audit would do, as plain values; what `certify audit --plan` shows is made from them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from certify.certificates.audit_result import Expectation

Expected = Literal["cached", "run", "missing"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAnswer:
    """What is expected of one item; its answer is `missing` where the model is not there.

    Attributes:
        line: of the entry in the audit file, from 1.
        verdict: the cached one, or None.
        last_seconds: of the last run of this item, or None.
        budget_seconds: that the check may take; None where the problem file says it and was not read.
    """

    name: str
    model: str
    line: int
    expect: Expectation
    answer: Expected
    verdict: str | None
    last_seconds: float | None
    budget_seconds: float | None
