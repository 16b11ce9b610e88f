"""What a certificate of a problem states, and the arrays that it holds: the problem in the checker's vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from certify.bounds.stated_arrays import Array, array_of
from certify.certificates.certificate_file import canonical, written
from certify.models.factors.factor_model import FactorModel
from certify.models.graph.layers import LayerGraph
from certify.models.loading import Problem
from certify.models.readers.exact_weights import digest_of
from certify.models.theory.branches import ModelBranch
from certify.models.theory.decompose import Decomposition
from certify.models.theory.parts import Index, Part
from certify.problem import FactorNorms, SideNorm, WeightDecay
from certify.workflows.factor_statement import factor_arrays, factor_recipes, factor_sections

Section = dict[str, Any]


def statement_of(problem: Problem) -> Section:
    """The section `statement`; two problems are the same if and only if theirs are equal."""
    terms, tolerance, source = problem.terms, problem.tolerance, problem.source
    return {
        "inputs": list(problem.inputs.shape[1:]),
        **_model_sections(problem),
        "offset": _offset(problem),
        "loss": {"name": terms.loss.name, "reduction": terms.loss.reduction, "scale": float(terms.loss.scale)},
        "sample_weights": terms.sample_weights is not None,
        "mask": terms.mask is not None,
        "features": None if source.head is None else source.head.features_sha256,
        "departures": list(source.departures),
        "data": {"sha256": source.data_sha256, "names": None if terms.data_names is None else dict(terms.data_names)},
        "tolerance": {"relative": float(tolerance.relative_gap), "absolute": float(tolerance.absolute_gap)},
    }


def _model_sections(problem: Problem) -> Section:
    decomposition = problem.decomposition
    if isinstance(decomposition, FactorModel):
        return factor_sections(decomposition)
    return {
        "branches": [_branch(branch, problem) for branch in decomposition.branches],
        "outside": _outside(decomposition),
    }


def _offset(problem: Problem) -> str | None:
    """What is added to the outputs and not trained: the inputs, or an array of its own."""
    decomposition = problem.decomposition
    if problem.objective.offset is None:
        return None
    inputs = isinstance(decomposition, Decomposition) and not decomposition.layout.outside.fixed
    return "inputs" if inputs else "array"


def statement_digest(problem: Problem) -> str:
    """SHA-256 of the statement, the same for every model that answers the same question about the same data.

    Features are left out: another model has others, and another machine rounds them otherwise.
    """
    stated, offset = statement_of(problem) | {"features": None}, problem.objective.offset
    if stated["offset"] == "array" and offset is not None:
        stated["offset"] = digest_of({"offset": offset.cpu()})
    return hashlib.sha256(canonical(written(stated))).hexdigest()


def stated_arrays(problem: Problem) -> dict[str, Array]:
    """Data and weights, in the order of the format."""
    terms, graph = problem.terms, problem.graph
    arrays = {"X": array_of(problem.inputs.flatten(1)), "Y": array_of(problem.objective.loss.targets)}
    if terms.sample_weights is not None:
        arrays["sample_weights"] = array_of(terms.sample_weights)
    if terms.mask is not None:
        arrays["mask"] = array_of(terms.mask).reshape(arrays["Y"].shape).astype(np.uint8)
    if problem.objective.offset is not None and _offset(problem) == "array":
        arrays["offset"] = array_of(problem.objective.offset)
    decomposition = problem.decomposition
    if isinstance(decomposition, FactorModel):
        return arrays | factor_arrays(decomposition)
    for place, branch in enumerate(decomposition.branches):
        named = {f"F{place}.{role}": t for role, t in _roles(branch).items()}
        arrays |= {name: array_of(tensor) for name, tensor in named.items()}
    outside = decomposition.layout.outside
    parts = [graph.parameters[name][None] for name in outside.biases]
    parts += [graph.weight(skip).T for skip in outside.skips]
    return arrays | {f"C{place}": array_of(rows) for place, rows in enumerate(parts)}


def parameter_recipes(problem: Problem) -> Section | None:
    """How each array of weights is put together from the model file; None where the checker cannot read it so."""
    graph = problem.graph
    # The checker reads no other formats.
    if graph.format not in ("pt", "safetensors", "npz") or graph.folded or graph.frozen:
        return None
    decomposition = problem.decomposition
    if isinstance(decomposition, FactorModel):
        return factor_recipes(decomposition)
    found: Section = {}
    if any(branch.neuron.gain != 1 for branch in decomposition.branches):
        return None
    for place, branch in enumerate(decomposition.branches):
        for position, role in enumerate(_roles(branch)):
            found[f"F{place}.{role}"] = [_recipe(graph, list(cut.parts.values())[position]) for cut in branch.cuts]
    outside = decomposition.layout.outside
    for place, name in enumerate(outside.biases):
        found[f"C{place}"] = [{"name": graph.prefix + name, "axis": None, "group": 1}]
    for place, skip in enumerate(outside.skips, len(outside.biases)):
        found[f"C{place}"] = [{"name": graph.prefix + skip.parameters["weight"], "axis": 1, "group": 1}]
    return found if all(None not in parts for parts in found.values()) else None


def _branch(branch: ModelBranch, problem: Problem) -> Section:
    architecture = branch.geometry(tuple(problem.inputs.shape[1:])).architecture
    return {
        "layers": architecture.statement(branch.neuron.kind.statement),
        "bias": branch.bias,
        "penalty": _penalty(branch),
        "function": "identity",
    }


def _penalty(branch: ModelBranch) -> Section:
    penalty = branch.penalty
    if isinstance(penalty, WeightDecay):
        return {"name": "weight-decay", "strengths": list(penalty.strengths), "bias": branch.bias_decay}
    if isinstance(penalty, FactorNorms):
        sides = {"left": _side(penalty.left), "right": _side(penalty.right)}
        return {"name": "factor-norms", "strength": penalty.strength} | sides
    powers = list(getattr(penalty, "powers", ()))
    return {"name": "product-of-norms", "strength": penalty.gauge(branch.neuron.kind).coefficient, "powers": powers}


def _side(norm: SideNorm) -> Section:
    return {"l1": norm.l1, "l2": norm.l2, "linf": norm.linf, "nonnegative": norm.nonnegative}


def _outside(decomposition: Decomposition) -> list[Mapping[str, Any]]:
    """One entry for each output bias, then one for each linear skip."""
    ridges = {name: block.ridge for block in decomposition.blocks for name in block.parameters}
    outside = decomposition.layout.outside
    ones = ({"features": "ones", "decay": ridges[name]} for name in outside.biases)
    skips = ({"features": "inputs", "decay": ridges[skip.parameters["weight"]]} for skip in outside.skips)
    return [*ones, *skips]


def _roles(branch: ModelBranch) -> dict[str, Tensor]:
    """A branch's weights by role, in the order of the model's layers."""
    first, bias, second = branch.weights
    return {"0": first} | ({} if bias is None else {"bias": bias}) | ({} if second is None else {"1": second})


def _recipe(graph: LayerGraph, part: Part) -> Section | None:
    """Where one part lies in its tensor; None where it is not all of it, in order."""
    shape, name = graph.parameters[part.parameter].shape, graph.prefix + part.parameter
    if part.rows is None and part.columns is None:
        return {"name": name, "axis": None, "group": 1}
    if part.rows is not None and part.columns is not None:
        return None
    axis, index = (0, part.rows) if part.rows is not None else (1, part.columns)
    if index is None or 0 in shape:
        return {"name": name, "axis": axis, "group": 1}
    return {"name": name, "axis": axis, "group": int(index.shape[1])} if _whole(index, shape[axis]) else None


def _whole(index: Index, extent: int) -> bool:
    return index.size == extent and bool((index.ravel() == np.arange(extent)).all())
