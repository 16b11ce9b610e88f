"""Gated ReLU networks end to end: the best one by cvxpy, checked and grown, live and from files, exactly too."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from certify import Problem, check
from certify.models.spec.overrides import Overrides
from certify.models.spec.problem_file import spec_from_flags
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.grow import grow

DECAY = 0.05
# The last gate passes no sample.
GATES = np.array([[1.0, -0.5, 0.2], [0.3, 0.1, -1.0], [-0.7, 0.4, 0.5], [0.0, 0.0, 0.0]])
X = np.random.default_rng(0).normal(size=(15, 3))


class Gated(nn.Module):
    """One unit for each gate and direction of the best outputs."""

    def __init__(self, hidden, head, gates):
        super().__init__()
        self.register_buffer("gates", torch.from_numpy(gates))
        self.hidden, self.head = nn.Parameter(torch.from_numpy(hidden)), nn.Parameter(torch.from_numpy(head))

    def forward(self, x):
        return ((functional.linear(x, self.gates) > 0) * functional.linear(x, self.hidden)) @ self.head


def targets(outputs):
    return np.random.default_rng(outputs).normal(size=(15, outputs))


def best(y):
    """Matrices M_k that minimize |Σ_k D_k X M_k − Y|²/N + decay Σ_k |M_k|_*, a group lasso for one output."""
    matrices = [cp.Variable((3, y.shape[1])) for _ in GATES]
    passed = [(X @ gate > 0)[:, None] * X for gate in GATES]
    z = sum(rows @ matrix for rows, matrix in zip(passed, matrices, strict=True))
    norms = sum(cp.normNuc(matrix) for matrix in matrices)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(z - y) / y.size + DECAY * norms))
    problem.solve(cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return problem.value, [matrix.value for matrix in matrices]


def planted(matrices):
    """The network of balanced singular vectors."""
    parts = []
    for gate, matrix in zip(GATES, matrices, strict=True):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        parts += [(gate, left[:, k] * s**0.5, right[k] * s**0.5) for k, s in enumerate(values)]
    gates, hidden, head = (np.array(column) for column in zip(*parts, strict=True))
    return Gated(hidden, head, gates)


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_best_network_by_another_solver_is_certified(outputs):
    y = targets(outputs)
    value, matrices = best(y)
    problem = Problem.from_torch(planted(matrices), X, y, weight_decay=DECAY, relative_gap=1e-5)
    assert problem.objective.evaluate(problem.network).objective == pytest.approx(value, rel=1e-7)
    result = check(problem)
    assert result.verdict == "certified"
    assert result.lower_bound <= value * (1 + 1e-9)
    assert result.lower_bound == pytest.approx(value, rel=1e-5)


def test_a_worse_network_is_improvable_and_grown_to_the_best_by_another_solver(tmp_path):
    y = targets(2)
    value, matrices = best(y)
    module = planted([0.5 * matrix for matrix in matrices])
    problem = Problem.from_torch(module, X, y, weight_decay=DECAY)
    assert check(problem).verdict == "improvable"
    grown = grow(problem, from_scratch=True)
    assert grown.result.verdict == "certified"
    assert grown.result.objective == pytest.approx(value, rel=1e-3)
    assert grown.result.lower_bound <= value * (1 + 1e-9)
    for verify in (verify_bytes, verify_bytes_exactly):
        assert verify(grown.certificate).certified
    problem.write(tmp_path / "grown.pt2", grown.network)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    flags = Overrides(data=str(tmp_path / "data.npz"), weight_decay=DECAY)
    again = Problem.from_files(spec_from_flags(tmp_path / "grown.pt2", flags))
    result = check(again)
    assert result.verdict == "certified"
    assert result.objective == pytest.approx(grown.result.objective, rel=1e-9)


def test_a_file_and_a_live_module_are_one_problem(tmp_path):
    y = targets(2)
    module = planted(best(y)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = ({0: torch.export.Dim.AUTO},)
        program = torch.export.export(module, (torch.from_numpy(X),), dynamic_shapes=samples)
        torch.export.save(program, tmp_path / "m.pt2")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    flags = Overrides(data=str(tmp_path / "data.npz"), weight_decay=DECAY)
    read = Problem.from_files(spec_from_flags(tmp_path / "m.pt2", flags))
    live = Problem.from_torch(module, X, y, weight_decay=DECAY)
    assert read.network.widths == live.network.widths
    assert read.objective.evaluate(read.network).objective == live.objective.evaluate(live.network).objective
    assert check(read).verdict == "certified"
