"""Outputs never overwrite inputs, and problems at the edge end in an answer."""

import numpy as np
import pytest
import torch


def write(folder, inputs, targets, scale=0.0):
    np.savez(folder / "edge.npz", X=inputs, y=targets)
    torch.manual_seed(0)
    weights = {"0.weight": torch.randn(3, 2) * scale, "2.weight": torch.randn(1, 3) * scale}
    torch.save(weights, folder / "edge.pt")


@pytest.mark.parametrize("output", ["edge.pt", "edge.npz"])
@pytest.mark.parametrize("flag", ["--certificate", "--output-model", "--output"])
def test_an_output_that_is_an_input_is_refused_before_any_work(flag, output, certify, folder):
    write(folder, np.ones((4, 2)), np.ones(4))
    before = (folder / output).read_bytes()
    target = f"json={output}" if flag == "--output" else output
    run = certify("check", "edge.pt", "--data", "edge.npz", "--weight-decay", "0.1", flag, target)
    assert run.code == 2
    assert "this is an input" in run.err
    assert (folder / output).read_bytes() == before


def test_zero_inputs_and_zero_weights_are_certified(certify, folder):
    write(folder, np.zeros((20, 2)), np.arange(20.0))
    assert certify("check", "edge.pt", "--data", "edge.npz", "--weight-decay", "0.1").code == 0


@pytest.mark.parametrize("size", [0.0, 1e-160])
def test_targets_of_no_size_make_small_weights_improvable(size, certify, folder):
    write(folder, np.ones((20, 2)), np.full(20, size), scale=1e-3)
    assert certify("check", "edge.pt", "--data", "edge.npz", "--weight-decay", "0.1").code == 1


def test_an_objective_of_zero_is_told_to_use_an_absolute_gap(certify, folder):
    write(folder, np.ones((20, 2)), np.zeros(20))
    run = certify("check", "edge.pt", "--data", "edge.npz", "--weight-decay", "0.1")
    assert run.code == 3
    assert "--absolute-gap" in run.out
    arguments = ("check", "edge.pt", "--data", "edge.npz", "--weight-decay", "0.1", "--absolute-gap", "1e-9")
    assert certify(*arguments).code == 0


def test_verification_names_the_problem(certify, folder):
    write(folder, np.ones((20, 2)), np.arange(20.0), scale=1e-3)
    certify("check", "edge.pt", "--data", "edge.npz", "--loss", "huber", "--weight-decay", "7", "--certificate", "c")
    run = certify("verify", "c", "--model", "edge.pt", "--data", "edge.npz")
    assert run.code == 0
    assert "[linear, relu, linear], weight-decay 7, " in run.out
    assert "huber (mean, scale 1), " in run.out
