"""LayerGraph: a model as operations, named as in ATen, in the order in which they run, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from torch import Tensor

from certify.errors import CertifyError
from certify.models.graph.operations import OPERATIONS, Attribute, Operands
from certify.models.readers.formats import Format

# Name of the only graph input, unless a graph says otherwise.
INPUT = "input"


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """One operation.

    Attributes:
        op: `linear`, `relu`, `conv2d`, … as in `operations`; any other name is an operation that is not known.
        name: what the user calls it, or the operation where it has no name of its own; unique in a graph.
        inputs: names of the layers, or graph inputs, whose outputs it reads.
        parameters: names of its parameters by role: `weight`, `bias`, `running_mean`, `running_var`.
        attributes: its constants, named as in `torch.nn.functional`.
    """

    op: str
    name: str
    inputs: tuple[str, ...] = (INPUT,)
    parameters: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def weight(self) -> str | None:
        """Name of its weight, or None."""
        return self.parameters.get("weight")

    @property
    def bias(self) -> str | None:
        """Name of its bias, or None."""
        return self.parameters.get("bias")

    @property
    def groups(self) -> int:
        """Number of groups of a convolution, 1 for anything else."""
        found: Any = self.attributes.get("groups", 1)
        return int(found)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that it is about, its attribute `dim`; none where that is left out."""
        found: Any = self.attributes.get("dim")
        return () if found is None else found if isinstance(found, tuple) else (found,)

    def extents(self, name: str, axes: int, default: int | None = None) -> tuple[int, ...] | None:
        """An attribute of a window, one number an axis; None for words, such as the padding 'same'."""
        found: Any = self.attributes.get(name, default)
        sizes: tuple[Any, ...] = found if isinstance(found, tuple) else (found,)
        sizes = sizes * axes if len(sizes) == 1 else sizes
        return sizes if len(sizes) == axes and all(isinstance(size, int) for size in sizes) else None

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"layer '{self.name}'"


@final
@dataclass(frozen=True, slots=True)
class Ends:
    """Where a model begins and ends, as its file says it.

    Attributes:
        input: name of the input.
        output: name of the output.
        reshaped: whether the file's model flattens inputs or squeezes outputs, which the layers leave out.
    """

    input: str = INPUT
    output: str = "output"
    reshaped: bool = False

    @classmethod
    def of(cls, inputs: Sequence[str], output: str) -> Ends:
        """The names of a program; a graph of several inputs has none for the one that it may be reduced to."""
        return cls(inputs[0] if len(inputs) == 1 else INPUT, output)


@final
@dataclass(frozen=True, slots=True)
class LayerGraph:
    """A directed acyclic graph of layers; its output is that of the last layer.

    Attributes:
        layers: in topological order: every layer after those that it reads.
        parameters: float64 tensors by name; on the meta device where only shapes were read.
        prefix: what the file has before every name.
        format: where it came from.
        path: the file, or None.
        sha256: digest of the file, or of the parameters of a live module.
        notes: assumptions and conversions, for the report.
        inputs: names of the graph's inputs.
        ranks: number of axes of each input, samples included, by name; where they are not given the layers tell them.
        folded: whether layers were folded into others, so that parameters differ from those of the file.
        ends: what the file calls its input and output.
        digest_complete: whether the digest covers all values; not those that a file keeps in another one.
        frozen: names of parameters that are not trained: fixed values, which no penalty reaches.
        departures: how the objective differs from what torch computes with weight decay on the file's parameters.
        unused: parameters by name that are trained, as far as the file tells, and that no layer uses.
    """

    layers: tuple[Layer, ...]
    parameters: Mapping[str, Tensor]
    prefix: str
    format: Format
    path: Path | None
    sha256: str
    notes: tuple[str, ...]
    inputs: tuple[str, ...] = (INPUT,)
    ranks: Mapping[str, int] = field(default_factory=dict)
    folded: bool = False
    ends: Ends = Ends()
    digest_complete: bool = True
    frozen: frozenset[str] = frozenset()
    departures: tuple[str, ...] = ()
    unused: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold the order.

        Raises:
            CertifyError: a layer reads what does not come before it, or two have one name.
        """
        known = set(self.inputs)
        for layer in self.layers:
            if layer.name in known or not known.issuperset(layer.inputs):
                raise CertifyError(f"{self.label}: {layer.title} is out of order or named twice; please report")
            known.add(layer.name)

    @property
    def label(self) -> str:
        """How messages call the model."""
        return str(self.path) if self.path else "model"

    def layer(self, name: str) -> Layer | None:
        """The layer of a name; None for a graph input."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def readers(self, name: str) -> tuple[Layer, ...]:
        """The layers that read the output of a layer, or a graph input."""
        return tuple(layer for layer in self.layers if name in layer.inputs)

    def ancestors(self, name: str) -> set[str]:
        """A layer or graph input, and what it reads however indirectly."""
        found = {name}
        for layer in reversed(self.layers):
            found.update(layer.inputs if layer.name in found else ())
        return found

    def is_frozen(self, layer: Layer) -> bool:
        """Whether a layer has parameters, none of which is trained."""
        return bool(layer.parameters) and self.frozen.issuperset(layer.parameters.values())

    def trained_scalars(self, parameters: Mapping[str, Tensor]) -> int:
        """Number of scalars in those of the given parameters that are trained."""
        return sum(tensor.numel() for name, tensor in parameters.items() if name not in self.frozen)

    def weight(self, layer: Layer) -> Tensor:
        """Weight of a layer, (outputs, inputs) for a linear one."""
        return self.parameters[layer.parameters["weight"]]

    def bias(self, layer: Layer) -> Tensor | None:
        """Bias of a layer, (outputs,), or None."""
        return None if layer.bias is None else self.parameters[layer.bias]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs for the graph's inputs, layer by layer: the reference for every other form of the model.

        Raises:
            CertifyError: a layer whose operation has no function in the table.
        """
        values = dict(zip(self.inputs, inputs, strict=True))
        for layer in self.layers:
            if layer.op not in OPERATIONS:
                raise CertifyError(f"{self.label}: no forward pass for '{layer.op}'; please report")
            read = tuple(values[name] for name in layer.inputs)
            found = {role: self.parameters[name] for role, name in layer.parameters.items()}
            values[layer.name] = OPERATIONS[layer.op](Operands(read, found, layer.attributes))
        return values[self.layers[-1].name]
