"""A live `torch.nn.Module` as a LayerGraph: from its tree where that says what it computes, else by `torch.export`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from certify.errors import UnsupportedError, UsageError
from certify.models.factors.embeddings import as_factorization
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
from certify.models.spec.layer_list import Listed, parse_layers

# Where wrappers (DataParallel, torch.compile) keep the module that they wrap.
_WRAPPED = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
_TORCH_LAYERS = "torch.nn.modules."
# Samples of the tensor that a module is exported with: torch takes 0 and 1 for special.
_SAMPLES = 7
# Largest accepted difference between a module and its graph, as a share of its largest output.
_TRACE_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
# Most samples of which a second batch is made.
_MOST_SAMPLES = 64


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
    return as_factorization(graph_of_program(program_of_module(inner, _example(inner, named, inputs)), origin))


def require_traced(model: nn.Module, graph: LayerGraph, inputs: Tensor) -> None:
    """Compare the module's own outputs with those of its graph, in the module's precision and, of a copy, in float64.

    Args:
        model: the module.
        graph: its layers.
        inputs: (n, …) float64; compared as they are, and other numbers of them, in another order and of another size.

    Raises:
        UnsupportedError: they differ: what was traced is not all that the module computes.
    """
    first = next(model.parameters(), None)
    dtype = torch.float64 if first is None else first.dtype
    modes = [(part, part.training) for part in model.modules()]
    try:
        model.eval()
        copies = [model] if dtype == torch.float64 else [model, copy.deepcopy(model).double()]
        same = all(_computes(one, graph, batch) for one in copies for batch in _batches(graph, inputs))
    except Exception as error:  # noqa: BLE001 - the user's forward runs, and may raise anything
        reason = f"cannot be run on the data ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        raise _not_traceable(model, reason) from error
    finally:
        for part, mode in modes:
            part.training = mode
    if not same:
        reason = "computes other outputs on the data than the layers that torch.export traced"
        raise _not_traceable(model, f"{reason}; it may depend on values")


def _batches(graph: LayerGraph, inputs: Tensor) -> list[Tensor]:
    """The inputs, and samples of them in other numbers, orders and sizes; what chooses an embedding is not scaled."""
    count = len(inputs)
    order = torch.arange(2 * min(count, _MOST_SAMPLES) + 1).flip(0) % count
    indexed = any(layer.op in ("embedding", "look_up") for layer in graph.layers)
    return [inputs, inputs[order] * (1.0 if indexed else -0.75), inputs[: 1 + count // 3]]


def _computes(model: nn.Module, graph: LayerGraph, inputs: Tensor) -> bool:
    """Whether the outputs of a module on inputs (n, …) are those of the graph, up to rounding."""
    first = next(model.parameters(), None)
    dtype, device = (torch.float64, "cpu") if first is None else (first.dtype, first.device)
    with torch.no_grad():
        own = model(*_arguments(model, inputs.to(device, dtype))).double().cpu()
    found = graph.forward(inputs)
    # One output of each sample, without an axis of its own.
    own = own.reshape(found.shape) if {own.shape, found.shape} == {(len(own),), (len(own), 1)} else own
    close = _TRACE_TOLERANCES.get(dtype, 0.0) * (1 + own.abs().max())
    return own.shape == found.shape and bool((own - found).abs().max() <= close)


def _not_traceable(model: nn.Module, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"model: {type(model).__name__} {reason}. Name its layers: layers=[{{'linear': NAME}}, 'relu', …]",
        code="not-traceable",
    )


def _parsed(layers: Sequence[object]) -> Listed:
    try:
        return parse_layers(layers)
    except ValueError as error:
        raise UsageError(f"layers: {error}", code="layers-needed") from error


def _unwrapped(model: nn.Module) -> nn.Module:
    while (inner := _WRAPPED.get(type(model).__name__)) and isinstance(child := getattr(model, inner, None), nn.Module):
        model = child
    return model


def _example(model: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor | None) -> tuple[Tensor, ...]:
    """Zeros of the shapes and types that the module reads."""
    dtype = next((p.dtype for p in parameters.values()), torch.float32)
    if inputs is not None:
        integral = not inputs.dtype.is_floating_point
        zeros = torch.zeros(_SAMPLES, *inputs.shape[1:], dtype=inputs.dtype if integral else dtype)
        return _arguments(model, zeros)
    count = _argument_count(model)
    if count > 1 and _chooses(model):
        return tuple(torch.zeros(_SAMPLES, dtype=torch.int64) for _ in range(count))
    first = next(
        (module for module in model.modules() if next(module.parameters(recurse=False), None) is not None), None
    )
    if not isinstance(first, nn.Linear):
        reason = f"the shape of the inputs of {type(model).__name__} is not known; give inputs=X"
        raise layers_needed("model", parameters, reason)
    return (torch.zeros(_SAMPLES, first.in_features, dtype=dtype),)


def _arguments(model: nn.Module, inputs: Tensor) -> tuple[Tensor, ...]:
    """What the module is called with: places as integers, and one column for each of several arguments."""
    chosen = inputs.long() if _chooses(model) else inputs
    count = _argument_count(model)
    if count > 1 and inputs.ndim == 2 and inputs.shape[1] == count:
        return tuple(column.clone() for column in chosen.unbind(1))
    return (chosen,)


def _chooses(model: nn.Module) -> bool:
    """Whether inputs are rows of tables: there are embeddings, or several inputs, and no layer with other weights."""
    layers = [part for part in model.modules() if type(part).__module__.startswith(_TORCH_LAYERS)]
    weighted = any(part._parameters for part in layers if not isinstance(part, nn.Embedding))
    return not weighted and (any(isinstance(part, nn.Embedding) for part in layers) or _argument_count(model) > 1)


def _argument_count(model: nn.Module) -> int:
    """How many tensors the module needs."""
    parameters = inspect.signature(model.forward).parameters.values()
    return sum(entry.default is entry.empty and entry.kind is entry.POSITIONAL_OR_KEYWORD for entry in parameters)
