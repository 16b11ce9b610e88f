"""Number of axes of every value in a graph, samples included, as far as the layers show it."""

from __future__ import annotations

from certify.models.graph.layers import Layer, LayerGraph


def ranks_of(graph: LayerGraph) -> dict[str, int]:
    """Axes by name of a layer or graph input."""
    ranks = {name: graph.ranks.get(name) or _of_input(graph.readers(name)) for name in graph.inputs}
    for layer in graph.layers:
        ranks[layer.name] = _of_output(layer, [ranks[name] for name in layer.inputs])
    return ranks


def _of_input(readers: tuple[Layer, ...]) -> int:
    """From what reads it: images for two-dimensional windows, sequences for one-dimensional, otherwise a table."""
    ops = [layer.op for layer in readers]
    if any(op.endswith("2d") for op in ops):
        return 4
    if any(op.endswith("1d") for op in ops):
        return 3
    return 1 if ops and all(op == "embedding" for op in ops) else 2


def _of_output(layer: Layer, ranks: list[int]) -> int:
    rank, attributes = max(ranks), layer.attributes
    axes = attributes.get("dim")
    match layer.op:
        case "flatten":
            start, end = attributes.get("start_dim", 0), attributes.get("end_dim", -1)
            return rank - (end % rank - start % rank) if isinstance(start, int) and isinstance(end, int) else rank
        case "reshape":
            shape = attributes["shape"]
            return len(shape) if isinstance(shape, tuple) else rank
        case "mean" | "sum" | "amax" | "squeeze" | "select" if not attributes.get("keepdim"):
            return rank - (len(axes) if isinstance(axes, tuple) else 1)
        case "unsqueeze" | "embedding":
            return rank + 1
        case _:
            return rank
