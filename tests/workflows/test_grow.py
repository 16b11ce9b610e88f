"""`certify.grow`: certified optima from any start, resumable, with certificates that the checker accepts."""

from dataclasses import replace

import numpy as np
import pytest

import certify
from certify.errors import RefusedError, UsageError
from certify.models.source import Tolerance
from certify.models.spec.problem_file import spec_from_content
from certify.verify import verify_bytes
from certify.workflows.growth_loop import GrowthState, grow_network
from certify.workflows.growth_state import SavedGrowth, read_growth
from tests.soundness.planted import INSTANCES

TOLERANCE = 1e-6


def planted_problem(family, seed, width=3):
    rng = np.random.default_rng(seed)
    planted = INSTANCES[family](rng)
    d, c = planted.inputs.shape[1], planted.targets.shape[1]
    problem = planted.problem(rng.standard_normal((width, d)), rng.standard_normal((width, c)), seconds=20.0)
    return planted, replace(problem, tolerance=Tolerance(TOLERANCE))


@pytest.mark.parametrize("from_scratch", [False, True])
@pytest.mark.parametrize("family", INSTANCES)
@pytest.mark.parametrize("seed", range(3))
def test_the_known_optimum_is_reached_and_certified(family, seed, from_scratch):
    planted, problem = planted_problem(family, seed)
    grown = certify.grow(problem, from_scratch=from_scratch)
    assert grown.result.verdict == "certified"
    assert planted.optimum * (1 - 1e-12) <= grown.result.objective <= planted.optimum * (1 + TOLERANCE)
    assert grown.result.lower_bound <= planted.optimum * (1 + 1e-12)
    assert verify_bytes(grown.certificate).status == "valid"
    assert grown.network.width <= grown.growth.width_bound
    objectives = [row.objective for row in grown.growth.rounds]
    bounds = [row.lower_bound for row in grown.growth.rounds]
    assert objectives == sorted(objectives, reverse=True)
    assert bounds == sorted(bounds)
    assert certify.check(problem.with_network(grown.network)).verdict == "certified"


def test_an_optimal_network_is_handed_back_after_no_round():
    rng = np.random.default_rng(4)
    planted = INSTANCES["relu"](rng)
    grown = certify.grow(planted.problem(planted.first, planted.second))
    assert grown.result.verdict == "certified"
    assert len(grown.growth.rounds) == 1


class StopAfterRoundError(Exception):
    """Stands for an interruption."""


@pytest.mark.parametrize("family", INSTANCES)
def test_an_interrupted_growth_goes_on_from_its_state_to_the_same_verdict(family, tmp_path):
    planted, problem = planted_problem(family, 6)
    path = tmp_path / "state"
    spec = spec_from_content(
        {
            "schema": "certify.problem/1",
            "model": {"path": "m.pt"},
            "data": {"path": "d.npz"},
            "penalty": {"weight_decay": 1},
        },
        tmp_path,
        lambda at, key: "",
    )

    def save_and_stop(state):
        SavedGrowth(spec, str(tmp_path / "out.pt"), False, True, problem.source.data_sha256, state).write(path)
        raise StopAfterRoundError

    start = GrowthState(problem.objective.empty_network(), (), 3)
    with pytest.raises(StopAfterRoundError):
        grow_network(problem, start, save_and_stop)
    saved = read_growth(path)
    saved.require_fitting(problem, path)
    assert saved.spec.model.path == tmp_path / "m.pt"
    assert saved.state.seed == 3
    rounds = []
    growth = grow_network(problem, saved.state, rounds.append)
    assert growth.report.objective_after - growth.bound.value <= TOLERANCE * growth.report.objective_after
    assert growth.report.objective_after == pytest.approx(planted.optimum, rel=TOLERANCE)
    assert [row.round for row in growth.report.rounds] == list(range(len(growth.report.rounds)))
    other = replace(problem, source=replace(problem.source, data_sha256="0"))
    with pytest.raises(UsageError, match="changed"):
        saved.require_fitting(other, path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x10\0\0\0\0\0\0\0{}              ", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_state_is_refused(content, tmp_path):
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(RefusedError):
        read_growth(path)


def test_a_budget_that_is_spent_leaves_an_honest_gap():
    planted, problem = planted_problem("relu", 8)
    grown = certify.grow(replace(problem, budget_seconds=1e-3), from_scratch=True)
    assert grown.result.lower_bound <= planted.optimum <= grown.result.objective
    assert grown.result.verdict in ("undecided", "certified")
