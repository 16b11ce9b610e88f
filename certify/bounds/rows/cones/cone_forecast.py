"""Forecast of the cost of a cone search from a short pilot search.

The number N of cones needed to bring the bound to (1 + x) times the goal grows with 1/x, ever more slowly: the
exponent -d log N / d log x falls like x^GROWTH_DECAY (measured on diabetes, d = 5 to 8). It is read off the last
two stages the pilot finished and integrated down to the tolerance. An estimate, never part of a claim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from certify.bounds.rows.cones.cone_search import Stage
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import ConeOutcome, cone_polar

# Cones the pilot may bound.
PILOT_NODES = 30_000
# Power of x at which the growth exponent falls.
GROWTH_DECAY = 0.4
# Logarithm of growth beyond which a forecast is called unknown.
LARGEST_GROWTH = 100.0
# Share of the time limit the pilot may take.
PILOT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class ConeForecast:
    """Expected cost of a cone search to its tolerance.

    Attributes:
        seconds_estimate: Time of the full search, inf where the pilot learned too little.
        sentence: The forecast in words.
        pilot: What the pilot proved.
    """

    seconds_estimate: float
    sentence: str
    pilot: ConeOutcome


def forecast_nodes(rows: Tensor, Q: Tensor, settings: ConeSettings, start: Tensor | None = None) -> ConeForecast:
    """Run a short pilot of the search with these arguments, and extrapolate its growth to the tolerance asked for.

    Raises:
        ValueError: As `cone_polar`.
    """
    limited = replace(settings, max_nodes=min(settings.max_nodes, PILOT_NODES), seconds=PILOT_SHARE * settings.seconds)
    pilot = cone_polar(rows, Q, limited, start)
    if pilot.complete:
        words = f"done in the pilot: {_rounded(pilot.nodes)} cones, {_duration(pilot.seconds)}"
        return ConeForecast(pilot.seconds, words, pilot)
    goal = max(pilot.lower, settings.target)
    nodes = max(float(pilot.nodes), _extrapolated(pilot.stages, goal, settings.relative_tolerance))
    seconds = nodes * pilot.seconds / max(1, pilot.nodes)
    if nodes == math.inf:
        words = f"unknown: {_rounded(pilot.nodes)} cones bounded too little to tell"
    else:
        words = f"about {_rounded(nodes)} cones, {_duration(seconds)}"
    return ConeForecast(seconds, words, pilot)


def _extrapolated(stages: tuple[Stage, ...], goal: float, tolerance: float) -> float:
    """Nodes at a relative excess of `tolerance`, from the growth between the last two finished stages."""
    points = [(stage.threshold / goal - 1, stage.nodes) for stage in stages if stage.threshold > goal > 0]
    if len(points) < 2:
        return math.inf
    (wide, few), (narrow, many) = points[-2:]
    if not narrow < wide or not many > few:
        return math.inf
    power = math.log(many / few) / math.log(wide / narrow) * (narrow / wide) ** (GROWTH_DECAY / 2)
    growth = power / GROWTH_DECAY * (1 - min(1.0, tolerance / narrow) ** GROWTH_DECAY)
    return many * math.exp(growth) if growth < LARGEST_GROWTH else math.inf


def _rounded(count: float) -> str:
    """One significant digit above a thousand: 800, 7e5."""
    return f"{count:.0f}" if count < 1000 else f"{count:.0e}".replace("e+0", "e")


def _duration(seconds: float) -> str:
    """A duration with a unit a person would use."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
