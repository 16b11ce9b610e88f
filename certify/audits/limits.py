"""Hard limits of a process, set in it before it does anything."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

# prctl: a signal for this process when its parent ends.
_PR_SET_PDEATHSIG = 1


def physical_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def limit_memory(allowed: int) -> None:
    """Let this process take at most `allowed` bytes of private memory beyond what it has; Linux only.

    The limit is on writable private pages, so that libraries, shared pages and reserved addresses do not count.
    """
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        ceiling = _private_bytes() + allowed
        if hard != resource.RLIM_INFINITY:
            ceiling = min(ceiling, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    # A crash is told by its signal; its memory is not wanted on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _private_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)
