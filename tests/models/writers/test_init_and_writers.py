import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from certify.errors import CertifyError, UsageError
from certify.models.loading import Problem
from certify.models.spec.init_file import draft_problem_file
from certify.models.spec.layer_list import LayerEntry
from certify.models.spec.problem_file import load_problem_file, problem_file_beside
from certify.whole_file import ensure_writable
from tests.models.zoo import Apply, Branches, mlp


def drafted(model, data=None):
    path = problem_file_beside(model)
    path.write_text(draft_problem_file(model, data))
    return load_problem_file(path)


def test_a_draft_with_data_is_a_whole_problem(model_file, data_file):
    spec = drafted(model_file, data_file)
    assert spec.model.entries == (LayerEntry("linear", "0"), LayerEntry("relu"), LayerEntry("linear", "2"))
    assert (spec.data.inputs, spec.data.targets) == ("X", "y")
    assert (spec.biases.hidden, spec.biases.output) == ("penalized", "penalized")
    assert Problem.from_files(spec).source.family == "relu"


def test_a_draft_without_data_loads_back(model_file):
    assert drafted(model_file).data.path.name == "train.npz"


@pytest.mark.parametrize("names", [("inputs", "labels"), ("a b", "no"), ("X: 1", "#y"), ("\n", "é\u2028😀\\")])
def test_odd_names_are_quoted(tmp_path, model_file, names):
    np.savez(tmp_path / "odd # data.npz", **dict(zip(names, (np.ones((4, 3)), np.ones((4, 2))), strict=True)))
    (tmp_path / "odd # data.npz").rename(tmp_path / "odd # \\'\"\U0001f600data.npz")
    spec = drafted(model_file, tmp_path / "odd # \\'\"\U0001f600data.npz")
    assert spec.data.path.name == "odd # \\'\"\U0001f600data.npz"


def test_layers_with_odd_names_load_back(tmp_path):
    state = {"a: #b.weight": torch.ones(2, 2), "no.weight": torch.ones(2, 2)}
    torch.save(state, tmp_path / "m.pt")
    spec = drafted(tmp_path / "m.pt")
    assert [entry.name for entry in spec.model.entries] == ["a: #b", None, "no"]


def test_a_model_that_cannot_be_inferred_gets_a_draft_to_change(tmp_path):
    torch.save({"0.weight": torch.ones(2, 2), "3.weight": torch.ones(2, 2)}, tmp_path / "m.pt")
    assert [entry.name for entry in drafted(tmp_path / "m.pt").model.entries] == ["0", "3"]
    torch.save({"U": torch.ones(2, 2)}, tmp_path / "m.pt")
    assert "CHANGE" in draft_problem_file(tmp_path / "m.pt")


def test_csv_and_npy_data_are_drafted(tmp_path, model_file, arrays):
    (tmp_path / "d.csv").write_text("a,b,c,target\n1,2,3,4\n")
    spec = drafted(model_file, tmp_path / "d.csv")
    assert (spec.data.inputs, spec.data.targets) == (None, "target")
    np.save(tmp_path / "X.npy", arrays[0])
    assert drafted(model_file, tmp_path / "X.npy").data.inputs == str(tmp_path / "X.npy")


def test_ensure_writable_raises_before_work(tmp_path):
    ensure_writable(tmp_path / "out.pt")
    assert list(tmp_path.iterdir()) == []
    for target in (
        tmp_path,
        tmp_path / "absent" / "out.pt",
        tmp_path / "a\0b",
        Path("/dev/null"),
        tmp_path / ("x" * 300),
    ):
        with pytest.raises(UsageError) as caught:
            ensure_writable(target)
        assert caught.value.code == "unwritable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_a_usage_error(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UsageError):
        ensure_writable(tmp_path / "out.pt")


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, model_file, data_file, write_problem, monkeypatch):
    problem = Problem.from_files(load_problem_file(write_problem()))
    before = model_file.read_bytes()
    entries = sorted(p.name for p in tmp_path.iterdir())

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CertifyError, match="No space left"):
        problem.write(model_file, problem.network)
    assert model_file.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == entries


def test_written_files_have_ordinary_permissions(tmp_path, model_file, data_file, write_problem):
    problem = Problem.from_files(load_problem_file(write_problem()))
    problem.write(tmp_path / "out.pt", problem.network)
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "out.pt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_no_model_is_written_through_a_link(tmp_path, model_file, data_file, write_problem):
    problem = Problem.from_files(load_problem_file(write_problem()))
    (tmp_path / "link.pt").symlink_to(tmp_path / "real.pt")
    with pytest.raises(UsageError, match="symbolic link"):
        problem.write(tmp_path / "link.pt", problem.network)
    assert not (tmp_path / "real.pt").exists()


@pytest.mark.parametrize(
    ("biased", "policies"), [((True, False), ("penalized", "penalized")), ((False, False), ("absent", "absent"))]
)
def test_a_draft_speaks_of_the_biases_of_all_branches(tmp_path, data_file, biased, policies):
    shapes = mlp(3, 4, 2, bias=biased[0]), mlp(3, 5, 2, bias=biased[1], activation=lambda: Apply(torch.abs))
    samples = torch.randn(7, 3, dtype=torch.float64)
    exported = torch.export.export(
        Branches(*reversed(shapes)).double(), (samples,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    )
    torch.export.save(exported, tmp_path / "model.pt2")
    spec = drafted(tmp_path / "model.pt2", data_file)
    assert (spec.biases.hidden, spec.biases.output) == policies
    assert Problem.from_files(spec).network.widths == (5, 4)
