"""Where an audit's items run: a process each on this machine, so many at a time, and one at a time on each GPU."""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from certify.audits.workers import Ended, Job, Workers

CHECK = "certify.workflows.audit_jobs:check_item"
RECHECK = "certify.workflows.audit_recheck:recheck_item"
# Imported before the first job; a recheck solves nothing.
CHECK_MODULES = ("certify.workflows.audit_jobs", "cvxpy")
RECHECK_MODULES = ("certify.workflows.audit_recheck",)
CPU = "cpu"


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How items are run: so many jobs at a time on the CPU; the devices are for items that name none.

    The threads are those of each item; None for the cores divided by the jobs, and fewer for small problems.
    """

    jobs: int
    devices: tuple[str, ...] = (CPU,)
    seed: int = 0
    threads: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A check to run, or with `recheck` a cached certificate to check again, for the item of this index in the plan."""

    index: int
    recheck: bool
    job: Job
    device: str


@final
class LocalPool:
    """Runs tasks in processes on this machine."""

    def __init__(self, settings: Settings) -> None:
        threads = settings.threads or max(1, available_cores() // settings.jobs)
        self._jobs = settings.jobs
        self._open = contextlib.ExitStack()
        self._checks = self._open.enter_context(Workers(CHECK_MODULES, threads))
        self._rechecks = self._open.enter_context(Workers(RECHECK_MODULES, 1))
        self._tasks: dict[tuple[bool, int], Task] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def room(self, devices: tuple[str, ...]) -> str | None:
        """One of the devices that takes another task now, or None."""
        taken = [task.device for task in self._tasks.values()]
        return next((name for name in devices if taken.count(name) < (self._jobs if name == CPU else 1)), None)

    def start(self, task: Task) -> Path | None:
        """Start a task; returns the folder where it leaves its progress, if that can be seen."""
        workers = self._rechecks if task.recheck else self._checks
        job = workers.start(task.job)
        self._tasks[(task.recheck, job)] = task
        return workers.folder(job)

    @property
    def busy(self) -> bool:
        """Whether any task runs."""
        return bool(self._tasks)

    def wait(self, seconds: float) -> list[tuple[Task, Ended]]:
        """The tasks that have ended, and how, after at most so many seconds."""
        channels = [workers.channel for workers in (self._checks, self._rechecks) if workers.channel]
        nearest = min(self._checks.deadline(), self._rechecks.deadline())
        patience = min(seconds, max(0.0, nearest - time.monotonic()))
        if channels:
            select.select(channels, [], [], patience)
        return [
            (self._tasks.pop((recheck, ended.id)), ended)
            for recheck, workers in ((False, self._checks), (True, self._rechecks))
            for ended in workers.wait(0)
        ]
