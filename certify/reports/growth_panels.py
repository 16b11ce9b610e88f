"""The two panels of a growth, drawn by matplotlib; the one place that needs it.

matplotlib's settings are its defaults and those below, whatever the user has set, and are put back afterwards.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from certify.certificates.growth_report import GrowthReport, GrowthRound
from certify.reports.growth_rows import lowered, widths

# Blue and orange differ for every kind of color vision, and as text on white.
OBJECTIVE, BOUND, TOLERANCE = "#0067a5", "#b34d00", "#0f7a48"
INK, SOFT, GRID = "#1a2029", "#5a6472", "#d9dde3"
SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.dpi": 100,
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    # Text stays text, and the same growth gives the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "certify",
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
INCHES, PANEL_INCHES, DPI = (10.5, 4.3), (6.0, 4.0), 160
# Longer titles lose their middle.
LONGEST_TITLE = 100
# More rounds than this are a line without markers.
MOST_MARKERS = 60
# A gap of zero is drawn as this on the logarithmic scale.
SMALLEST_GAP = 1e-16
# Room on the right of the last gap for its label, as a share of the time.
LABEL_SHARE = 0.32
# Where the gap takes this share of the height at its widest, there is room for the word.
ROOM_SHARE = 0.15


def drawn_image(report: GrowthReport, title: str, tolerance: float | None, kind: str) -> bytes:
    """Both panels side by side, `kind` being `svg` or `png`."""
    with _settings():
        figure = Figure(figsize=INCHES, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.1))
        left, right = figure.subplots(1, 2)
        _draw_interval(left, report)
        _draw_gap(right, report, tolerance)
        heading = figure.suptitle(_shortened(title), x=0.01, ha="left", weight="bold", size=12)
        heading.set_parse_math(False)
        return _rendered(figure, kind)


def draw_panels(report: GrowthReport, tolerance: float | None) -> tuple[str, str]:
    """Each panel as SVG of its own, without background."""
    with _settings():
        panels = []
        for draw in (_draw_interval, lambda axes, grown: _draw_gap(axes, grown, tolerance)):
            figure = Figure(figsize=PANEL_INCHES, layout="constrained", facecolor="none")
            axes = figure.subplots()
            axes.set_facecolor("none")
            draw(axes, report)
            panels.append(_rendered(figure, "svg").decode())
    return panels[0], panels[1]


@contextmanager
def _settings() -> Iterator[None]:
    with style.context(["default", SETTINGS]), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn with boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def _rendered(figure: Figure, kind: str) -> bytes:
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _draw_interval(axes: Axes, report: GrowthReport) -> None:
    """Objective and bound against rounds, what lies between them shaded."""
    objectives = [(row.round, row.objective) for row in report.rounds if math.isfinite(row.objective)]
    bounded = _bounded(report)
    marker = "o" if len(report.rounds) <= MOST_MARKERS else ""
    axes.set_title(lowered(report))
    axes.set_xlabel("round")
    axes.set_ylabel("objective (loss + penalty)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.margins(x=0.06, y=0.16)
    axes.plot(*zip(*objectives, strict=True), color=OBJECTIVE, marker=marker)
    _label(axes, "objective", objectives[0], (0, 7), OBJECTIVE)
    if not bounded:
        return
    rounds, lower, upper = zip(*((row.round, row.lower_bound, row.objective) for row in bounded), strict=True)
    axes.plot(rounds, lower, color=BOUND, marker=marker)
    axes.fill_between(rounds, lower, upper, color=SOFT, alpha=0.14, linewidth=0)
    _label(axes, "lower bound", (rounds[0], lower[0]), (0, -7), BOUND)
    low, high = axes.get_ylim()
    if len(bounded) > 1 and upper[0] - lower[0] > ROOM_SHARE * (high - low):
        _label(axes, "gap", (rounds[0], (lower[0] + upper[0]) / 2), (9, 0), SOFT)


def _draw_gap(axes: Axes, report: GrowthReport, tolerance: float | None) -> None:
    """Relative gap on a logarithmic scale against seconds, the last one in words."""
    bounded = _bounded(report)
    axes.set_title(widths(report))
    axes.set_xlabel("elapsed (seconds)")
    axes.set_ylabel("relative gap (share of the objective)")
    if not bounded:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no lower bound was found", transform=axes.transAxes, ha="center", color=SOFT)
        return
    points = [(row.seconds, max(row.relative_gap, SMALLEST_GAP)) for row in bounded]
    axes.set_yscale("log")
    axes.margins(y=0.2)
    marker = "o" if len(points) <= MOST_MARKERS else ""
    axes.plot(*zip(*points, strict=True), color=INK, marker=marker)
    axes.plot(*points[-1], color=INK, marker="o", markersize=7, linestyle="none")
    axes.annotate(
        f"gap {bounded[-1].relative_gap:.2e}\nwidth {bounded[-1].width}",
        points[-1],
        xytext=(9, 0),
        textcoords="offset points",
        # Away from the line of the tolerance.
        va="top" if tolerance is not None and points[-1][1] <= tolerance else "bottom",
        weight="bold",
    )
    end = points[-1][0]
    axes.set_xlim(0, end * (1 + LABEL_SHARE) if end > 0 else 1)
    if tolerance is not None and tolerance > 0:
        axes.axhline(tolerance, color=TOLERANCE, linestyle=(0, (5, 3)), linewidth=1.4)
        across = axes.get_yaxis_transform()
        axes.text(0.015, tolerance, f"tolerance {tolerance:g}", transform=across, va="bottom", color=TOLERANCE)


def _bounded(report: GrowthReport) -> list[GrowthRound]:
    return [row for row in report.rounds if math.isfinite(row.gap)]


def _label(axes: Axes, text: str, at: tuple[float, float], offset: tuple[int, int], color: str) -> None:
    """Text beside a point, above, below or right of it after the sign of the offset in points."""
    side = "center" if offset[1] == 0 else "bottom" if offset[1] > 0 else "top"
    axes.annotate(text, at, xytext=offset, textcoords="offset points", color=color, va=side, weight="bold")


def _shortened(title: str) -> str:
    if len(title) <= LONGEST_TITLE:
        return title
    half = LONGEST_TITLE // 2
    return f"{title[: half - 1]}…{title[-half:]}"
