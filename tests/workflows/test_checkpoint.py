"""The checkpoint of a check: where it goes on, and what is refused."""

import re
from dataclasses import replace

import pytest

from certify.bounds.rows.cones import cone_forecast, cone_search
from certify.errors import UsageError
from certify.models.loading import Problem
from certify.models.source import Tolerance
from certify.problem import ParallelNetwork
from certify.workflows.check import CheckOptions, run_check
from certify.workflows.checkpoint import Checkpoint
from certify.workflows.sealed_tensors import read_sealed, write_sealed
from tests.long_proofs import DECAY, data, trained
from tests.workflows.interruption import refuse, stopped_after


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Pilots and batches are small, so that a short search is one of many batches."""
    monkeypatch.setattr(cone_forecast, "PILOT_NODES", 400)
    monkeypatch.setattr(cone_search, "PARENTS_PER_BATCH", 64)


@pytest.fixture(scope="module")
def trained_model():
    """Three inputs; the cone search takes some thousand cones."""
    return trained(*data(3))


@pytest.fixture(scope="module")
def problem(trained_model):
    return problem_of(trained_model, *data(3))


def problem_of(model, X, y, decay=DECAY, tolerance=3e-3):
    found = Problem.from_torch(model, X, y, loss="mse", scale=0.5, weight_decay=decay)
    return replace(found, tolerance=Tolerance(tolerance), budget_seconds=20.0)


def checked(problem, checkpoint):
    seen = []
    outcome = run_check(problem, CheckOptions(checkpoint=checkpoint), seen.append)
    cones = [e.detail for e in seen if (e.phase, e.method) == ("bounding", "cones") and e.detail != "done"]
    return outcome, cones


def interrupted(problem, path, writes, monkeypatch):
    """Leave the checkpoint of a check that is stopped after so many states were written."""
    with stopped_after(writes, monkeypatch):
        checked(problem, Checkpoint(path, problem, refuse))


def test_a_check_goes_on_where_its_checkpoint_is_and_ends_with_the_same_certificate(problem, tmp_path, monkeypatch):
    whole, cones = checked(problem, None)
    assert whole.result.verdict == "certified"
    assert cones[0].startswith("expecting")
    interrupted(problem, tmp_path / "state", 3, monkeypatch)
    _, tensors = read_sealed(tmp_path / "state")
    resumed, cones = checked(problem, Checkpoint(tmp_path / "state", problem, refuse))
    assert resumed.certificate == whole.certificate
    before = sum(len(t) for name, t in tensors.items() if name.endswith("log.bounds"))
    assert int(re.fullmatch(r"(\d+) cones", cones[0])[1]) >= before > 32
    again, cones = checked(problem, Checkpoint(tmp_path / "state", problem, refuse))
    assert again.certificate == whole.certificate
    assert len(cones) == 1


def test_a_better_model_that_was_found_is_in_the_checkpoint(problem, tmp_path, monkeypatch):
    halved = ParallelNetwork(
        tuple(tuple(0.5 * factor for factor in stack) for stack in problem.network.stacks), problem.network.coefficients
    )
    problem = problem.with_network(halved)
    whole = run_check(problem, CheckOptions())
    assert whole.result.verdict == "improvable"
    interrupted(problem, tmp_path / "state", 2, monkeypatch)
    resumed, _ = checked(problem, Checkpoint(tmp_path / "state", problem, refuse))
    assert resumed.result.verdict == "improvable"
    assert resumed.result.best_known == pytest.approx(whole.result.best_known, rel=1e-6)
    assert resumed.result.lower_bound == pytest.approx(whole.result.lower_bound, rel=1e-2)


def test_a_search_with_a_lower_goal_than_that_of_the_checkpoint_starts_anew(problem, tmp_path, monkeypatch):
    interrupted(problem, tmp_path / "state", 3, monkeypatch)
    text, tensors = read_sealed(tmp_path / "state")
    tensors["search.0.aims"] = 2 * tensors["search.0.aims"]
    write_sealed(tmp_path / "state", text, tensors)
    resumed, cones = checked(problem, Checkpoint(tmp_path / "state", problem, refuse))
    assert cones[0].startswith("expecting")
    assert resumed.result.verdict == "certified"


def test_a_checkpoint_that_was_changed_anywhere_is_refused(problem, tmp_path, monkeypatch):
    interrupted(problem, tmp_path / "state", 1, monkeypatch)
    content = (tmp_path / "state").read_bytes()
    Checkpoint(tmp_path / "state", problem, refuse)
    places = [0, 9, 40, len(content) // 2, len(content) - 1]
    variants = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in places]
    for variant in [*variants, content[:-1], content[: len(content) // 2], b"", b"no checkpoint"]:
        (tmp_path / "state").write_bytes(variant)
        with pytest.raises(UsageError, match="no checkpoint, or damaged") as refused:
            Checkpoint(tmp_path / "state", problem, refuse)
        assert refused.value.code == "checkpoint"


@pytest.mark.parametrize("change", ["tolerance", "data", "weight decay"])
def test_a_checkpoint_of_another_problem_is_refused(problem, trained_model, tmp_path, monkeypatch, change):
    interrupted(problem, tmp_path / "state", 1, monkeypatch)
    X, y = data(3)
    scale = 1 + 2.0**-40 if change == "data" else 1.0
    other = problem_of(
        trained_model,
        scale * X,
        y,
        decay=DECAY * (1.5 if change == "weight decay" else 1.0),
        tolerance=4e-3 if change == "tolerance" else 3e-3,
    )
    with pytest.raises(UsageError, match="another problem"):
        Checkpoint(tmp_path / "state", other, refuse)


def test_a_checkpoint_that_cannot_be_written_costs_a_warning_and_no_proof(problem, tmp_path):
    warnings = []
    (tmp_path / "gone").mkdir()
    checkpoint = Checkpoint(tmp_path / "gone" / "state", problem, warnings.append)
    (tmp_path / "gone").rmdir()
    outcome, _ = checked(problem, checkpoint)
    assert outcome.result.verdict == "certified"
    assert all("going on without a checkpoint" in warning for warning in warnings)
    assert len(warnings) >= 1
