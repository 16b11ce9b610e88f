r"""Where text leaves for a terminal, a file or a service: names in it are anybody's, so nothing in it may act.

Control characters (which move cursors, color, set titles, end lines), marks that change the order of letters and lone
surrogates are shown as \uXXXX, also valid JSON; line feeds and tabs stay. What certify colors itself is added later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def inert(text: str) -> str:
    """The text with every character that acts replaced by its escape."""
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def inert_line(text: str) -> str:
    """The text on one line: line feeds and tabs escaped too."""
    return inert(text).replace("\n", "\\u000a").replace("\t", "\\u0009")


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text on stdout or stderr."""
    click.echo(inert(text), err=err, nl=nl)


def styled_console(*, color: bool, file: IO[str] | None = None, width: int | None = None) -> Console:
    """A terminal for styled text, which shows all text inert; stderr where no file is given."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class InertConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else inert(text), style, control)

    # None leaves it to the variable NO_COLOR.
    no_color = None if color else True
    return InertConsole(file=file, stderr=file is None, no_color=no_color, highlight=False, width=width)
