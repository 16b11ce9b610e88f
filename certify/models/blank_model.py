"""A model of width zero from a list of layers alone: where training from scratch starts."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.errors import CertifyError, UsageError
from certify.models.data.arrays import Arrays
from certify.models.readers.exact_weights import digest_of
from certify.models.readers.weight_file import WeightFile
from certify.models.spec.factor_entry import TRANSPOSED, FactorEntry
from certify.models.spec.problem_file import ProblemSpec


def blank_weights(spec: ProblemSpec, data: Arrays) -> WeightFile:
    """Weights of a two-layer network without hidden units, with the biases that the problem does not call absent.

    Args:
        spec: its `model.layers` name the layers.
        data: gives the numbers of inputs and outputs.

    Raises:
        UsageError: no layers, or other than two linear ones and perhaps a skip.
    """
    entries = spec.model.entries or ()
    if isinstance(entries, FactorEntry):
        raise CertifyError("a factorization has no inputs and outputs; please report")
    linear = [entry for entry in entries if entry.op == "linear"]
    if len(linear) != 2 or any(entry.name is None for entry in entries if entry.op in ("linear", "skip")):
        found = ", ".join(f"{entry.op}: {entry.name}" if entry.name else entry.op for entry in entries) or "none"
        raise UsageError(
            f"layers: {found}; from scratch needs two linear layers with nothing, relu, leaky_relu, abs or square "
            "between them, for example --layers linear:fc1,relu,linear:fc2",
            code="layers-needed",
        )
    inputs, outputs = data.inputs.shape[1], _outputs(spec, data.targets)
    parameters: dict[str, Tensor] = {}
    plans = iter((((0, inputs), spec.biases.hidden), ((outputs, 0), spec.biases.output)))
    for entry in entries:
        if entry.op in ("linear", "skip"):
            shape, policy = next(plans) if entry.op == "linear" else ((outputs, inputs), "absent")
            parameters[f"{entry.name}.weight"] = torch.zeros(shape, dtype=torch.float64)
            if policy != "absent":
                parameters[f"{entry.name}.bias"] = torch.zeros(shape[0], dtype=torch.float64)
    return WeightFile(parameters, "", "pt", None, digest_of(parameters), ("starts from width zero",))


def blank_factors(entry: FactorEntry, extents: tuple[int, ...]) -> WeightFile:
    """Factors of rank zero and biases of zeros, by the names of an entry.

    Raises:
        UsageError: data with another number of axes, or an offset, which is in no file.
    """
    if len(extents) != len(entry.factors):
        raise UsageError(
            f"layers: {len(entry.factors)} factors, but the data are entries of shape {extents}", code="shape-mismatch"
        )
    if entry.offset is not None:
        raise UsageError("layers: from scratch there is no file that holds the offset; leave it out", code="usage")
    parameters: dict[str, Tensor] = {}
    for name, extent in zip(entry.factors, extents, strict=True):
        shape = (0, extent) if name.endswith(TRANSPOSED) else (extent, 0)
        parameters[name.removesuffix(TRANSPOSED)] = torch.zeros(shape, dtype=torch.float64)
    for bias, extent in zip(entry.biases, extents, strict=True):
        if bias is not None:
            parameters[bias] = torch.zeros(extent, 1, dtype=torch.float64)
    if entry.constant is not None:
        parameters[entry.constant] = torch.zeros(1, dtype=torch.float64)
    return WeightFile(parameters, "", "pt", None, digest_of(parameters), ("starts from rank zero",))


def _outputs(spec: ProblemSpec, targets: Tensor) -> int:
    """Number of outputs that the targets ask for."""
    if targets.ndim == 2 and targets.shape[1] > 1:
        return targets.shape[1]
    if spec.loss.name == "cross-entropy":
        return max(2, int(targets.max()) + 1)
    return 1
