"""The objective of the network in a certificate, enclosed: loss of its outputs, and the sum of all penalties."""

from __future__ import annotations

import numpy as np

from certify.verify.reals import Array, Real, Reals
from certify.verify.statement.certificate import Certificate
from certify.verify.statement.entries import EntryTerm, counts_of
from certify.verify.statement.entry_penalties import EntryPenalty
from certify.verify.statement.losses import BoundLoss
from certify.verify.statement.unobserved import unobserved_loss


def objective(certificate: Certificate, loss: BoundLoss) -> Reals:
    """The objective of the network in the certificate."""
    outputs, real = _outputs(certificate, loss.real), loss.real
    return loss.value(outputs) + unobserved_loss(certificate, outputs, real) + _penalty(certificate, real)


def _outputs(certificate: Certificate, real: Real) -> Reals:
    """Z, (n, c)."""
    problem, arrays = certificate.problem, certificate.arrays
    parts = [_branch_outputs(certificate, index, real) for index in range(len(problem.branches))]
    if problem.offset is not None:
        parts.append(real(arrays["X" if problem.offset == "inputs" else "offset"]))
    for index, block in enumerate(problem.outside):
        weights = arrays[f"C{index}"]
        if block.features == "axis":
            parts.append(real(weights[arrays["X"][:, block.axis].astype(np.int64)]))
            continue
        ones = np.zeros_like(arrays["Y"])
        parts.append(real(ones + weights) if block.features == "ones" else real(arrays["X"]) @ weights)
    return sum(parts[1:], parts[0]) if parts else real(np.zeros_like(arrays["Y"]))


def _branch_outputs(certificate: Certificate, index: int, real: Real) -> Reals:
    branch, arrays = certificate.problem.branches[index], certificate.arrays
    neuron, inputs = branch.neuron, arrays["X"]
    if isinstance(neuron, EntryTerm):
        return neuron.outputs(_factors(certificate, index), inputs, real)
    factors = _factors(certificate, index)
    hidden = neuron.hidden(inputs, factors, arrays.get(f"F{index}.bias"), real)
    return neuron.readout.outputs(hidden, neuron.outgoing(factors), inputs)


def _factors(certificate: Certificate, index: int) -> list[Array]:
    neuron = certificate.problem.branches[index].neuron
    count = len(neuron.shape) if isinstance(neuron, EntryTerm) else neuron.weights
    return [certificate.arrays[f"F{index}.{place}"] for place in range(count)]


def _counts(certificate: Certificate) -> list[Array]:
    """Number of samples at every place, of every axis."""
    term = certificate.problem.entries
    if term is None:
        return []
    places = term.places(certificate.arrays["X"])
    return [counts_of(places[:, axis], extent) for axis, extent in enumerate(term.shape)]


def _penalty(certificate: Certificate, real: Real) -> Reals:
    arrays, total, counts = certificate.arrays, real(0.0), _counts(certificate)
    for index, branch in enumerate(certificate.problem.branches):
        if isinstance(branch.penalty, EntryPenalty):
            total = total + branch.penalty.value(_factors(certificate, index), counts, real)
            continue
        total = total + branch.penalty.value(_factors(certificate, index), arrays.get(f"F{index}.bias"), real)
    for index, block in enumerate(certificate.problem.outside):
        if block.decay:
            weights = real(arrays[f"C{index}"])
            squares = weights * weights
            squares = squares * counts[block.axis][:, None] if block.counted else squares
            total = total + squares.sum() * block.decay * 0.5
    return total
