import numpy as np
import pytest
import torch

from certify.errors import RefusedError, UsageError
from certify.models.data.data_file import load_arrays
from certify.models.loading import Problem
from certify.models.spec.init_file import draft_problem_file
from certify.models.spec.problem_file import load_problem_file
from certify.models.spec.problem_sections import DataSpec

ENTRIES = {
    "rows": np.array([0, 1, 3]),
    "cols": np.array([2, 0, 1]),
    "values": np.array([1.5, -2.0, 0.25]),
    "shape": np.array([4, 3]),
}


@pytest.fixture
def ratings(tmp_path):
    def write(**changes):
        np.savez(tmp_path / "ratings.npz", **ENTRIES | changes)
        return tmp_path / "ratings.npz"

    return write


def test_the_objective_is_over_the_observed_entries(tmp_path, ratings):
    rng = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 4, generator=rng).double(), torch.randn(3, 2, generator=rng).double()
    torch.save({"0.weight": u, "1.weight": v}, tmp_path / "m.pt")
    (tmp_path / "m.problem.yaml").write_text(draft_problem_file(tmp_path / "m.pt", ratings()))
    problem = Problem.from_files(load_problem_file(tmp_path / "m.problem.yaml"))
    matrix = (v @ u).T
    residuals = [float(matrix[i, j]) - y for i, j, y in zip(*(ENTRIES[k] for k in ("rows", "cols", "values")))]  # noqa: B905
    evaluation = problem.objective.evaluate(problem.network)
    assert evaluation.loss == pytest.approx(sum(r * r for r in residuals) / 3, rel=1e-13)
    assert evaluation.penalty == pytest.approx(1e-3 / 2 * float((u**2).sum() + (v**2).sum()), rel=1e-13)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"rows": np.array([0, 1, 4])}, UsageError, "'rows' must lie between 0 and 3, found 0 to 4"),
        ({"cols": np.array([-1, 1, 2])}, UsageError, "'cols' must lie between 0 and 2"),
        ({"rows": np.array([0.0, 1, 2])}, RefusedError, "integers"),
        ({"values": np.array(["a", "b", "c"])}, RefusedError, "real numbers"),
        ({"values": np.array([1.0, 2.0])}, UsageError, "one length"),
        ({"shape": np.array([4, 3, 2])}, UsageError, "one length"),
        ({"rows": np.array([0, 0, 3]), "cols": np.array([2, 2, 1])}, UsageError, "1 entries are given more than once"),
        ({"shape": np.array([10**6, 10**6])}, RefusedError, "over the limit"),
        ({"shape": np.array([-4, 3])}, UsageError, "'rows'"),
        ({"values": np.array([1.0, np.nan, 2.0])}, RefusedError, "non-finite"),
    ],
)
def test_faults_are_named(ratings, changes, kind, words):
    with pytest.raises(kind, match=words):
        load_arrays(DataSpec(path=ratings(**changes)))
