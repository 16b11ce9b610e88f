"""Who works on packs of cones: processes on this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import base64
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self, final

from certify.audits.limits import physical_memory
from certify.audits.workers import Job, Workers
from certify.bounds.labor import ALONE, Crew
from certify.models.loading import Problem
from certify.workflows.audit_cluster import connected
from certify.workflows.audit_pool import CPU, available_cores

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
    """Processes on this machine, one thread each; the first look at `size` starts them, and they take a while."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._ready: bool | None = None
        self._open = ExitStack()
        self._workers = self._open.enter_context(Workers(MODULES, threads=1))
        self._packs = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="certify-packs-")))
        self._running: dict[int, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @property
    def size(self) -> int:
        if self._ready is None and self._workers.channel is None:
            self._workers.start(_job("be_ready", {}))
        elif self._ready is None and (ended := self._workers.wait(0)):
            self._ready = ended[0].outcome == {}
        return self._processes if self._ready else 0

    @property
    def room(self) -> bool:
        return len(self._running) < self._processes

    def send(self, pack: bytes) -> int:
        # As a file: what goes through the socket waits until the other end reads it.
        path = self._packs / secrets.token_hex(8)
        path.write_bytes(pack)
        number = self._workers.start(_job("refine_file", {"path": str(path)}))
        self._running[number] = path
        return number

    def wait(self, seconds: float) -> list[tuple[int, bytes | None]]:
        ended = self._workers.wait(seconds)
        for end in ended:
            self._running.pop(end.id).unlink()
        return [(end.id, end.left) for end in ended]


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
        job = _job("refine_text", {"text": base64.b64encode(pack).decode()})
        return self._cluster.start(job, gpu=False)

    def wait(self, seconds: float) -> list[tuple[int, bytes | None]]:
        return [(end.id, end.left) for end in self._cluster.wait(seconds)]


def _job(function: str, arguments: dict[str, str]) -> Job:
    return Job(f"{MODULES[0]}:{function}", arguments, HARD_SECONDS, HARD_MEMORY)
