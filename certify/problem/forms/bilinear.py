"""Bilinear: maximize uᵀ G v over |u| ≤ 1, |v| ≤ 1 with G = Hᵀ S, S the scores of Q; the largest singular value of G."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.problem.view import View


@final
@dataclass(frozen=True, slots=True)
class Bilinear:
    """The form on a view: its rows H and its readout."""

    view: View
