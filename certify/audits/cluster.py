"""Jobs on the workers of a Dask cluster, each in a process of its own there; the one place that imports dask.

A Dask worker starts a fork server, as the local audit does, so that limits, crashes and leftovers are the same. A job
whose worker is lost is run again by another; after several lost workers it counts as crashed. Workers read the files
by the same absolute paths. A worker with GPUs is started with `--resources "GPU=1"`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import time
from dataclasses import replace
from typing import Any, Self, final

from distributed import Client, Event, Future, WorkerPlugin, get_worker

from certify.audits.workers import Ended, Job, Workers
from certify.errors import CertifyError, UsageError
from certify.version import __version__

# Jobs sent to the cluster beyond its threads, so that no worker waits for the next one.
AHEAD = 2
CONNECT_SECONDS = 10
# Pause between two looks at the jobs.
PAUSE_SECONDS = 0.02
# How often a worker looks whether the audit was ended.
LOOK_SECONDS = 0.5


@final
class ServerPlugin(WorkerPlugin):  # type: ignore[misc]
    """Keeps the fork servers of a Dask worker; each runs one job at a time."""

    def __init__(self, name: str, preload: tuple[str, ...], threads: int | None) -> None:
        self.name = name
        self._preload, self._threads = preload, threads

    def setup(self, worker: Any) -> None:  # noqa: ANN401
        """Called by dask on the worker."""
        cores = os.cpu_count() or 1
        self.threads = self._threads or max(1, cores // worker.state.nthreads)
        self.idle: queue.SimpleQueue[Workers] = queue.SimpleQueue()

    def teardown(self, worker: Any) -> None:  # noqa: ANN401
        """Called by dask on the worker."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.idle.get_nowait().__exit__()

    def take(self) -> Workers:
        """A fork server that nobody uses."""
        try:
            return self.idle.get_nowait()
        except queue.Empty:
            return Workers(self._preload, self.threads)


@final
class Cluster:
    """A connection to a cluster, and the jobs there."""

    def __init__(self, address: str, name: str, preload: tuple[str, ...], threads: int | None) -> None:
        """Connect.

        Args:
            address: of the scheduler, such as `tcp://host:8786`, or a scheduler file.
            name: of the kind of jobs; those of one kind share processes on a worker.
            preload: modules that every job finds imported.
            threads: of each job; None for the worker's cores divided by its threads.

        Raises:
            UsageError: nobody answers there, or a worker has another version of certify.
        """
        place = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
        try:
            self._client = Client(**place, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(f"--cluster {address}: cannot connect: {error}", code="cluster") from error
        self._stop = Event(f"certify-{secrets.token_hex(8)}", client=self._client)
        self._plugin = f"certify-{name}"
        self._jobs: dict[int, Future] = {}
        self._count = 0
        try:
            found = set(self._client.run(_version).values())
            self._client.register_plugin(ServerPlugin(self._plugin, preload, threads))
        except (OSError, ImportError, AttributeError) as error:
            self._client.close()
            raise UsageError(f"--cluster {address}: a worker cannot import certify: {error}", "cluster") from error
        if found - {__version__}:
            self._client.close()
            raise UsageError(f"--cluster {address}: workers have certify {found}, here is {__version__}", "cluster")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._stop.set()
            self._client.cancel(list(self._jobs.values()), force=True)
        self._client.close()

    @property
    def threads(self) -> int:
        """Of all workers; 0 if the scheduler is gone."""
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            return 0

    @property
    def room(self) -> bool:
        """Whether another job would soon be run."""
        return len(self._jobs) < self.threads + AHEAD

    def start(self, job: Job, *, gpu: bool) -> int:
        """Send a job; returns its id."""
        self._count += 1
        self._jobs[self._count] = self._client.submit(
            run_isolated, job, self._plugin, self._stop.name, resources={"GPU": 1} if gpu else None, pure=False
        )
        return self._count

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended, after at most so many seconds."""
        until = time.monotonic() + seconds
        while not (done := [job for job, future in self._jobs.items() if future.done()]):
            if time.monotonic() >= until or not self._jobs:
                return []
            time.sleep(PAUSE_SECONDS)
        return [self._ended(job, self._jobs.pop(job)) for job in done]

    def _ended(self, job: int, future: Future) -> Ended:
        if future.status != "finished":
            why = future.exception() if future.status == "error" else f"its result is {future.status}"
            error = CertifyError(f"the cluster could not run it: {type(why).__name__}: {why}", "crashed")
            return Ended(job, error, None, 0.0)
        found: Ended = future.result()
        return replace(found, id=job)


def run_isolated(job: Job, name: str, stop: str) -> Ended | None:
    """On a Dask worker: run a job in a process of its own; None if the event named `stop` says that nobody waits.

    The plugin of that name has the processes.
    """
    plugin: ServerPlugin = get_worker().plugins[name]
    ended, event, workers = None, Event(stop), plugin.take()
    workers.start(job)
    while ended is None:
        ended = next(iter(workers.wait(LOOK_SECONDS)), None)
        if ended is None and event.is_set():
            workers.__exit__()
            return None
    plugin.idle.put(workers)
    return ended


def _version() -> str:
    return __version__
