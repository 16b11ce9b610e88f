"""A growth as one self-contained page: both panels and the rounds; it has no script and asks for nothing."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from certify.certificates.growth_report import GrowthReport
from certify.reports import phrases
from certify.reports.growth_panels import BOUND, GRID, INK, OBJECTIVE, SOFT, TOLERANCE
from certify.reports.growth_rows import HEADINGS, cells_of, lowered, widths
from certify.version import __version__

# Colors of the panels, and those of the page that stand for them in light and dark.
VARIABLES = {
    OBJECTIVE: "--objective",
    BOUND: "--bound",
    TOLERANCE: "--certified",
    INK: "--ink",
    SOFT: "--soft",
    GRID: "--line",
}

# What the panels show, for those who cannot see them.
TITLES = ("Objective and lower bound by round", "Relative gap by elapsed seconds, logarithmic")


def growth_page(report: GrowthReport, title: str, panels: tuple[str, str]) -> str:
    """The page with the panels as SVG in it."""
    page, style = _sources()
    return page.render(
        report=report,
        title=title,
        lowered=lowered(report),
        widths=widths(report),
        panels=list(zip(TITLES, map(_inlined, panels), strict=True)),
        headings=HEADINGS,
        rows=[cells_of(row) for row in report.rounds],
        subnetworks=phrases.count(report.width_bound, "subnetwork"),
        version=__version__,
        style=style,
    )


@cache
def _sources() -> tuple[Template, str]:
    loader = PackageLoader("certify.reports", "html")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style = "".join(loader.get_source(environment, name)[0] for name in ("page.css", "growth.css"))
    return environment.get_template("growth.html"), style


def _inlined(panel: str) -> str:
    """The element alone, with the colors of the page."""
    element = panel[panel.index("<svg") :]
    for color, variable in VARIABLES.items():
        element = element.replace(color, f"var({variable})")
    return element
