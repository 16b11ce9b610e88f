"""One pass over the items of an audit: prepare, answer or start, take what ends, judge."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, final

from certify.audits.baseline import Standing
from certify.audits.judgement import code_of, failure_of
from certify.audits.plan import Plan, PlannedItem, hard_limit
from certify.audits.results_file import Record
from certify.certificates.audit_result import AuditItem, Origin
from certify.certificates.gravity import gravest
from certify.errors import CertifyError, UsageError
from certify.reports.result_json import error_object
from certify.workflows.audit_memory import Memory, Prepared
from certify.workflows.audit_pool import CPU, Finished, Pool, Settings, Task, memory_of

# Longest time without a look at the clock.
TICK_SECONDS = 0.25


class AuditListener(Protocol):
    """Is told what happens; must not fail."""

    def started(self, item: PlannedItem, folder: Path | None) -> None:
        """An item's process was started; it leaves its progress in the folder, if that can be seen."""

    def ended(self, item: AuditItem) -> None:
        """An item is finished."""

    def tick(self) -> None:
        """A moment passed."""


@final
class AuditRun:
    """The state of a pass: what waits, what runs, what is finished."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        memory: Memory,
        baseline: Mapping[str, Standing],
        listener: AuditListener,
    ) -> None:
        """Nothing is started yet.

        Args:
            plan: the items.
            settings: how they are run.
            memory: what is known from before.
            baseline: what to compare with; empty without one.
            listener: told of progress.
        """
        self._plan, self._settings, self._memory = plan, settings, memory
        self._baseline, self._listener = baseline, listener
        self._finished: dict[int, AuditItem] = {}
        self._prepared: dict[int, tuple[Prepared, tuple[Record, Origin] | None]] = {}
        # One queue for each choice of devices, so that a busy GPU holds up nobody else.
        self._waiting: dict[tuple[str, ...], deque[int]] = {}
        for index, item in enumerate(plan.items):
            self._waiting.setdefault(item.devices or settings.devices, deque()).append(index)
        self.notes: list[str] = []

    @property
    def finished(self) -> tuple[AuditItem, ...]:
        """The finished items, in the order of the plan."""
        return tuple(self._finished[index] for index in sorted(self._finished))

    def through(self, pool: Pool, *, fail_fast: bool, fail_on: Collection[str]) -> None:
        """Until everything is finished, or with `fail_fast` until something counts."""
        while any(self._waiting.values()) or pool.busy:
            for devices, queue in self._waiting.items():
                while queue and (device := pool.room(devices)) is not None:
                    self._begin(pool, queue.popleft(), device)
                    if self._stops(fail_fast=fail_fast, fail_on=fail_on):
                        return
            for finished in pool.wait(TICK_SECONDS):
                self._take(pool, finished)
                if self._stops(fail_fast=fail_fast, fail_on=fail_on):
                    return
            self._listener.tick()

    def _stops(self, *, fail_fast: bool, fail_on: Collection[str]) -> bool:
        return fail_fast and gravest((item.counted_code for item in self._finished.values()), fail_on) != 0

    def _begin(self, pool: Pool, index: int, device: str) -> None:
        """Answer an item, or start the process that does."""
        item, began = self._plan.items[index], time.monotonic()
        try:
            prepared = self._memory.prepared(item, self._settings.seed, device)
        except CertifyError as error:
            self._end(index, _error(item, error), "run", time.monotonic() - began)
            return
        answer = self._memory.answer(prepared.key)
        self._prepared[index] = (prepared, answer)
        if answer is None:
            self._check(pool, index, device)
        elif answer[0].certificate is None:
            self._end(index, self._known(item, answer[0]), answer[1], time.monotonic() - began)
        else:
            self._recheck(pool, index, answer[0])

    def _check(self, pool: Pool, index: int, device: str) -> None:
        item, prepared = self._plan.items[index], self._prepared[index][0]
        arguments = {
            "content": prepared.content,
            "device": device,
            "seed": self._settings.seed,
            "threads": self._settings.threads,
        }
        self._listener.started(item, pool.start(self._task(index, arguments, recheck=False, device=device)))

    def _recheck(self, pool: Pool, index: int, record: Record) -> None:
        """Have the independent checker look at the certificate that a known result rests on."""
        prepared = self._prepared[index][0]
        result = record.result
        arguments = {
            "certificate": self._memory.certificate_path(record),
            "content": prepared.content,
            "data": prepared.data,
            "claim": [result["objective"], result["lower_bound"]],
            "certified": result["verdict"] == "certified",
        }
        pool.start(self._task(index, arguments, recheck=True, device=CPU))

    def _task(self, index: int, arguments: Mapping[str, Any], *, recheck: bool, device: str) -> Task:
        item, prepared = self._plan.items[index], self._prepared[index][0]
        return Task(
            index=index,
            recheck=recheck,
            arguments=arguments,
            seconds=hard_limit(item, prepared.spec.budget.seconds),
            memory=memory_of(item.memory_gib),
            device=device,
        )

    def _known(self, item: PlannedItem, record: Record) -> dict[str, Any]:
        """A result from before, naming the files of this audit."""
        result = dict(record.result)
        if record.certificate is not None:
            result["certificate"] = self._memory.certificate_path(record)
        return {**result, "model": {**result["model"], "path": str(item.model)}}

    def _take(self, pool: Pool, finished: Finished) -> None:
        index = finished.task.index
        prepared, answer = self._prepared[index]
        item = self._plan.items[index]
        if answer is None:
            result = finished.outcome
            if isinstance(result, CertifyError):
                result = _error(item, result)
            # A worker elsewhere names the model by another path.
            result = {**result, "model": {**result["model"], "path": str(item.model)}}
            kept = self._memory.keep(item.name, prepared, result, finished.certificate, finished.seconds)
            if kept is None:
                self.notes.append(f"{item.name}: a file changed while it was checked; the result was not kept")
            self._end(index, kept or result, "run", finished.seconds)
            return
        record, origin = answer
        outcome = finished.outcome
        why = str(outcome) if isinstance(outcome, CertifyError) else outcome["why"]
        if not why:
            self._end(index, self._known(item, record), origin, finished.seconds)
            return
        self.notes.append(f"{item.name}: the cached certificate does not hold and was not used: {why}")
        self._prepared[index] = (prepared, None)
        devices = item.devices or self._settings.devices
        self._check(pool, index, pool.room(devices) or devices[0])

    def _end(self, index: int, result: Mapping[str, Any], origin: Origin, seconds: float) -> None:
        self._prepared.pop(index, None)
        item = self._plan.items[index]
        failure, counted = failure_of(item, result, self._baseline.get(item.name))
        self._finished[index] = AuditItem(
            name=item.name,
            model=str(item.model),
            file=str(self._plan.path),
            line=item.line,
            column=item.column,
            expect=item.expect,
            failure=failure,
            exit_code=code_of(result),
            counted_code=counted,
            origin=origin,
            seconds=seconds,
            result=result,
        )
        self._listener.ended(self._finished[index])


def _error(item: PlannedItem, error: CertifyError) -> dict[str, Any]:
    named = isinstance(error, UsageError) or str(item.model) in str(error)
    message = str(error) if named else f"{item.model}: {error}"
    return error_object(str(item.model), error.code, int(error.exit_code), message)
