"""Results as one self-contained HTML page: no request leaves it, and nothing in a name becomes markup.

The page's policy lets run its own script and style alone, named by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from certify.certificates.gravity import OUTCOMES
from certify.reports import claims, phrases, plots
from certify.reports.report import Report
from certify.reports.result_markdown import notes_of
from certify.version import __version__

# Of more models than this, every card starts closed.
MOST_OPEN = 50

STATE_WORDS = {
    "certified": "proven optimal within the tolerance",
    "undecided": "neither proven nor refuted in the time given",
    "improvable": "a better model was built and evaluated",
    "failed": "could not be checked; the reason says why",
}


def html_report(report: Report) -> str:
    """The page."""
    page, style, script = _sources()
    return page.render(
        report=report,
        states=[(state, STATE_WORDS[state], report.states.get(state, 0)) for state in OUTCOMES],
        counted=phrases.counted(report),
        notes=notes_of(report),
        claims=claims,
        phrases=phrases,
        plots=plots,
        most_open=MOST_OPEN,
        version=__version__,
        style=style,
        script=script,
        digests={"style": _digest(style), "script": _digest(script)},
    )


@cache
def _sources() -> tuple[Template, str, str]:
    loader = PackageLoader("certify.reports", "html")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["sortable"] = _sortable
    style, script = (loader.get_source(environment, name)[0] for name in ("page.css", "page.js"))
    return environment.get_template("page.html"), style, script


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _sortable(value: float | None) -> str:
    """A number that the page's script sorts by; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else repr(value)
