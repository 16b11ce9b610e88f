"""Squares: maximize |Sᵀ (H u)²| over |u| ≤ 1, S the scores of Q, squares entrywise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Squares:
    """The form on a view: its rows H and its readout."""

    view: View
