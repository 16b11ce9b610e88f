"""One thread for all tests: their problems are small, and small tensors run ten times faster on one."""

import os
import signal
import zlib

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import pytest  # noqa: E402 - torch reads the variables when it is imported
import torch  # noqa: E402

from tests.dask_servers import scheduler, worker  # noqa: E402, F401 - fixtures

# What a user's shell may have set must not reach the tests.
for _variable in [name for name in os.environ if name.startswith("CERTIFY_")]:
    del os.environ[_variable]


@pytest.fixture(autouse=True)
def _one_thread():
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def pytest_configure(config):
    """Programs that the tests start take Ctrl-C, also where this run was started in the background without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--slow-share", type=float, default=1.0, help="Share of the tests marked slow to run, 0 to 1.")


def pytest_collection_modifyitems(config, items):
    """Keeps a share of the slow tests, the same ones each time, chosen by their names."""
    limit = config.getoption("--slow-share") * 2**32
    left_out = [item for item in items if item.get_closest_marker("slow") and zlib.crc32(item.nodeid.encode()) >= limit]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
