"""One pass over the items of an audit: prepare, answer or start, take what ends, judge."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from certify.audits.baseline import Standing
from certify.audits.judgement import code_of, failure_of
from certify.audits.limits import physical_memory
from certify.audits.plan import Plan, PlannedItem, hard_limit
from certify.audits.results_file import Record
from certify.audits.workers import Ended, Job
from certify.certificates.audit_result import AuditItem, Origin
from certify.certificates.gravity import gravest
from certify.errors import CertifyError, UsageError
from certify.reports.result_json import error_object
from certify.workflows.audit_cluster import Pool
from certify.workflows.audit_memory import Memory, Prepared
from certify.workflows.audit_pool import CHECK, RECHECK, Settings, Task

# Longest time without a look at the clock.
WAIT_SECONDS = 0.25


@final
@dataclass(frozen=True, slots=True)
class AuditListener:
    """Is told that an item has started, which leaves its progress in the folder, if that can be seen, or has ended.

    By default it says nothing. Must not fail.
    """

    started: Callable[[PlannedItem, Path | None], None] = lambda item, folder: None
    ended: Callable[[AuditItem], None] = lambda item: None


@final
class AuditRun:
    """The state of a pass: what waits, what runs, what is finished."""

    def __init__(
        self, plan: Plan, settings: Settings, memory: Memory, baseline: Mapping[str, Standing], listener: AuditListener
    ) -> None:
        """Nothing is started yet; the baseline is empty where there is none."""
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
            for _ in self._steps(pool):
                if fail_fast and gravest((item.counted_code for item in self._finished.values()), fail_on):
                    return

    def _steps(self, pool: Pool) -> Iterator[None]:
        """Begin what there is room for and take what has ended, item by item."""
        for devices, queue in self._waiting.items():
            while queue and (device := pool.room(devices)) is not None:
                self._begin(pool, queue.popleft(), device)
                yield
        for task, ended in pool.wait(WAIT_SECONDS):
            self._take(pool, task.index, ended)
            yield

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
            self._recheck(pool, index, answer[0], device)

    def _check(self, pool: Pool, index: int, device: str) -> None:
        run = {"device": device, "seed": self._settings.seed, "threads": self._settings.threads}
        folder = pool.start(self._task(index, run, recheck=False, device=device))
        self._listener.started(self._plan.items[index], folder)

    def _recheck(self, pool: Pool, index: int, record: Record, device: str) -> None:
        """Have the independent checker look at the certificate that a known result rests on."""
        result = record.result
        arguments = {
            "certificate": self._memory.certificate_path(record),
            "claim": [result["objective"], result["lower_bound"], result["gap"]["relative"]],
            "certified": result["verdict"] == "certified",
            "chance": result["failure_probability"],
            "device": device,
        }
        pool.start(self._task(index, arguments, recheck=True, device=device))

    def _task(self, index: int, arguments: Mapping[str, Any], *, recheck: bool, device: str) -> Task:
        item, spec = self._plan.items[index], self._prepared[index][0].spec
        content = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        seconds = hard_limit(item, spec.budget.seconds)
        memory = int(item.limits.memory_gib * 2**30) if item.limits.memory_gib else physical_memory()
        job = Job(RECHECK if recheck else CHECK, {"content": content, **arguments}, seconds, memory)
        return Task(index=index, recheck=recheck, job=job, device=device)

    def _known(self, item: PlannedItem, record: Record) -> dict[str, Any]:
        """A result from before, naming the files of this audit."""
        result = _renamed(record.result, item)
        return {**result, "certificate": self._memory.certificate_path(record)} if record.certificate else result

    def _take(self, pool: Pool, index: int, ended: Ended) -> None:
        prepared, answer = self._prepared[index]
        item, outcome = self._plan.items[index], ended.outcome
        if answer is None:
            # A worker elsewhere names the model by another path.
            result = _error(item, outcome) if isinstance(outcome, CertifyError) else _renamed(outcome, item)
            kept = self._memory.keep(item.name, prepared, result, ended.left, ended.seconds)
            if kept is None:
                self.notes.append(f"{item.name}: a file changed while it was checked; the result was not kept")
            self._end(index, kept or result, "run", ended.seconds)
            return
        record, origin = answer
        why = str(outcome) if isinstance(outcome, CertifyError) else outcome["why"]
        if not why:
            self._end(index, self._known(item, record), origin, ended.seconds)
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


def _renamed(result: Mapping[str, Any], item: PlannedItem) -> dict[str, Any]:
    return {**result, "model": {**result["model"], "path": str(item.model)}}


def _error(item: PlannedItem, error: CertifyError) -> dict[str, Any]:
    named = isinstance(error, UsageError) or str(item.model) in str(error)
    message = str(error) if named else f"{item.model}: {error}"
    return error_object(str(item.model), error.code, int(error.exit_code), message)
