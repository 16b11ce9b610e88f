"""The checkpoint of a growth, and who helps with its proofs."""

import re
import signal
from dataclasses import replace

import pytest
import torch

import certify
from certify.bounds.labor import Labor
from certify.bounds.rows.cones import cone_forecast, cone_search
from certify.models.loading import Problem
from certify.models.source import Tolerance
from certify.problem import ParallelNetwork
from certify.verify import verify_bytes
from certify.workflows import growth_loop
from certify.workflows.checkpoint import Checkpoint
from certify.workflows.cone_crews import ClusterCrew
from certify.workflows.growth_loop import GrowOptions, GrowthState, grow_network
from certify.workflows.sealed_tensors import network_tensors, read_sealed
from tests.long_proofs import DECAY, data, trained
from tests.workflows.interruption import refuse, stopped_after
from tests.workflows.test_cone_crews import Watched


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Pilots and batches are small, so that a short search is one of many batches."""
    monkeypatch.setattr(cone_forecast, "PILOT_NODES", 400)
    monkeypatch.setattr(cone_search, "PARENTS_PER_BATCH", 64)


def problem_of(components):
    X, y = data(components)
    found = Problem.from_torch(trained(X, y), X, y, loss="mse", scale=0.5, weight_decay=DECAY)
    return replace(found, tolerance=Tolerance(3e-3), budget_seconds=60.0)


@pytest.fixture(scope="module")
def problem():
    return problem_of(3)


def grown(problem, checkpoint, state=None):
    seen, states = [], []
    start = state or GrowthState(problem.objective.empty_network(), (), 0)
    growth = grow_network(problem, start, states.append, GrowOptions(checkpoint=checkpoint), seen.append)
    cones = [e.detail for e in seen if (e.phase, e.method) == ("bounding", "cones") and e.detail != "done"]
    return growth, cones, states


def interrupted(problem, path, writes, monkeypatch):
    """Leave the checkpoint of a growth that is stopped after so many states were written; returns its last rounds."""
    states = []
    start = GrowthState(problem.objective.empty_network(), (), 0)
    options = GrowOptions(checkpoint=Checkpoint(path, problem, refuse))
    with stopped_after(writes, monkeypatch):
        grow_network(problem, start, states.append, options)
    return states


def logged(path):
    _, tensors = read_sealed(path)
    return sum(len(t) for name, t in tensors.items() if name.endswith("log.bounds"))


@pytest.mark.parametrize("with_state", [False, True])
def test_a_proof_in_a_round_goes_on_where_the_checkpoint_is(problem, with_state, tmp_path, monkeypatch):
    states = interrupted(problem, tmp_path / "kept", 4, monkeypatch)
    before = logged(tmp_path / "kept")
    checkpoint = Checkpoint(tmp_path / "kept", problem, refuse)
    growth, cones, states = grown(problem, checkpoint, states[-1] if with_state and states else None)
    assert re.fullmatch(r"\d+ cones", cones[0])
    assert int(cones[0].split()[0]) >= before > 32
    objective = states[-1].history[-1].objective
    assert objective - growth.bound.value <= 3e-3 * objective


def test_a_growth_that_goes_on_is_certified_by_the_checker(problem, tmp_path, monkeypatch):
    interrupted(problem, tmp_path / "kept", 3, monkeypatch)
    found = certify.grow(problem, from_scratch=True, checkpoint=Checkpoint(tmp_path / "kept", problem, refuse))
    assert found.result.verdict == "certified"
    assert verify_bytes(found.certificate).status == "valid"


def test_growth_from_scratch_takes_no_weights_of_the_model_from_a_checkpoint(problem, tmp_path, monkeypatch):
    """The network that the checkpoint holds is worse here than the model."""
    interrupted(problem, tmp_path / "kept", 1, monkeypatch)
    checkpoint = Checkpoint(tmp_path / "kept", problem, refuse)
    blank = problem.objective.empty_network()
    worse = ParallelNetwork(tuple(tuple(2 * f for f in s) for s in problem.network.stacks), blank.coefficients)
    for prefix in ("local", "best"):
        checkpoint._tensors |= network_tensors(worse, f"{prefix}.")
    found = checkpoint.improvement(blank, 0.0, 0)
    assert found.best.network.width == 0


def test_bounds_in_passing_keep_nothing_and_start_no_longer_searches(problem, tmp_path, monkeypatch):
    keepers = []
    bound_at = growth_loop.bound_at

    def watched(objective, network, candidate, needed, deadline, settings):
        keepers.append(settings.labor.keeper)
        return bound_at(objective, network, candidate, needed, deadline, settings)

    monkeypatch.setattr(growth_loop, "bound_at", watched)
    monkeypatch.setattr(growth_loop, "PROMISING_SHARE", -1.0)
    quick = replace(problem, tolerance=Tolerance(0.5))
    grown(quick, Checkpoint(tmp_path / "kept", quick, refuse))
    assert keepers
    assert keepers[0] is None
    assert not (tmp_path / "kept").exists()


def test_a_search_at_another_dual_point_replaces_one_that_did_not_end(problem, tmp_path, monkeypatch):
    interrupted(problem, tmp_path / "kept", 2, monkeypatch)
    checkpoint = Checkpoint(tmp_path / "kept", problem, refuse)
    dual = checkpoint._tensors["dual"]
    state, found = checkpoint.search(dual, 0), checkpoint.improvement(problem.network, 0.0, 0)
    checkpoint.write(dual / 2, 0, state, found)
    assert checkpoint.search(dual, 0) is not None
    checkpoint.turn_to(dual)
    assert checkpoint.search(dual, 0) is not None
    checkpoint.turn_to(dual / 2)
    checkpoint.write(dual / 2, 0, state, found)
    assert torch.equal(Checkpoint(tmp_path / "kept", problem, refuse)._tensors["dual"], dual / 2)


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_is_lost_costs_a_growth_no_proof(scheduler, worker, monkeypatch):
    monkeypatch.setattr(cone_search, "SOLO_NODES", 1000)
    monkeypatch.setattr(cone_forecast, "PILOT_NODES", 2000)
    problem = replace(problem_of(4), budget_seconds=200.0)
    lost, _ = worker(), worker()
    with ClusterCrew(scheduler) as cluster:
        crew = Watched(cluster, lambda: lost.send_signal(signal.SIGKILL))
        found = certify.grow(problem, from_scratch=True, labor=Labor(crew))
    assert crew.done > 1
    assert found.result.verdict == "certified"
    assert verify_bytes(found.certificate).status == "valid"
