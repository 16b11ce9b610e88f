"""One thread for all tests: their problems are small, and small tensors run ten times faster on one."""

import os

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import pytest  # noqa: E402 - torch reads the variables when it is imported
import torch  # noqa: E402

# What a user's shell may have set must not reach the tests.
for _variable in [name for name in os.environ if name.startswith("CERTIFY_")]:
    del os.environ[_variable]


@pytest.fixture(autouse=True)
def _one_thread():
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
