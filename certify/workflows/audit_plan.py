"""`certify audit --plan`: what would run, what it would cost, and what the cache is expected to answer.

Nothing large is read: digests come from what is remembered of files, by size, times and inode, and only small files
that are not remembered are read. The audit itself reads every file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import final

from certify.audits.digests import DigestIndex, signature
from certify.audits.keys import asked_digest, result_key
from certify.audits.plan import Plan, PlannedItem
from certify.audits.results_file import Record, ResultsFile
from certify.certificates.audit_plan import PlannedAnswer
from certify.errors import CertifyError
from certify.reports.audit_report import is_whole
from certify.workflows.audit import AuditOptions

# Problem files that a plan parses to find answers of items that it does not know by name.
MOST_PROBLEMS = 100


def forecast(plan: Plan, options: AuditOptions) -> list[PlannedAnswer]:
    """What is expected of every item, in the order of the plan."""
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
        return record.result["verdict"] if record is not None and is_whole(record.result) else None

    def _unchanged(self, record: Record) -> bool:
        return all(self._digests.expected(Path(path), "file") == digest for path, digest in record.inputs)


def _answer(item: PlannedItem, verdict: str | None, before: Mapping[str, Record]) -> PlannedAnswer:
    last = before.get(item.name)
    return PlannedAnswer(
        name=item.name,
        model=str(item.model),
        line=item.line,
        expect=item.expect,
        answer="cached" if verdict else "run" if signature(item.model) is not None else "missing",
        verdict=verdict,
        last_seconds=None if last is None else last.seconds,
        budget_seconds=item.budget_seconds,
    )
