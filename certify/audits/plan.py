"""The plan of an audit: every item with its model, its problem, its limits and what is expected of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from certify.audits.audit_file import AuditDocument, Entry, Limits, load_audit_file
from certify.audits.expansion import Combination, all_cases, is_glob, label
from certify.certificates.audit_result import Expectation
from certify.errors import UsageError
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import (
    SCHEMA,
    ProblemSpec,
    load_problem_file,
    problem_file_beside,
    spec_from_content,
)
from certify.models.spec.problem_validation import did_you_mean

# Without a limit of its own, an item is ended after this many budgets and seconds.
BUDGETS_ALLOWED = 2.0
SECONDS_ALLOWED = 60.0


@final
@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One check that the audit asks for.

    Attributes:
        name: unique in the audit.
        problem: a problem file, or a whole problem whose model is another path; see `spec`.
        changes: what the audit says instead of the problem file.
        expect: the verdict asked for.
        max_relative_gap: largest gap taken, or None.
        limits: of the process.
        devices: one of them is taken; empty for the command line's.
        line, column: of the entry in the audit file, from 1.
    """

    name: str
    model: Path
    problem: Path | ProblemSpec
    changes: Overrides
    expect: Expectation
    max_relative_gap: float | None
    limits: Limits
    devices: tuple[str, ...]
    line: int
    column: int

    def spec(self) -> ProblemSpec:
        """The problem, read now if it is in a file.

        Raises:
            UsageError: a problem file that is missing or none.
            UnsupportedError: a penalty that has no certificate.
        """
        if isinstance(self.problem, ProblemSpec):
            model = self.problem.model.model_copy(update={"path": self.model})
            return self.problem.model_copy(update={"model": model})
        return load_problem_file(self.problem).with_overrides(self.changes)

    @property
    def budget_seconds(self) -> float | None:
        """Where the plan knows it; a problem file that was not read yet may say another one."""
        if isinstance(self.problem, ProblemSpec):
            return self.problem.budget.seconds
        return self.changes.budget_seconds


def hard_limit(item: PlannedItem, budget_seconds: float) -> float:
    """Wall clock seconds after which the process of an item is ended."""
    return item.limits.seconds or BUDGETS_ALLOWED * budget_seconds + SECONDS_ALLOWED


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """Items of the audit file `path`, in its order; `whole` says whether these are all of them."""

    path: Path
    items: tuple[PlannedItem, ...]
    whole: bool = True

    def only(self, names: Sequence[str]) -> Plan:
        """The items of these names or patterns; all without any.

        Raises:
            UsageError: a name that no item has.
        """
        if not names:
            return self
        known = [item.name for item in self.items]
        chosen: set[str] = set()
        for name in names:
            found = [entry for entry in known if entry == name] or fnmatch.filter(known, name)
            if not found:
                raise UsageError(f"--only {name}: no item has this name{_hint(name, known)}", code="audit-file")
            chosen.update(found)
        return Plan(self.path, tuple(item for item in self.items if item.name in chosen), whole=False)


def load_plan(path: str | Path, *, allow_empty: bool = False) -> Plan:
    """Read an audit file and list its items; problem files and models are not opened.

    Raises:
        UsageError: anything in the file that does not serve, with line and column; a glob that matches nothing.
        RefusedError: the file is too large.
        UnsupportedError: a penalty that has no certificate.
    """
    audit = load_audit_file(path)
    return Plan(audit.document.path, tuple(_unique(audit, _items(audit, allow_empty=allow_empty))))


def _items(audit: AuditDocument, *, allow_empty: bool) -> Iterator[tuple[int, PlannedItem]]:
    for number, combination, entry, files in all_cases(audit, allow_empty=allow_empty):
        position = audit.document.position(("models", number))
        shared, devices = _shared_problem(audit, number, entry), tuple(entry.device.split(",")) if entry.device else ()
        for file in files:
            model = audit.folder / file
            item = PlannedItem(
                name=_name(audit, entry, file, combination),
                model=model,
                problem=problem_file_beside(model) if shared is None else shared,
                changes=Overrides(
                    model=str(model),
                    relative_gap=entry.tolerance.relative_gap,
                    absolute_gap=entry.tolerance.absolute_gap,
                    budget_seconds=entry.budget.seconds,
                ),
                expect=entry.expect,
                max_relative_gap=entry.max_relative_gap,
                limits=entry.limits,
                devices=devices,
                line=position.line,
                column=position.column,
            )
            yield number, item


def _name(audit: AuditDocument, entry: Entry, file: str, combination: Combination) -> str:
    path = Path(file).as_posix()
    parts = [entry.name, path] if is_glob(audit.folder, entry.path) else [entry.name or path]
    return "/".join(part for part in parts if part) + label(combination)


def _shared_problem(audit: AuditDocument, number: int, entry: Entry) -> Path | ProblemSpec | None:
    """The problem that the entry names for all its files; None where each has its own beside it."""
    if entry.problem is None:
        return None
    if isinstance(entry.problem, str):
        return audit.folder / entry.problem
    content = {"schema": SCHEMA, **entry.problem}
    for name, section in (("tolerance", entry.tolerance), ("budget", entry.budget)):
        if changes := section.model_dump(exclude_none=True):
            content[name] = _over(content.get(name, {}), changes)
    content["model"] = _over(content.get("model", {}), {"path": entry.path})
    return spec_from_content(content, audit.folder, *audit.readers(number, "problem"))


def _over(section: Any, changes: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A section with changes; one that is no mapping is left for the validation to name."""
    return {**section, **changes} if isinstance(section, Mapping) else section


def _unique(audit: AuditDocument, items: Iterator[tuple[int, PlannedItem]]) -> Iterator[PlannedItem]:
    lines: dict[str, int] = {}
    for number, item in items:
        if item.name in lines:
            problem = f"two items are named '{item.name}', the first one on line {lines[item.name]}; give one a 'name'"
            raise audit.fault(("models", number), problem)
        lines[item.name] = item.line
        yield item


def _hint(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known) if len(known) <= 10 else did_you_mean(name, known).partition(" (known")[0]
