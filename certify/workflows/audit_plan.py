"""`certify audit --plan`: what would run, what it would cost, and what the cache is expected to answer.

Nothing large is read: digests come from what is remembered of files, by size, times and inode, and only small files
that are not remembered are read. The audit itself reads every file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from certify.audits.digests import DigestIndex, signature
from certify.audits.keys import asked_digest, result_key
from certify.audits.plan import DEFAULT_BUDGET, Plan, PlannedItem
from certify.audits.results_file import Record, ResultsFile
from certify.errors import CertifyError
from certify.workflows.audit import AuditOptions

Expected = Literal["cached", "run", "missing"]
# Problem files that a plan parses to find answers of items that it does not know by name.
MOST_PROBLEMS = 100
# Items that the plan lists; the rest is counted.
MOST_ROWS = 200


@final
@dataclass(frozen=True, slots=True)
class PlannedAnswer:
    """What is expected of one item.

    Attributes:
        item: which.
        expected: `cached`, `run`, or `missing` where a file is not there.
        verdict: the cached one, or None.
        seconds: of the last run of this item, or None.
        budget: seconds that the check may take; None where the problem file says it and was not read.
    """

    item: PlannedItem
    expected: Expected
    verdict: str | None
    seconds: float | None
    budget: float | None


def planned(plan: Plan, options: AuditOptions) -> list[PlannedAnswer]:
    """What is expected of every item."""
    if not options.cache.results.exists():
        return [_answer(item, None, {}) for item in plan.items]
    digests = DigestIndex(options.cache.digests)
    with ResultsFile(options.cache.results) as results:
        before = results.by_name()
        lookup = _Lookup(results, before, digests, options)
        found = [_answer(item, lookup.verdict(item) if options.use_cache else None, before) for item in plan.items]
    digests.save()
    return found


@final
class _Lookup:
    """Looks for the answer to an item: by its name and the files of its last run, or else by its whole problem."""

    def __init__(
        self, results: ResultsFile, before: Mapping[str, Record], digests: DigestIndex, options: AuditOptions
    ) -> None:
        self._results, self._before, self._digests, self._options = results, before, digests, options
        self._problems = MOST_PROBLEMS

    def verdict(self, item: PlannedItem) -> str | None:
        """The verdict that the cache is expected to give."""
        device = (item.devices or self._options.settings.devices)[0].partition(":")[0]
        seed, expected = self._options.settings.seed, self._digests.expected
        last, record = self._before.get(item.name), None
        try:
            if last is not None and last.asked == asked_digest(item, seed, device) and self._unchanged(last):
                record = self._results.verdict_of(last.key)
            elif self._problems:
                self._problems -= isinstance(item.problem, Path)
                record = self._results.verdict_of(result_key(item.spec(), expected, seed, device) or "")
        except CertifyError:
            # The audit itself will say what is wrong.
            return None
        return None if record is None else record.result["verdict"]

    def _unchanged(self, record: Record) -> bool:
        return all(self._digests.expected(Path(path), "file") == digest for path, digest in record.inputs)


def _answer(item: PlannedItem, verdict: str | None, before: Mapping[str, Record]) -> PlannedAnswer:
    expected: Expected = "cached" if verdict else "run" if signature(item.model) is not None else "missing"
    last = before.get(item.name)
    return PlannedAnswer(item, expected, verdict, None if last is None else last.seconds, item.budget_seconds)


def plan_object(plan: Plan, answers: Sequence[PlannedAnswer]) -> dict[str, Any]:
    """The plan as a JSON-ready dictionary, schema `certify.audit-plan/1`."""
    return {
        "schema": "certify.audit-plan/1",
        "file": str(plan.path),
        "items": [
            {
                "name": answer.item.name,
                "model": str(answer.item.model),
                "line": answer.item.line,
                "expect": answer.item.expect,
                "answer": answer.expected,
                "verdict": answer.verdict,
                "last_seconds": answer.seconds,
                "budget_seconds": answer.budget,
            }
            for answer in answers
        ],
    }


def plan_lines(plan: Plan, answers: Sequence[PlannedAnswer]) -> list[str]:
    """The plan as text."""
    shown = answers[:MOST_ROWS]
    width = max((len(answer.item.name) for answer in shown), default=0)
    lines = [f"{answer.expected:<8}{answer.item.name:<{width}}  {_cost(answer)}" for answer in shown]
    if len(answers) > len(shown):
        lines.append(f"and {len(answers) - len(shown)} more")
    return [*lines, _summary(plan, answers)]


def _cost(answer: PlannedAnswer) -> str:
    if answer.expected == "cached":
        return f"{answer.verdict}, verified again"
    if answer.expected == "missing":
        return f"{answer.item.model} is not there"
    if answer.seconds is not None:
        return f"took {answer.seconds:.1f} s last time"
    return "up to the budget of its problem file" if answer.budget is None else f"up to {answer.budget:g} s"


def _summary(plan: Plan, answers: Sequence[PlannedAnswer]) -> str:
    counts = {kind: sum(answer.expected == kind for answer in answers) for kind in ("cached", "run", "missing")}
    running = [answer for answer in answers if answer.expected == "run"]
    known = [answer.seconds for answer in running if answer.seconds is not None]
    most = sum(answer.budget or DEFAULT_BUDGET for answer in running if answer.seconds is None)
    cost = [f"{sum(known):.0f} s as last time"] if known else []
    cost += (
        [f"at most about {most:.0f} s for {len(running) - len(known)} new ones"] if len(running) > len(known) else []
    )
    total = f"; on one core: {', '.join(cost)}" if cost else ""
    return f"{plan.path}: {len(answers)} items: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()) + total
