"""A growth as a picture: objective and lower bound by round, gap by time; `.svg`, `.png` or a page `.html`."""

from __future__ import annotations

from pathlib import Path

from certify.certificates.growth_report import GrowthReport
from certify.errors import UsageError
from certify.whole_file import ensure_writable, write_whole

SUFFIXES = (".svg", ".png", ".html")
INSTALL = "pip install 'certify-optimality[plot]'"


def require_plottable(path: str | Path) -> None:
    """Check, before long work, that a plot can be written there.

    Raises:
        UsageError: the suffix names no format of plots, matplotlib is not installed, or the path cannot be written.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a plot is a .svg, .png or .html file; name one of these")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        message = f"{path}: plots need matplotlib, which cannot be imported: {error}; {INSTALL}"
        raise UsageError(message, code="missing-extra") from error
    ensure_writable(path)


def write_growth_plot(path: str | Path, report: GrowthReport, title: str, tolerance: float | None = None) -> None:
    """Write the picture of at least one round, in the format of the suffix; the file is whole or as it was before.

    The title is text above the plot, such as the name of the model; the tolerance a relative gap to mark.

    Raises:
        UsageError: as of `require_plottable`; or the file could not be written after all.
    """
    require_plottable(path)
    from certify.reports.growth_html import growth_page
    from certify.reports.growth_panels import draw_panels, drawn_image

    # A file name may hold what no picture can show.
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in title)
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind == "html":
        write_whole(path, growth_page(report, shown, draw_panels(report, tolerance)).encode())
    else:
        write_whole(path, drawn_image(report, shown, tolerance, kind))
