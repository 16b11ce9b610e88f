"""An audit on a Dask cluster: a real scheduler and real workers in processes, one of which is killed on purpose."""

import json
import signal
import subprocess
import sys

import pytest

from tests.audits.small_models import AUDIT, write_models
from tests.dask_servers import ENVIRONMENT

MODELS = 6


@pytest.fixture
def folder(tmp_path):
    write_models(tmp_path, [f"m{index}" for index in range(MODELS)])
    return tmp_path


def audit(folder, scheduler, *arguments):
    command = [sys.executable, "-c", "from certify.cli.main import main; main()", "audit", "audit.yaml"]
    return subprocess.Popen(
        [*command, "--cluster", scheduler, "--format", "json", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_items_run_on_the_cluster_and_a_lost_worker_costs_nothing(folder, scheduler, worker):
    lost, _ = worker(), worker()
    process = audit(folder, scheduler)
    assert process.stderr.readline().startswith("[1/")
    lost.send_signal(signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, err
    document = json.loads(out)
    assert [entry["model"]["path"] for entry in document["results"]] == [f"m{index}.pt" for index in range(MODELS)]
    assert [entry["verdict"] for entry in document["results"]] == ["certified"] * MODELS
    # The same results file: on this machine everything is known, and its certificates hold here.
    here = subprocess.run(
        [*process.args[:3], "audit", "audit.yaml", "--format", "json"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    origins = [entry["audit"]["origin"] for entry in json.loads(here.stdout)["results"]]
    assert origins == ["cache"] * MODELS


def test_an_item_that_fails_there_is_its_own_failure(folder, scheduler, worker):
    worker()
    (folder / "m0.pt").write_bytes(b"PK\x03\x04")
    (folder / "audit.yaml").write_text(AUDIT.replace("expect: any", "expect: any\n    limits: {memory_gib: 4}"))
    out, _ = (process := audit(folder, scheduler, "--only", "m[01].pt")).communicate()
    assert process.returncode == 5
    results = json.loads(out)["results"]
    assert [entry["verdict"] is None for entry in results] == [True, False]
    assert results[0]["reason"] == "corrupt-file"


def test_an_address_where_nobody_answers_is_a_usage_error(folder):
    process = audit(folder, "tcp://127.0.0.1:9")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "--cluster tcp://127.0.0.1:9: cannot connect" in err
