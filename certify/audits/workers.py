"""Jobs in processes of their own, with a wall clock limit: the near end of `fork_server`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from certify.audits.job_folder import LEFT, LOG, OUTCOME
from certify.errors import CertifyError, RefusedError

# Of the output of a job that crashed the message shows the last line, cut to this length.
SHOWN_LENGTH = 300
# What a job's output says when it ended itself for want of memory.
OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "can't allocate memory", "Cannot allocate memory")


@final
@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do.

    Attributes:
        function: `module:name`, called with a folder of its own and the arguments.
        arguments: JSON-ready.
        seconds: wall clock after which it is killed.
        memory: bytes of private memory that it may take.
    """

    function: str
    arguments: Mapping[str, Any]
    seconds: float
    memory: int


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended.

    Attributes:
        outcome: what its function returned, or the error that stands for it.
        left: what it left in a file of that name, or None; also None after an error.
        seconds: wall clock from its start.
    """

    id: int
    outcome: Mapping[str, Any] | CertifyError
    left: bytes | None
    seconds: float


@final
@dataclass(slots=True)
class _Running:
    job: Job
    folder: Path
    started: float
    overdue: bool = False
    pid: int | None = None


@final
class Workers:
    """A fork server and its jobs; the server starts with the first job and starts again if it is lost."""

    def __init__(self, preload: Sequence[str], threads: int) -> None:
        """Every job finds the modules of `preload` imported; numerical libraries may start `threads` threads in it."""
        self._preload, self._threads = tuple(preload), threads
        self._server: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._received = b""
        self._running: dict[int, _Running] = {}
        self._count = 0
        self._scratch = Path(tempfile.mkdtemp(prefix="certify-audit-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def channel(self) -> socket.socket | None:
        """Becomes readable when `wait` has something to say; None before the first job."""
        return self._channel

    def deadline(self) -> float:
        """`time.monotonic()` value at which the next job is to be killed; infinite if there is none."""
        left = [run.started + run.job.seconds for run in self._running.values() if not run.overdue]
        return min(left, default=math.inf)

    def start(self, job: Job) -> int:
        """Start a job; returns its id."""
        self._count += 1
        folder = self._scratch / str(self._count)
        folder.mkdir()
        self._running[self._count] = _Running(job, folder, time.monotonic())
        request = {"function": job.function, "arguments": job.arguments, "memory": job.memory}
        self._send({**request, "id": self._count, "folder": str(folder), "cwd": str(Path.cwd())})
        return self._count

    def folder(self, job: int) -> Path:
        """Where a running job writes."""
        return self._running[job].folder

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended, after at most so many seconds; kills those that are over their limit."""
        for job, run in self._running.items():
            if not run.overdue and time.monotonic() - run.started > run.job.seconds:
                run.overdue = True
                self._send({"kill": job})
        if self._channel is None:
            return []
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            if not selector.select(max(0.0, seconds)):
                return []
        return self._answers()

    def _answers(self) -> list[Ended]:
        received = b""
        with contextlib.suppress(ConnectionError):
            received = self._channel.recv(2**16) if self._channel else b""
        if not received:
            return self._lost()
        *lines, self._received = (self._received + received).split(b"\n")
        found = [json.loads(line) for line in lines]
        for entry in found:
            if "started" in entry and entry["started"] in self._running:
                # Until now the server may have been importing.
                run = self._running[entry["started"]]
                run.started, run.pid = time.monotonic(), entry["pid"]
        ended = [entry for entry in found if "status" in entry and entry["id"] in self._running]
        return [self._ended(entry["id"], _outcome(self._running[entry["id"]], entry["status"])) for entry in ended]

    def _ended(self, job: int, outcome: Mapping[str, Any] | CertifyError) -> Ended:
        run, left = self._running.pop(job), None
        if not isinstance(outcome, CertifyError):
            with contextlib.suppress(OSError):
                left = (run.folder / LEFT).read_bytes()
        shutil.rmtree(run.folder, ignore_errors=True)
        return Ended(job, outcome, left, time.monotonic() - run.started)

    def _lost(self) -> list[Ended]:
        """The server is gone, and its jobs with it: the kernel or a person ended it."""
        self._stop()
        for run in self._running.values():
            # The kernel ended the jobs themselves; their groups may hold more.
            if run.pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(run.pid, signal.SIGKILL)
        error = CertifyError("the process that starts the checks was ended from outside", "crashed")
        return [self._ended(job, error) for job in list(self._running)]

    def _send(self, request: Mapping[str, Any]) -> None:
        if self._channel is None:
            self._channel = self._launch()
        # If the server is gone, `wait` finds out.
        with contextlib.suppress(ConnectionError):
            self._channel.sendall(json.dumps(request).encode() + b"\n")

    def _launch(self) -> socket.socket:
        near, far = socket.socketpair()
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        with far:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "certify.audits.fork_server", str(far.fileno()), *self._preload],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None,
                env={**os.environ, **dict.fromkeys(names, str(self._threads))},
            )
        return near

    def _stop(self) -> None:
        """End the server, which ends its jobs."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._server is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(5)
            if self._server.poll() is None:
                self._server.kill()
                self._server.wait()
            self._server = None
        self._received = b""


def _outcome(run: _Running, status: int) -> Mapping[str, Any] | CertifyError:
    limit = run.job.seconds
    if run.overdue:
        return RefusedError(f"was ended after its limit of {limit:g} s of wall clock", "time-limit")
    if status == 0:
        outcome: Mapping[str, Any] = json.loads((run.folder / OUTCOME).read_text(encoding="utf-8"))
        return outcome
    log = ""
    with contextlib.suppress(OSError):
        log = (run.folder / LOG).read_text(encoding="utf-8", errors="replace")
    if any(words in log for words in OUT_OF_MEMORY):
        return RefusedError(f"ran out of its {run.job.memory / 2**30:.3g} GiB of memory", "memory-limit")
    if status == -signal.SIGKILL:
        return CertifyError("its process was killed from outside, as the kernel does for want of memory", "crashed")
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    last = log.strip().splitlines()[-1][:SHOWN_LENGTH] if log.strip() else "it wrote nothing"
    return CertifyError(f"its process crashed ({how}): {last}", "crashed")
