"""Cone searches shared with real processes, here and on a Dask cluster, some of which are killed on purpose."""

import os
import signal
import time
from dataclasses import replace

import pytest

from certify.audits.workers import Job
from certify.bounds.labor import Labor
from certify.bounds.rows.cones import cone_search
from certify.models.loading import Problem
from certify.models.source import Tolerance
from certify.verify import verify_bytes
from certify.workflows import cone_crews
from certify.workflows.check import CheckOptions, run_check
from certify.workflows.cone_crews import ClusterCrew, LocalCrew, crew_for
from tests.dask_servers import ROOT
from tests.long_proofs import DECAY, data, trained


class Watched:
    """A crew that counts what comes back, and tells after the first result."""

    def __init__(self, crew, after_first=lambda: None):
        self.crew, self.after_first = crew, after_first
        self.done, self.lost = 0, 0

    def __getattr__(self, name):
        return getattr(self.crew, name)

    def wait(self, seconds):
        ended = self.crew.wait(seconds)
        for _, result in ended:
            self.done, self.lost = self.done + (result is not None), self.lost + (result is None)
            if self.done == 1 and result is not None:
                self.after_first()
        return ended


@pytest.fixture(scope="module")
def problem():
    X, y = data(4)
    found = Problem.from_torch(trained(X, y), X, y, loss="mse", scale=0.5, weight_decay=DECAY)
    return replace(found, tolerance=Tolerance(3e-3), budget_seconds=120.0)


@pytest.fixture(autouse=True)
def early_packs(monkeypatch):
    """Stages are shared early, in packs that take a moment."""
    monkeypatch.setattr(cone_search, "SOLO_NODES", 1000)
    monkeypatch.setattr("certify.bounds.rows.cones.cone_forecast.PILOT_NODES", 2000)


def certified_with(problem, crew):
    outcome = run_check(problem, CheckOptions(labor=Labor(crew)))
    assert outcome.result.verdict == "certified"
    assert outcome.result.polar.method == "cones"
    assert verify_bytes(outcome.certificate).status == "valid"
    return outcome.result


def waited_for(crew):
    """The crew once its processes have started."""
    while crew.size == 0:
        time.sleep(0.05)
    return crew


def test_two_processes_prove_what_one_proves(problem):
    alone = certified_with(problem, None)
    with LocalCrew(2) as local:
        crew = Watched(waited_for(local))
        shared = certified_with(problem, crew)
    assert crew.done > 0
    assert shared.lower_bound == pytest.approx(alone.lower_bound, rel=1e-4)


def test_a_process_that_is_killed_costs_no_proof(problem, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    note, job = tmp_path / "note", cone_crews._job

    def first_hangs(function, arguments):
        if function == "refine_file" and not note.exists():
            note.touch()
            return Job("tests.audits.jobs:hang", {"note": str(note)}, 100.0, 2**31)
        return job(function, arguments)

    def kill():
        process, _ = note.read_text().split()
        os.kill(int(process), signal.SIGKILL)

    with LocalCrew(2) as local:
        waited_for(local)
        monkeypatch.setattr(cone_crews, "_job", first_hangs)
        crew = Watched(local, kill)
        certified_with(problem, crew)
    assert crew.lost == 1
    assert crew.done > 1


def test_the_loss_of_the_server_of_processes_costs_no_proof(problem):
    with LocalCrew(2) as local:
        crew = Watched(waited_for(local), lambda: local._workers._server.kill())
        certified_with(problem, crew)
    assert crew.lost > 0


def test_workers_of_a_cluster_prove_what_one_process_proves_and_one_may_be_lost(problem, scheduler, worker):
    lost, _ = worker(), worker()
    with ClusterCrew(scheduler) as cluster:
        crew = Watched(cluster, lambda: lost.send_signal(signal.SIGKILL))
        certified_with(problem, crew)
    assert crew.done > 1


def test_a_cluster_that_loses_all_workers_costs_no_proof(problem, scheduler, worker):
    lost = worker()
    with ClusterCrew(scheduler) as cluster:
        crew = Watched(cluster, lambda: lost.send_signal(signal.SIGKILL))
        certified_with(problem, crew)
    assert crew.done >= 1


def test_one_thread_means_nobody_else(problem):
    with crew_for(problem, 1, None) as crew:
        assert crew is None
    with crew_for(problem, 3, None) as crew:
        assert crew._processes == 3
