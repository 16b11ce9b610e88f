"""Progress on stderr: a live line with the closing interval on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from certify.certificates.gap import relative_gap
from certify.progress import Listener, Progress, paced, silent
from certify.reports import phrases
from certify.reports.terminal import say, styled_console

# Off a terminal, at most one line in this many seconds.
PLAIN_INTERVAL = 2.0


@contextmanager
def progress_view(model: str, *, quiet: bool, color: bool) -> Iterator[Listener]:
    """A listener for one model."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with styled_console(color=color).status(f"{model}: reading the landscape") as status:
            yield lambda event: status.update(interval_line(event))
    else:
        began = time.monotonic()
        yield paced(lambda event: say(f"{model}: {interval_line(event)}", err=True), PLAIN_INTERVAL, began)


def interval_line(event: Progress) -> str:
    """Where the optimum lies so far, in one line."""
    upper, lower, words = event.objective, event.lower_bound, _words(event)
    if upper is None:
        return f"{event.phase}{words}"
    if lower is None or not math.isfinite(lower):
        return f"{event.phase}: best objective {phrases.at_most(upper)}{words}"
    gap = relative_gap(upper - lower, upper)
    return f"{event.phase}: {phrases.at_least(lower)} ≤ optimum ≤ {phrases.at_most(upper)}, gap {gap:.2%}{words}"


def _words(event: Progress) -> str:
    method = f"{event.method}: {event.detail}" if event.method and event.detail else event.method or event.detail
    polar = "" if event.polar is None else f"polar at most {event.polar[1]:.4f} λ"
    words = ", ".join(part for part in (method, polar) if part)
    return f"  ({words})" if words else ""
