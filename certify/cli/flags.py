"""What the command line asks for, as frozen values; `options` declares the flags that they are parsed from.

A field is named as the parameter of its flag; None is a flag that was not given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, final, get_type_hints

from certify.models.spec.overrides import Overrides
from certify.reports.terminal import styled_console

if TYPE_CHECKING:
    from rich.console import Console

Flags = TypeVar("Flags")


def parsed(kind: type[Flags], found: Mapping[str, Any]) -> Flags:
    """The flags of one kind, and of those that are its fields, from all that click found."""
    parts = {
        name: parsed(hint, found) if isinstance(hint, type) and is_dataclass(hint) else found[name]
        for name, hint in get_type_hints(kind).items()
    }
    return kind(**parts)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFlags:
    """Which problem: its file, and what to take instead of what is said there."""

    problem_file: str | None
    overrides: Overrides


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """How to compute."""

    device: str
    threads: int | None
    seed: int
    failure_probability: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFlags:
    """What to show, and where."""

    format: str
    outputs: tuple[str, ...]
    quiet: bool
    verbose: bool
    no_color: bool

    @property
    def color(self) -> bool:
        """Whether styles are allowed."""
        return not self.no_color and not os.environ.get("NO_COLOR")

    def console(self, width: int | None = None) -> Console:
        """Standard output for styled text, by default as wide as it is."""
        return styled_console(file=sys.stdout, color=self.color, width=width)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFlags:
    """All flags of `certify check`."""

    problem: ProblemFlags
    run: RunFlags
    report: ReportFlags
    certificate: str | None
    output_model: str | None
    checkpoint: str | None
    cluster: str | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GrowFlags:
    """All flags of `certify grow`."""

    problem: ProblemFlags
    run: RunFlags
    report: ReportFlags
    output_model: str | None
    from_scratch: bool
    no_prune: bool
    state: str | None
    resume: str | None
    checkpoint: str | None
    cluster: str | None
    certificate: str | None
    plot: str | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFlags:
    """All flags of `certify audit`."""

    report: ReportFlags
    plan: bool
    jobs: int | None
    device: str
    threads: int | None
    seed: int
    cache: str | None
    no_cache: bool
    resume: bool
    only: tuple[str, ...]
    allow_empty: bool
    fail_fast: bool
    fail_on: tuple[str, ...]
    cluster: str | None
    baseline: str | None
    update_baseline: bool
