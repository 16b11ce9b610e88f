"""`certify audit`: answer from the cache what did not change, run the rest in processes, judge, and sum up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from certify.audits.baseline import Standing, load_baseline, save_baseline, standing_of
from certify.audits.cache import CachePlace
from certify.audits.digests import DigestIndex, absolute
from certify.audits.plan import Plan
from certify.audits.results_file import ResultsFile
from certify.certificates.audit_result import AuditResult
from certify.certificates.gravity import gravest
from certify.errors import ExitCode
from certify.workflows.audit_cluster import Pool
from certify.workflows.audit_memory import Memory
from certify.workflows.audit_pool import LocalPool, Settings
from certify.workflows.audit_run import AuditListener, AuditRun


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """How to run an audit.

    Attributes:
        use_cache: take verdicts of earlier audits.
        resume: take everything that the last, interrupted audit of this file had finished.
        fail_fast: stop at the first item that counts.
        fail_on: names of failures that count; all if empty.
        baseline: file to compare with, or None.
        update_baseline: write it instead of failing.
    """

    cache: CachePlace
    settings: Settings
    use_cache: bool = True
    resume: bool = False
    fail_fast: bool = False
    fail_on: tuple[str, ...] = ()
    baseline: Path | None = None
    update_baseline: bool = False


def run_audit(plan: Plan, options: AuditOptions, listener: AuditListener, pool: Pool | None = None) -> AuditResult:
    """Run a plan, by default on this machine; an interrupt ends it early with what is finished.

    Raises:
        UsageError: the cache or the baseline cannot be read or written.
    """
    started = time.monotonic()
    # The first baseline is yet to be written.
    is_first = options.update_baseline and options.baseline is not None and not options.baseline.exists()
    before = {} if options.baseline is None or is_first else load_baseline(options.baseline)
    run, interrupted = _ran(plan, options, before, listener, pool)
    items, notes = run.finished, list(run.notes)
    codes = [item.counted_code for item in items]
    if options.update_baseline and options.baseline is not None and not interrupted:
        others = {} if plan.whole else before
        save_baseline(options.baseline, {**others, **{item.name: standing_of(item.result) for item in items}})
        notes.append(f"{options.baseline}: baseline written; nothing counts against it")
        codes = []
    done = {item.name for item in items}
    return AuditResult(
        file=str(plan.path),
        items=items,
        left_out=tuple(item.name for item in plan.items if item.name not in done),
        seconds=time.monotonic() - started,
        exit_code=int(ExitCode.INTERRUPTED if interrupted else gravest(codes, options.fail_on)),
        interrupted=interrupted,
        notes=tuple(notes),
    )


def _ran(
    plan: Plan, options: AuditOptions, before: Mapping[str, Standing], listener: AuditListener, pool: Pool | None
) -> tuple[AuditRun, bool]:
    """The pass over the items, with everything kept; and whether an interrupt ended it."""
    options.cache.prepare()
    digests = DigestIndex(options.cache.digests)
    with ResultsFile(options.cache.results) as results:
        audit = absolute(plan.path)
        resumed = results.interrupted(audit) if options.resume else {}
        results.start(audit, resume=options.resume)
        memory = Memory(options.cache, results, digests, resumed, use_cache=options.use_cache)
        run = AuditRun(plan, options.settings, memory, {} if options.update_baseline else before, listener)
        interrupted = False
        try:
            # Leaving the pool kills what still runs.
            with pool or LocalPool(options.settings) as workers:
                run.through(workers, fail_fast=options.fail_fast, fail_on=options.fail_on)
        except KeyboardInterrupt:
            interrupted = True
        if len(run.finished) == len(plan.items):
            results.end()
    digests.save()
    if options.resume and not resumed:
        run.notes.append("there was no interrupted audit to resume")
    return run, interrupted
