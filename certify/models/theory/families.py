"""Names of kinds of subnetworks, told from their layers."""

from __future__ import annotations

from collections.abc import Iterable

from certify.models.graph.layers import LayerGraph
from certify.models.theory.degrees import WITH_WEIGHT
from certify.models.theory.gates import without_gate

# Names that the theory has; any other sequence of layers is named by its parts.
NAMES = {
    ("linear", "linear"): "linear",
    ("tied",): "tied",
    ("linear", "relu", "linear"): "relu",
    ("linear", "square", "linear"): "quadratic",
    ("linear", "squared-relu", "linear"): "squared-relu",
    ("linear", "leaky-relu", "linear"): "leaky-relu",
    ("linear", "abs", "linear"): "abs",
    ("linear", "maxout", "linear"): "maxout",
    ("linear", "linear", "mul", "sum"): "bilinear",
    ("linear", "linear", "mul", "linear"): "bilinear",
}
# Operations that only rearrange, and say nothing about the kind.
SILENT = ("flatten", "reshape", "permute", "squeeze", "unsqueeze", "scale", "identity", "dropout")
_SHORT = {
    **dict.fromkeys(("conv1d", "conv2d"), "conv"),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "amax"), "max-pool"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean"), "avg-pool"),
}


def summary(kinds: Iterable[tuple[str, int, int]]) -> str:
    """`12 parallel relu subnetworks of degree 2`, for the family, degree and width of every kind."""
    groups: dict[tuple[str, int], list[int]] = {}
    for family, degree, width in kinds:
        groups.setdefault((family, degree), []).append(width)
    return " and ".join(_group(family, degree, widths) for (family, degree), widths in groups.items())


def _group(family: str, degree: int, widths: list[int]) -> str:
    plural = "subnetwork" if sum(widths) == 1 else "subnetworks"
    sorts = f", of {len(widths)} sorts" if len(widths) > 1 else ""
    return f"{sum(widths)} parallel {family} {plural} of degree {degree}{sorts}"


def family_name(graph: LayerGraph) -> str:
    """The name of the kind that one subnetwork is of."""
    gate, gated = without_gate(graph)
    if gate is not None:
        name = family_name(gated)
        return f"gated {'relu' if name == 'linear' else name}"
    parts = tuple(_SHORT.get(layer.op, layer.op.replace("_", "-")) for layer in graph.layers if layer.op not in SILENT)
    parts = parts[:-1] if parts[-2:] == ("linear", "sum") else parts
    if parts[:1] in (("slice",), ("select",)) and parts[1:] in NAMES:
        return f"one-input {NAMES[parts[1:]]}"
    if set(parts) == {"embedding", "mul", "sum"}:
        return "matrix-factorization" if parts.count("embedding") == 2 else "cp-factorization"
    if parts in NAMES:
        return NAMES[parts]
    weighted = [layer for layer in graph.layers if layer.op in WITH_WEIGHT]
    plain = {layer.op for layer in weighted} == {"linear"}
    activations = dict.fromkeys(part for part in parts if part != "linear")
    if plain and len(weighted) > 2 and len(parts) <= 2 * len(weighted) - 1 and len(activations) <= 1:
        return f"deep {next(iter(activations), 'linear')}"
    return "-".join(parts[:-1] if parts[-1:] in (("linear",), ("sum",)) else parts)
