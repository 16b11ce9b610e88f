"""What every report is made from: one entry per model, with its result or why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from certify.certificates.gravity import OUTCOMES
from certify.certificates.result import Result

Content = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """Why a model has no result: a code for `certify explain`, and where, what was found and what is needed."""

    code: str
    message: str


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is shown: a line of a text file, or the start of any other."""

    path: str
    line: int = 1
    column: int = 1


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a report.

    Attributes:
        name: path of the model, or the name that the audit gives it; unique in its report.
        outcome: its result, or why there is none.
        content: the same as `certify.result/1` or error object, as JSON shows it.
        place: what annotations point at.
        exit_code: what the model adds to the exit code; 0 is a pass.
        unmet: why an audit counts the model against it, as one sentence; empty if it passes or there is no audit.
        origin: `run`, `cache` or `resumed`.
        seconds: wall clock.
    """

    name: str
    outcome: Result | Failure
    content: Content
    place: Place
    exit_code: int
    unmet: str = ""
    origin: str = "run"
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the model stands as required."""
        return self.exit_code == 0

    @property
    def result(self) -> Result | None:
        """The result, None where there is none."""
        return self.outcome if isinstance(self.outcome, Result) else None

    @property
    def state(self) -> str:
        """The verdict, or `failed`."""
        return self.outcome.verdict if isinstance(self.outcome, Result) else "failed"

    @property
    def reason(self) -> str:
        """Reason code."""
        return self.outcome.reason if isinstance(self.outcome, Result) else self.outcome.code

    @property
    def message(self) -> str:
        """The reason as one sentence."""
        return self.outcome.message


@final
@dataclass(frozen=True, slots=True)
class Report:
    """One run: all entries in the order in which they were asked for.

    Attributes:
        document: what the format `json` holds.
        left_out: names of models that were not checked, as the run ended early.
        notes: what a reader should know about the run as a whole.
    """

    entries: tuple[Entry, ...]
    document: Content | list[Content]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def states(self) -> dict[str, int]:
        """How many entries are in each state that occurs."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in OUTCOMES if found[state]}


def uniquely_named(names: list[str]) -> list[str]:
    """The names, with ` (2)`, ` (3)`, … where one occurs again."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, copy = name, 1
        while candidate in taken:
            copy += 1
            candidate = f"{name} ({copy})"
        taken.add(candidate)
        unique.append(candidate)
    return unique
