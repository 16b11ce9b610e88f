"""A live `torch.nn.Module` as a LayerGraph: from its tree where that says what it computes, else by `torch.export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from certify.errors import UnsupportedError, UsageError
from certify.models.graph.graph_builder import Origin
from certify.models.graph.layers import LayerGraph
from certify.models.lowering.aten_lowering import graph_of_program
from certify.models.lowering.layer_inference import layers_needed
from certify.models.lowering.listed_layers import build_graph
from certify.models.lowering.module_layers import graph_of_chain, is_chain
from certify.models.readers.exact_weights import digest_of, exact_parameters
from certify.models.readers.exported_program import program_of_module
from certify.models.readers.torch_files.module_tree import live_module
from certify.models.readers.weight_file import WeightFile, strip_wrappers
from certify.models.spec.layer_list import LayerEntry, parse_layers

# Where wrappers (DataParallel, torch.compile) keep the module that they wrap.
_WRAPPED = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
# Samples of the tensor that a module is exported with: torch takes 0 and 1 for special.
_SAMPLES = 7
# Largest accepted difference between a module and its graph, as a share of its largest output.
_TRACE_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}


def graph_of_module(
    model: nn.Module, layers: Sequence[object] | None = None, inputs: Tensor | None = None
) -> LayerGraph:
    """The layers of a module.

    Args:
        model: a module; `nn.Sequential` of torch's own layers is not run, any other is traced by `torch.export`.
        layers: what the module computes, as in a problem file, where it cannot be traced.
        inputs: (n, …), to trace the module with; a first linear layer tells their shape where they are not given.

    Raises:
        UsageError: the shape of the inputs is not known, or `layers` does not fit.
        UnsupportedError: tied weights, or a module that cannot be traced.
        RefusedError: parameters that are not finite real numbers.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model is a {type(model).__name__}; needs a torch.nn.Module, or Problem.from_files for files")
    named = dict(model.named_parameters(remove_duplicate=False))
    exact, conversions = exact_parameters(named, "model")
    if layers is not None:
        prefix, stripped = strip_wrappers(exact)
        digest = digest_of(stripped)
        return build_graph(WeightFile(stripped, prefix, "live", None, digest, conversions), _parsed(layers))
    inner, origin = _unwrapped(model), Origin("live", None, "")
    tree = live_module(inner)
    if is_chain(tree):
        tensors = {name: tensor for name, tensor in tree.all_tensors() if isinstance(tensor, Tensor)}
        return graph_of_chain(tree, tensors, origin)
    return graph_of_program(program_of_module(inner, _example(inner, named, inputs)), origin)


def require_traced(model: nn.Module, graph: LayerGraph, inputs: Tensor) -> None:
    """Compare the module's own outputs with those of its graph.

    Args:
        model: the module.
        graph: its layers.
        inputs: (n, …) float64.

    Raises:
        UnsupportedError: they differ: what was traced is not all that the module computes.
    """
    dtype = next((p.dtype for p in model.parameters()), torch.float64)
    tolerance = _TRACE_TOLERANCES.get(dtype)
    if tolerance is None:
        return
    modes = [(part, part.training) for part in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            own = model(inputs.to(dtype)).double().cpu()
    finally:
        for part, mode in modes:
            part.training = mode
    found = graph.forward(inputs)
    # One output of each sample, without an axis of its own.
    own = own[:, None] if own.ndim == 1 and found.shape == (len(own), 1) else own
    if own.shape != found.shape or not bool((own - found).abs().max() <= tolerance * (1 + own.abs().max())):
        raise UnsupportedError(
            f"model: {type(model).__name__} computes other outputs on the data than the layers that torch.export "
            "traced; it may depend on values. Name its layers: layers=[{'linear': NAME}, 'relu', …]",
            code="not-traceable",
        )


def _parsed(layers: Sequence[object]) -> tuple[LayerEntry, ...]:
    try:
        return parse_layers(layers)
    except ValueError as error:
        raise UsageError(f"layers: {error}", code="layers-needed") from error


def _unwrapped(model: nn.Module) -> nn.Module:
    while (inner := _WRAPPED.get(type(model).__name__)) and isinstance(child := getattr(model, inner, None), nn.Module):
        model = child
    return model


def _example(model: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor | None) -> Tensor:
    """Zeros of the shape and type that the module reads."""
    dtype = next((p.dtype for p in parameters.values()), torch.float32)
    if inputs is not None:
        integral = not inputs.dtype.is_floating_point
        return torch.zeros(_SAMPLES, *inputs.shape[1:], dtype=inputs.dtype if integral else dtype)
    first = next(
        (module for module in model.modules() if next(module.parameters(recurse=False), None) is not None), None
    )
    if not isinstance(first, nn.Linear):
        reason = f"the shape of the inputs of {type(model).__name__} is not known; give inputs=X"
        raise layers_needed("model", list(parameters), reason)
    return torch.zeros(_SAMPLES, first.in_features, dtype=dtype)
