"""A model, or its head, as a parallel network that the theory serves, before there are data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast, final

import torch
from torch import Tensor

from certify.errors import CertifyError, UnsupportedError, UsageError
from certify.models.data.arrays import Arrays
from certify.models.factors.factor_model import FactorModel, factor_model, is_factorization
from certify.models.graph.layers import LayerGraph
from certify.models.source import HeadScope, Source
from certify.models.spec.problem_file import ProblemSpec
from certify.models.spec.problem_sections import PenaltySpec, ProductOfNormsSpec
from certify.models.theory.bias_policy import Conventions
from certify.models.theory.decays import Charge, Decays
from certify.models.theory.decompose import Decomposition, decompose
from certify.models.theory.head import Head, features_digest, head_of
from certify.problem import FactorNorms, ParallelNetwork, ProductOfNorms, SideNorm


@final
@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A model that the theory serves.

    Attributes:
        graph: simplified.
        decomposition: as a parallel network.
        head: what `graph` is the head of, None where it is the whole model.
    """

    graph: LayerGraph
    decomposition: Decomposition | FactorModel
    head: Head | None

    def on(self, inputs: Tensor, device: torch.device) -> Decomposition | FactorModel:
        """The parallel network for inputs (n, …), on a device."""
        found = self.decomposition.on(inputs)
        stacks = tuple(tuple(factor.to(device) for factor in stack) for stack in found.network.stacks)
        return replace(found, network=ParallelNetwork(stacks, found.network.coefficients.to(device)))

    def source(self, data: Arrays) -> Source:
        """Where the problem of this model on `data`, whose inputs are what `graph` reads, came from."""
        graph, decomposition, head, scope = self.graph, self.decomposition, self.head, None
        if head is not None:
            scope = HeadScope(head.layers, head.frozen_parameters, features_digest(data.inputs))
        return Source(
            model_path=graph.path,
            model_sha256=graph.sha256,
            family=decomposition.family,
            degree=decomposition.degree,
            width=decomposition.network.width,
            parameters=graph.trained_scalars(graph.parameters),
            data_path=data.path,
            data_sha256=data.sha256,
            notes=(*graph.notes, *decomposition.notes),
            departures=graph.departures,
            head=scope,
            digest_complete=graph.digest_complete,
        )


def judged(spec: ProblemSpec, whole: LayerGraph) -> JudgedModel:
    """The model, or the head that `spec` is about, with its biases and penalty.

    Raises:
        UsageError: biases that do not fit.
        UnsupportedError: a model or penalty outside the theory.
    """
    head = head_of(whole) if spec.scope == "head" else None
    conventions = Conventions(spec.biases.hidden, spec.biases.output, spec.skip)
    charge = _charge(spec.penalty)
    if head is None and is_factorization(whole):
        model = factor_model(whole, conventions, charge, counted=bool(spec.penalty.entry_counts))
        if spec.loss.unobserved_weight is not None:
            model.require_plain("loss.unobserved_weight")
        return JudgedModel(replace(whole, notes=(*whole.notes, *_left_out(whole, charge))), model, None)
    for key, value in (
        ("penalty.entry_counts", spec.penalty.entry_counts),
        ("loss.unobserved_weight", spec.loss.unobserved_weight),
    ):
        if value:
            raise UsageError(f"{whole.label}: {key} is for factorizations", code="usage")
    decomposition = decompose(whole if head is None else head.graph, conventions, charge)
    graph = decomposition.layout.graph
    _require_trained(graph, decomposition)
    if head is None:
        graph = replace(graph, notes=(*graph.notes, *_left_out(whole, charge)))
    return JudgedModel(graph, decomposition, head)


def _require_trained(graph: LayerGraph, decomposition: Decomposition) -> None:
    """Every tensor is trained, and one of those that the problem is about, or frozen, and none of them.

    Raises:
        UnsupportedError: a frozen one where the theory takes the optimum over all values.
        CertifyError: a tensor that is lost.
    """
    outside = decomposition.layout.outside
    trained = {
        part.parameter for branch in decomposition.branches for cut in branch.cuts for part in cut.parts.values()
    }
    trained |= {*outside.biases, *(name for skip in outside.skips for name in skip.parameters.values())}
    if wrong := sorted(trained & graph.frozen):
        raise UnsupportedError(
            f"{graph.label}: '{wrong[0]}' is not trained (a buffer, a constant or without gradient); certify serves "
            "such tensors in gates of the inputs alone, or before a head with --scope head",
            code="unsupported-architecture",
        )
    if lost := sorted(graph.parameters.keys() - trained - graph.frozen):
        raise CertifyError(f"{graph.label}: '{lost[0]}' is in no part of the problem; please report")


def _left_out(graph: LayerGraph, charge: Charge) -> Iterator[str]:
    """Notes on trained tensors that no layer uses.

    Raises:
        UnsupportedError: one that weight decay reaches: what training minimized then has another term.
    """
    for name, tensor in graph.unused.items():
        if isinstance(charge, Decays) and charge.reach(graph.prefix + name) and bool(tensor.any()):
            raise UnsupportedError(
                f"{graph.label}: parameter '{name}' is in no layer, and weight decay on it counts in the objective "
                f"that training minimized; remove it, or say so with weight_decay: {{{name}: 0, '*': …}}",
                code="unused-parameter",
            )
        yield f"left out: parameter '{name}', which no layer uses"


def _charge(spec: PenaltySpec) -> Charge:
    if spec.weight_decay is not None:
        return Decays(spec.weight_decay, matched=bool(spec.matched))
    if (factors := spec.factor_norms) is not None:
        sides = (_side(norm, cone) for norm, cone in zip(factors.of_factors, factors.cones, strict=True))
        return FactorNorms(factors.strength, tuple(sides))
    # The schema demands exactly one of the three.
    product = cast("ProductOfNormsSpec", spec.product_of_norms)
    return ProductOfNorms(product.strength, product.powers)


def _side(norm: str | dict[str, float], nonnegative: bool) -> SideNorm:
    return SideNorm(**({norm: 1.0} if isinstance(norm, str) else norm), nonnegative=nonnegative)
