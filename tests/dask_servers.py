"""A real Dask scheduler and real workers, each a process."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60s"}


def launched(module, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def read_until(process, pattern):
    """The first match in what a process writes."""
    for line in process.stderr:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"{pattern} was not written")


@pytest.fixture
def scheduler():
    process = launched("dask_scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
    yield read_until(process, r"Scheduler at:\s+(tcp://\S+)")
    process.terminate()
    process.communicate()


@pytest.fixture
def worker(scheduler, tmp_path_factory):
    """Starts workers of one thread, each one process."""
    with contextlib.ExitStack() as stack:

        def _worker(*arguments):
            folder = str(tmp_path_factory.mktemp("worker"))
            flags = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", folder]
            process = launched("dask_worker", scheduler, *flags, *arguments)
            stack.callback(process.communicate)
            stack.callback(process.terminate)
            read_until(process, r"(Registered to):")
            return process

        yield _worker
