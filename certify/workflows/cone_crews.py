"""Who works on packs of cones: processes on this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self, final

from certify.audits.limits import physical_memory
from certify.audits.workers import Ended, Job, Workers
from certify.bounds.labor import ALONE, Crew
from certify.models.loading import Problem
from certify.workflows.audit_cluster import connected
from certify.workflows.audit_pool import CPU, available_cores

REFINE = "certify.workflows.cone_jobs:refine_pack"
MODULES = ("certify.workflows.cone_jobs",)
# A process that takes so long, or so much memory, hangs: a pack is worked on for seconds.
HARD_SECONDS = 120.0
HARD_MEMORY = 4 << 30
# A search may take one part in so many of the machine's memory.
MEMORY_PART = 4


@contextmanager
def crew_for(problem: Problem, threads: int | None, cluster: str | None) -> Iterator[Crew | None]:
    """The workers of a cluster if an address is given; else a process for each of the threads, by default each core.

    None where that is one, or the problem is on a GPU.

    Raises:
        UsageError: there is no such cluster.
    """
    processes = threads or available_cores()
    if cluster is not None:
        with ClusterCrew(cluster) as there:
            yield there
    elif processes > 1 and problem.objective.loss.targets.device.type == CPU:
        with LocalCrew(processes) as here:
            yield here
    else:
        yield None


def search_memory() -> int:
    """Bytes that one search may take for itself on this machine."""
    return max(ALONE.memory_bytes, physical_memory() // MEMORY_PART)


@final
class LocalCrew:
    """Processes on this machine, one thread each; they start with the first pack."""

    def __init__(self, processes: int) -> None:
        self.size = processes
        self._workers = Workers(MODULES, threads=1)
        self._running = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__()

    @property
    def room(self) -> bool:
        return self._running < self.size

    def send(self, pack: bytes) -> int:
        self._running += 1
        return self._workers.start(_job(pack))

    def wait(self, seconds: float) -> list[tuple[int, bytes | None]]:
        ended = self._workers.wait(seconds)
        self._running -= len(ended)
        return list(map(_result, ended))


@final
class ClusterCrew:
    """The workers of a Dask cluster, a process for each pack."""

    def __init__(self, address: str) -> None:
        """Connect.

        Raises:
            UsageError: dask is not installed, or nobody answers at the address.
        """
        self._cluster = connected(address, "cones", MODULES, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._cluster.__exit__()

    @property
    def size(self) -> int:
        return self._cluster.threads

    @property
    def room(self) -> bool:
        return self._cluster.room

    def send(self, pack: bytes) -> int:
        return self._cluster.start(_job(pack), gpu=False)

    def wait(self, seconds: float) -> list[tuple[int, bytes | None]]:
        return list(map(_result, self._cluster.wait(seconds)))


def _job(pack: bytes) -> Job:
    return Job(REFINE, {"pack": base64.b64encode(pack).decode()}, HARD_SECONDS, HARD_MEMORY)


def _result(ended: Ended) -> tuple[int, bytes | None]:
    return ended.id, ended.left
