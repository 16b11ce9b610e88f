"""One ONNX node with what its inputs stand for, as the lowering to layers looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from certify.models.graph.graph_builder import GraphBuilder, Output, Value
from certify.models.graph.operations import Attribute
from certify.models.readers.aten_program import Constant
from certify.models.readers.onnx_files.onnx_file import Node


@final
@dataclass(frozen=True, slots=True)
class NodeView:
    """A node.

    Attributes:
        node: the node.
        builder: the values so far.
        ranks: number of axes of every layer's output, as far as known.
        batches: first extents of the inputs; None for one that may vary.
    """

    node: Node
    builder: GraphBuilder
    ranks: dict[str, int]
    batches: set[int | None]

    def value(self, index: int) -> Value | None:
        """An input; None where it is left out."""
        inputs = self.node.inputs
        return self.builder.value(inputs[index]) if index < len(inputs) and inputs[index] else None

    def output(self, index: int = 0) -> Output | None:
        """An input, if it depends on the graph's inputs."""
        found = self.value(index)
        return found if isinstance(found, Output) else None

    def constant(self, index: int) -> Constant | None:
        """An input, if it does not."""
        found = self.value(index)
        return found if isinstance(found, Constant) else None

    def number(self, index: int) -> float | None:
        """An input that is one number."""
        found = self.constant(index)
        plain = found is not None and found.tensor.numel() == 1 and not found.tensor.is_complex()
        return float(found.tensor.item()) if found is not None and plain else None

    def whole(self, index: int) -> tuple[int, ...] | None:
        """An input that is a list of integers."""
        found = self.constant(index)
        if found is None or found.tensor.ndim > 1 or found.tensor.is_floating_point() or found.tensor.is_complex():
            return None
        return tuple(int(entry) for entry in found.tensor.reshape(-1)[:64])

    def setting(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        found = self.node.settings.get(name, default)
        return found if isinstance(found, int | float) else default

    def settings(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        found = self.node.settings.get(name, default)
        whole = tuple(entry for entry in found if isinstance(entry, int)) if isinstance(found, tuple) else ()
        return whole or default

    def axes(self, index: int) -> tuple[int, ...] | None:
        """The axes, an attribute in earlier versions and an input in later ones."""
        return self.settings("axes", ()) or self.whole(index)

    def layer(
        self,
        op: str,
        inputs: list[Output],
        constants: dict[str, Constant] | None = None,
        attributes: dict[str, Attribute] | None = None,
        rank: int | None = None,
    ) -> Output:
        """Add a layer named after its weight, or else after the node; `rank` as that of the first input."""
        weight = (constants or {}).get("weight")
        title = weight.name.rpartition(".")[0] if weight is not None else ""
        title = title or self.node.name or next(iter(self.node.outputs), "") or op
        made = self.builder.add(op, title if title.isprintable() else op, inputs, constants, attributes)
        known = rank if rank is not None else self.ranks.get(inputs[0].layer)
        if known is not None:
            self.ranks[made.layer] = known
        return made

    def rank(self, value: Output) -> int | None:
        """Number of axes of a value, if known."""
        return self.ranks.get(value.layer)

    def held(self, tensor: Tensor) -> Constant:
        """A constant of the graph that no file calls a parameter."""
        return Constant(self.node.name or "constant", tensor, trained=False)
