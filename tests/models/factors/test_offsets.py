"""What is added to a factorization and not trained: a matrix, or one number, such as the mean of all ratings."""

import numpy as np
import pytest
import torch

from certify import check
from certify.errors import UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.workflows.statement import stated_arrays, statement_of
from tests.models.factors.modules import ITEMS, USERS, module
from tests.models.writers.widened import written

RNG = np.random.default_rng(0)
U, V, W = RNG.normal(size=(USERS, 2)), RNG.normal(size=(ITEMS, 2)), RNG.normal(size=(USERS, ITEMS))
PLACES = np.argwhere(RNG.random((USERS, ITEMS)) < 0.7)
VALUES = RNG.normal(size=len(PLACES))
PROBLEM = """
schema: certify.problem/1
model: {path: model.npz, layers: [{factorization: {left: U, right: V, offset: W}}]}
data: {path: train.npz}
loss: {name: mse, reduction: sum}
penalty: {weight_decay: 1.0}
"""


@pytest.fixture
def problem_file(tmp_path):
    def make(offset):
        np.savez(tmp_path / "train.npz", X=PLACES, y=VALUES)
        np.savez(tmp_path / "model.npz", U=U, V=V, W=offset)
        path = tmp_path / "model.problem.yaml"
        path.write_text(PROBLEM)
        return path

    return make


@pytest.mark.parametrize("offset", [W, np.array([0.5]), np.array(0.5)], ids=["matrix", "vector", "number"])
def test_an_offset_shifts_the_targets(problem_file, tmp_path, offset):
    spec = load_problem_file(problem_file(offset))
    problem = Problem.from_files(spec)
    added = np.broadcast_to(offset.reshape(()) if offset.size == 1 else offset, W.shape)[tuple(PLACES.T)]
    error = (U @ V.T)[tuple(PLACES.T)] + added - VALUES
    expected = float((error**2).sum()) + 0.5 * float((U**2).sum() + (V**2).sum())
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(expected, rel=1e-13)
    assert statement_of(problem)["offset"] == "array"
    np.testing.assert_array_equal(stated_arrays(problem)["offset"][:, 0], added)
    written(spec, problem, problem.network, tmp_path / "out.npz")
    # The same question with shifted targets and no offset has the same optimum.
    result = check(problem)
    np.savez(tmp_path / "train.npz", X=PLACES, y=VALUES - added)
    path = tmp_path / "model.problem.yaml"
    np.savez(tmp_path / "model.npz", U=U, V=V)
    path.write_text(PROBLEM.replace(", offset: W", ""))
    other = check(Problem.from_files(load_problem_file(path)))
    assert result.best_known == pytest.approx(other.best_known, rel=1e-6)
    assert result.lower_bound <= other.best_known * (1 + 1e-12)


def test_an_offset_of_another_shape_is_an_error(problem_file):
    with pytest.raises(UsageError, match="offset has shape"):
        Problem.from_files(load_problem_file(problem_file(W.T.copy())))


def test_a_buffer_that_is_added_is_an_offset():
    made = module(lambda s, u, i: (s.user(u) * s.item(i)).sum(1) + s.mean)
    rates = {"user.weight": 1.0, "item.weight": 1.0, "*": 0.0}
    problem = Problem.from_torch(made, PLACES, VALUES, weight_decay=rates, reduction="sum")
    rows, columns = torch.from_numpy(PLACES).T
    error = (made(rows, columns).detach() - torch.from_numpy(VALUES)).numpy()
    decayed = float((made.user.weight.detach() ** 2).sum() + (made.item.weight.detach() ** 2).sum())
    found = problem.objective.evaluate(problem.network).objective
    assert found == pytest.approx(float((error**2).sum()) + 0.5 * decayed, rel=1e-13)
