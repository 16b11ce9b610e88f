"""Where an audit's items run with `--cluster`: checks on the workers of a Dask cluster, rechecks on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

from certify.audits.keys import with_absolute_paths
from certify.audits.workers import Ended
from certify.errors import UsageError
from certify.workflows.audit_pool import CHECK_MODULES, CPU, LocalPool, Settings, Task

if TYPE_CHECKING:
    from certify.audits.cluster import Cluster

# What `distributed` is named where it is missing.
MISSING = "--cluster needs the extra 'cluster': pip install 'certify-optimality[cluster]'"


def connected(address: str, name: str, preload: tuple[str, ...], threads: int | None) -> Cluster:
    """A connection to a cluster for jobs of a name, as `Cluster` makes it.

    Raises:
        UsageError: dask is not installed, or nobody answers at the address.
    """
    try:
        from certify.audits.cluster import Cluster
    except ImportError as error:
        raise UsageError(f"{MISSING} ({error})", code="cluster") from error
    return Cluster(address, name, preload, threads)


@final
class ClusterPool:
    """Runs checks on a cluster, with the methods of `LocalPool`."""

    def __init__(self, address: str, settings: Settings) -> None:
        """Connect.

        Raises:
            UsageError: dask is not installed, or nobody answers at the address.
        """
        self._cluster = connected(address, "audit", CHECK_MODULES, settings.threads)
        self._local = LocalPool(settings)
        self._tasks: dict[int, Task] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._local.__exit__()
        self._cluster.__exit__()

    def room(self, devices: tuple[str, ...]) -> str | None:
        # Which GPU is the worker's affair; it sees those that it was given.
        kind = devices[0].partition(":")[0]
        return kind if self._cluster.room and self._local.room((CPU,)) else None

    def start(self, task: Task) -> Path | None:
        if task.recheck:
            return self._local.start(task)
        arguments = {**task.job.arguments, "content": with_absolute_paths(task.job.arguments["content"])}
        job = replace(task.job, arguments=arguments)
        self._tasks[self._cluster.start(job, gpu=task.device != CPU)] = task
        return None

    @property
    def busy(self) -> bool:
        return bool(self._tasks) or self._local.busy

    def wait(self, seconds: float) -> list[tuple[Task, Ended]]:
        local = self._local.wait(0 if self._tasks else seconds) if self._local.busy else []
        ended = self._cluster.wait(0 if local or self._local.busy else seconds)
        return local + [(self._tasks.pop(end.id), end) for end in ended]


Pool = LocalPool | ClusterPool
