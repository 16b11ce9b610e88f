"""A process that has imported what checks need and forks a fresh process for each job: `python -m … FD MODULE…`.

Requests and answers are JSON lines over the socket FD:

    {"id": 3, "function": "module:name", "arguments": {...}, "folder": "/…", "cwd": "/…", "memory": 1073741824}
    {"kill": 3}
    {"started": 3, "pid": 4711}
    {"id": 3, "status": 0}         an exit status, or minus the signal

A job's process has its own process group, its own folder as TMPDIR, no input, and its output in `log` there. It calls
the function with the arguments and the folder, and writes what that returns to `outcome.json`. When the socket closes
every job is killed. The server itself starts no thread and touches no device, so that forking it is safe.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, final

from certify.audits.job_folder import LOG, OUTCOME
from certify.audits.limits import end_with_parent, limit_memory


@final
class ForkServer:
    """Forks jobs and reports their ends."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._jobs: dict[int, int] = {}  # pid → id

    def serve(self) -> None:
        """Until the other end closes the socket."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        os.set_blocking(read, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        waiting = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(read, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if read in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(read, 2**16)
                    self._reap()
                if self._channel in ready:
                    received = b""
                    with contextlib.suppress(ConnectionError):
                        received = self._channel.recv(2**16)
                    if not received:
                        break
                    *lines, waiting = (waiting + received).split(b"\n")
                    for line in lines:
                        self._obey(json.loads(line))
        for pid in self._jobs:
            _kill_group(pid)

    def _obey(self, request: dict[str, Any]) -> None:
        if "kill" in request:
            for pid, job in self._jobs.items():
                if job == request["kill"]:
                    _kill_group(pid)
            return
        pid = os.fork()
        if pid == 0:
            self._channel.close()
            _work(request)
        # In both processes, so that it holds whichever runs first.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._jobs[pid] = request["id"]
        self._answer({"started": request["id"], "pid": pid})

    def _reap(self) -> None:
        for pid in list(self._jobs):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                # What the job started and left behind goes with it.
                _kill_group(pid)
                self._answer({"id": self._jobs.pop(pid), "status": os.waitstatus_to_exitcode(status)})

    def _answer(self, answer: dict[str, int]) -> None:
        # A closed socket shows in `serve`.
        with contextlib.suppress(ConnectionError):
            self._channel.sendall(json.dumps(answer).encode() + b"\n")


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _work(request: dict[str, Any]) -> NoReturn:
    """The life of a job's process."""
    status = 1
    try:
        folder = Path(request["folder"])
        os.chdir(request["cwd"])
        _settle(folder, request["memory"])
        module, _, name = request["function"].partition(":")
        outcome = getattr(import_module(module), name)(folder, **request["arguments"])
        unfinished = folder / f".{OUTCOME}"
        unfinished.write_text(json.dumps(outcome, allow_nan=False), encoding="utf-8")
        unfinished.replace(folder / OUTCOME)
        status = 0
    except BaseException:  # noqa: BLE001 - a job must never return into the server's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _settle(folder: Path, memory: int) -> None:
    """Group, output, limits, signals and temporary files of a job's process."""
    os.setpgid(0, 0)
    end_with_parent()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(2)
    os.environ["TMPDIR"] = str(folder)
    limit_memory(memory)


def main() -> None:
    """Import the modules named on the command line and serve."""
    # Ctrl-C reaches every process of the terminal; the one that reads results decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        import_module(module)
    gc.freeze()
    ForkServer(channel).serve()


if __name__ == "__main__":
    main()
