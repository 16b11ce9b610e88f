"""Layers: maximize |Sᵀ σ(W_{K−1} … σ(W_1 H))| over Π |W_k| ≤ 1, K ≥ 3 weights, S the scores of Q.

One channel in the last hidden layer attains the maximum (Cauchy-Schwarz), so that it does not depend on their number
if the other layers have enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from certify.problem.forms.rows import Slopes
from certify.problem.path import Path


@final
@dataclass(frozen=True, slots=True)
class Layers:
    """The form on a path, with the slopes of σ in each of its K − 1 hidden layers, the first one first."""

    path: Path
    slopes: tuple[Slopes, ...]
