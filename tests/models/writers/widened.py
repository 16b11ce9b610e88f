"""Wider networks of a problem, written and read again."""

import numpy as np
import pytest
import torch

from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.models.writers import write_problem_file
from certify.problem import ParallelNetwork

SAMPLES = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 3)))


def widened(problem, more=3):
    """The network with further random subnetworks."""
    generator = torch.Generator().manual_seed(1)

    def wide(factor):
        return torch.cat([factor, torch.randn(more, factor.shape[1], generator=generator, dtype=torch.float64)])

    stacks = tuple(tuple(map(wide, stack)) for stack in problem.network.stacks)
    return ParallelNetwork(stacks, problem.network.coefficients + 0.5)


def written(spec, problem, network, out):
    """Write the network, and read it back by its own problem file."""
    problem.write(out, network)
    beside = load_problem_file(write_problem_file(out, spec, problem.graph, problem.decomposition))
    again = Problem.from_files(beside)
    assert again.source.width == network.width
    found = again.objective.evaluate(again.network).objective
    assert found == pytest.approx(problem.objective.evaluate(network).objective, rel=1e-12)
    return beside, again


def outputs(problem, network):
    """Of the network on the samples, by the parallel form."""
    form = problem.decomposition
    pairs = zip(form.branches_on(SAMPLES), network.stacks, strict=True)
    units = sum(branch.forward(stack) for branch, stack in pairs)
    return units + form.convex_part(SAMPLES).features @ network.coefficients
