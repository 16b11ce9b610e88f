"""The objective of the network in a certificate, enclosed: loss of its outputs, and the sum of all penalties."""

from __future__ import annotations

import numpy as np

from certify.verify.reals import Real, Reals
from certify.verify.statement.certificate import Certificate
from certify.verify.statement.losses import BoundLoss


def objective(certificate: Certificate, loss: BoundLoss) -> Reals:
    """The objective of the network in the certificate."""
    return loss.value(_outputs(certificate, loss.real)) + _penalty(certificate, loss.real)


def _outputs(certificate: Certificate, real: Real) -> Reals:
    """Z, (n, c)."""
    problem, arrays = certificate.problem, certificate.arrays
    parts = [_branch_outputs(certificate, index, real) for index in range(len(problem.branches))]
    if problem.offset is not None:
        parts.append(real(arrays["X" if problem.offset == "inputs" else "offset"]))
    for index, block in enumerate(problem.outside):
        weights = arrays[f"C{index}"]
        ones = np.zeros_like(arrays["Y"])
        parts.append(real(ones + weights) if block.features == "ones" else real(arrays["X"]) @ weights)
    return sum(parts[1:], parts[0]) if parts else real(np.zeros_like(arrays["Y"]))


def _branch_outputs(certificate: Certificate, index: int, real: Real) -> Reals:
    branch, arrays = certificate.problem.branches[index], certificate.arrays
    neuron, inputs = branch.neuron, arrays["X"]
    hidden = real(neuron.rows(inputs)) @ arrays[f"F{index}.0"].T
    hidden = hidden if branch.bias == "absent" else hidden + arrays[f"F{index}.bias"]
    hidden = neuron.gated(hidden, inputs, real)
    return neuron.readout.outputs(neuron.averages(neuron.activation(hidden)), arrays[f"F{index}.1"], inputs)


def _penalty(certificate: Certificate, real: Real) -> Reals:
    arrays, total = certificate.arrays, real(0.0)
    for index, branch in enumerate(certificate.problem.branches):
        first, second = arrays[f"F{index}.0"], arrays[f"F{index}.1"]
        total = total + branch.penalty.value(first, arrays.get(f"F{index}.bias"), second, real)
    for index, block in enumerate(certificate.problem.outside):
        if block.decay:
            weights = real(arrays[f"C{index}"])
            total = total + (weights * weights).sum() * block.decay * 0.5
    return total
