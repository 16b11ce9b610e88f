"""Where the marks of the plots stand: positions in percent of the width, so that text keeps its size on any screen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from certify.certificates.gap import relative_gap
from certify.certificates.result import Result
from certify.certificates.verdict import allowance
from certify.reports import phrases

# Free room at both ends of an axis, in percent of the width.
MARGIN = 3.0
# The meter of the table shows relative gaps from here to 1, in decades.
METER_DECADES = 8


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled position, in percent of the width; `key` is the class of its element."""

    key: str
    label: str
    at: float

    @property
    def anchor(self) -> str:
        """Side on which the label has room."""
        return "start" if self.at < 50 else "end"


@final
@dataclass(frozen=True, slots=True)
class Span:
    """A shaded part of an axis, in percent of the width."""

    key: str
    start: float
    width: float


@final
@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """Marks and spans on one axis; `title` says the same in words."""

    title: str
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One part of the gap: where its segment stands in percent, and how large it is."""

    key: str
    label: str
    value: str
    start: float
    width: float


@final
@dataclass(frozen=True, slots=True)
class Meter:
    """The relative gap against its tolerance on a logarithmic axis, in percent of its width."""

    gap: float
    tolerance: float
    closed: bool


def objective_plot(result: Result) -> IntervalPlot | None:
    """Lower bound, best known and objective, and what the tolerance allows; None without a proven, finite bound."""
    lower, best, top = result.lower_bound, result.best_known, result.objective
    if result.proof == "none" or not math.isfinite(lower):
        return None
    floor = top - allowance(top, result.relative_gap_tolerance, result.absolute_gap_tolerance)
    axis = _Axis(min(lower, floor), max(top, best))
    marks = (
        Mark("objective", f"objective {phrases.at_most(top)}", axis.at(top)),
        Mark("best", f"best known {phrases.at_most(best)}", axis.at(best)),
        Mark("bound", f"lower bound {phrases.at_least(lower)}", axis.at(lower)),
    )
    spans = (axis.span("tolerance", floor, top), axis.span("optimum", lower, best))
    title = f"The global optimum lies between {phrases.at_least(lower)} and {phrases.at_most(best)}"
    return IntervalPlot(title, spans, marks)


def polar_plot(result: Result) -> IntervalPlot | None:
    """The interval of the polar and the threshold 1; None without a proven, finite interval."""
    lower, upper = result.polar.lower, result.polar.upper
    if result.proof == "none" or not (math.isfinite(lower) and math.isfinite(upper)):
        return None
    axis = _Axis(min(lower, 1.0), max(upper, 1.0))
    marks = (
        Mark("threshold", "threshold 1", axis.at(1.0)),
        Mark("polar-upper", f"at most {phrases.at_most(upper)}", axis.at(upper)),
        Mark("polar-lower", f"at least {phrases.at_least(lower)}", axis.at(lower)),
    )
    title = f"The polar lies between {phrases.at_least(lower)} and {phrases.at_most(upper)}; the threshold is 1"
    return IntervalPlot(title, (axis.span("polar", lower, upper),), marks)


def gap_parts(result: Result) -> tuple[Part, ...]:
    """The parts of the gap side by side; empty where it is zero, not proven or not finite."""
    values = {key: max(getattr(result.breakdown, key), 0.0) for key in phrases.PARTS}
    total = math.fsum(values.values())
    if result.proof == "none" or not (math.isfinite(total) and total > 0):
        return ()
    parts, start = [], 0.0
    for key, value in values.items():
        width = 100 * value / total
        if value:
            parts.append(Part(key.replace("_", "-"), phrases.PARTS[key], f"{value:.2e}", start, width))
        start += width
    return tuple(parts)


def gap_meter(result: Result) -> Meter | None:
    """The relative gap against the tolerance, both as shares of the objective; None without a proof."""
    if result.proof == "none":
        return None
    allowed = allowance(result.objective, result.relative_gap_tolerance, result.absolute_gap_tolerance)
    return Meter(
        _decades(result.relative_gap), _decades(relative_gap(allowed, result.objective)), result.verdict == "certified"
    )


def _decades(share: float) -> float:
    if not share > 0:
        return 0.0
    return min(max(100 * (1 + math.log10(min(share, 1.0)) / METER_DECADES), 2.0), 100.0)


@final
@dataclass(frozen=True, slots=True)
class _Axis:
    """A linear axis from `low` to `high`."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Position in percent of the width; the middle where the axis is a point."""
        length = self.high - self.low
        share = (value - self.low) / length if length > 0 else 0.5
        return MARGIN + (100 - 2 * MARGIN) * share

    def span(self, key: str, start: float, end: float) -> Span:
        """From one value to another."""
        return Span(key, self.at(start), max(self.at(end) - self.at(start), 0.0))
