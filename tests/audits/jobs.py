"""Jobs that go wrong in every way, run in the processes of an audit."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def greet(folder, name):
    return {"greeting": f"hello {name}", "pid": os.getpid(), "folder": str(folder)}


def facts(folder):
    """What a job's process finds around it."""
    with contextlib.suppress(EOFError):
        input()
    return {
        "group": os.getpgid(0) == os.getpid(),
        "temporary": tempfile.gettempdir() == str(folder),
        "files": sorted(path.name for path in folder.iterdir()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_DFL,
    }


def hang(folder, note):
    """Never end, ignore every polite signal, and have a child that does the same; writes both process ids."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(60)"])
    Path(note).write_text(f"{os.getpid()} {child.pid}")
    while True:
        time.sleep(60)


def leave_a_child(folder, note):
    child = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(60)"])
    Path(note).write_text(f"{child.pid}")
    return {}


def segfault(folder):
    ctypes.string_at(0)


def abort(folder):
    os.abort()


def leave(folder):
    os._exit(3)


def fail(folder):
    raise RuntimeError("the words of the failure")


def return_a_set(folder):
    return {1, 2}


def return_nan(folder):
    return {"gap": float("nan")}


def allocate(folder, gib):
    return {"bytes": np.ones(int(gib * 2**27)).nbytes}


def poisoned_check(folder, content, **arguments):
    """An audit's check, except for models of certain names."""
    from certify.workflows.audit_jobs import check_item

    match Path(content["model"]["path"]).stem:
        case "hang":
            hang(folder, folder / "note")
        case "crash":
            segfault(folder)
        case "memory":
            allocate(folder, 64)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    return check_item(folder, content, **arguments)
