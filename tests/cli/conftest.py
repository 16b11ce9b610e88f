"""The command line as users run it: arguments in, exit code, stdout and stderr out."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from certify.cli.main import main

# Y = diag(3, 2, 1) on the unit vectors, half squares summed, wd = 1: the best product of two layers is the
# soft-thresholded diag(2, 1, 0), of objective (1 + 1 + 1)/2 + 1·(2 + 1) = 4.5.
OPTIMUM = 4.5
PROBLEM = """\
schema: certify.problem/1
model: {path: %s, layers: [{linear: a}, {linear: b}]}
data: {path: train.npz, inputs: X, targets: y}
loss: {name: mse, reduction: sum, scale: 0.5}
penalty: {weight_decay: 1.0}
biases: {hidden: absent, output: absent}
budget: {seconds: 20}
"""


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str


@pytest.fixture
def certify(monkeypatch, capsys):
    """Runs `certify ARGUMENTS…` in this process."""

    def run(*arguments, env=None):
        monkeypatch.setattr(sys, "argv", ["certify", *map(str, arguments)])
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, str(value))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        for name in env or {}:
            monkeypatch.delenv(name)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Run(exit_.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with `optimal.pt`, `poor.pt`, their problem files, and `lone.pt` that has none."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "train.npz", X=np.eye(3), y=np.diag([3.0, 2.0, 1.0]))
    scales = torch.tensor([2.0, 1.0], dtype=torch.float64).sqrt()
    optimal = torch.zeros(2, 3, dtype=torch.float64)
    optimal[0, 0], optimal[1, 1] = scales
    for name, factor in (("optimal", 1.0), ("poor", 0.5), ("lone", 1.0)):
        weights = {"a.weight": factor * optimal, "b.weight": factor * optimal.T.contiguous()}
        torch.save(weights, tmp_path / f"{name}.pt")
    for name in ("optimal", "poor"):
        (tmp_path / f"{name}.problem.yaml").write_text(PROBLEM % f"{name}.pt")
    return tmp_path
