"""Build a LayerGraph from a program, value by value: names made unique, dead layers left out, tied weights refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

from torch import Tensor

from certify.errors import RefusedError, UnsupportedError
from certify.models.graph.layers import INPUT, Layer, LayerGraph
from certify.models.graph.operations import Attribute
from certify.models.graph.parameter_shapes import require_parameter_shapes
from certify.models.graph.ties import tied_layer
from certify.models.readers.aten_program import Constant
from certify.models.readers.exact_weights import MAX_NAME, digest_of, exact_parameters
from certify.models.readers.formats import Format

# The most layers that a graph may have.
MAX_LAYERS = 2_000
_TRAINED_ROLES = ("weight", "bias", "hidden_bias")
# Formats that tell what is trained.
_TELLING_FORMATS = ("pt2", "live", "module")
# A layer that adds a constant to what it reads: joined to the linear layer before it where that has no bias.
ADD_BIAS = "add_constant"


@final
@dataclass(frozen=True, slots=True)
class Output:
    """A value that depends on the inputs.

    Attributes:
        layer: the layer that computes it, or the graph input that it is.
    """

    layer: str


Value = Output | Constant


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """Where a graph comes from.

    Attributes:
        format: of the file.
        path: of the file; None for a live model.
        sha256: digest of the file; empty for that of the parameters.
        notes: for the report.
    """

    format: Format
    path: Path | None
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How messages call the model."""
        return str(self.path) if self.path else "model"


@final
@dataclass(slots=True)
class GraphBuilder:
    """Layers so far.

    Attributes:
        where: the model, for messages.
        inputs: names of the graph's inputs.
        values: what every name of the program stands for.
        layers: in the order added.
        constants: of every layer by name, by role.
        held: all that come with the model, used or not.
    """

    where: str
    inputs: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    constants: dict[str, Mapping[str, Constant]] = field(default_factory=dict)
    held: tuple[Constant, ...] = ()

    def add_inputs(self, names: Sequence[str]) -> None:
        """The graph's inputs; a single one is called as in every graph."""
        self.inputs = [INPUT] if len(names) == 1 else list(names)
        for name, own in zip(names, self.inputs, strict=True):
            self.bind(name, Output(own))

    def bind(self, name: str, value: Value) -> None:
        """Give a value its name.

        Raises:
            RefusedError: the name is taken.
        """
        if not name.isprintable() or len(name) > MAX_NAME:
            raise self.corrupt(f"a name with control characters, or of over {MAX_NAME} characters")
        if name in self.values:
            raise self.corrupt(f"two values are called '{name:.60}'")
        self.values[name] = value

    def value(self, name: str) -> Value:
        """The value of a name.

        Raises:
            RefusedError: nothing before has it; as in a cycle.
        """
        if name not in self.values:
            raise self.corrupt(f"'{name:.60}' is read before it is computed")
        return self.values[name]

    def add(
        self,
        op: str,
        title: str,
        inputs: Sequence[Output],
        constants: Mapping[str, Constant] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Output:
        """Add a layer.

        Args:
            op: operation.
            title: its name, if that is free.
            inputs: what it reads.
            constants: its parameters by role.
            attributes: its attributes.

        Raises:
            RefusedError: too many layers.
        """
        if len(self.layers) >= MAX_LAYERS:
            raise RefusedError(f"{self.where}: has over {MAX_LAYERS} layers", code="over-limit")
        name = self._unique(title)
        self.constants[name] = constants or {}
        names = {role: constant.name for role, constant in self.constants[name].items()}
        self.layers[name] = Layer(op, name, tuple(value.layer for value in inputs), names, attributes or {})
        return Output(name)

    def corrupt(self, reason: str) -> RefusedError:
        """The error for a program that makes no sense."""
        return RefusedError(f"{self.where}: corrupt graph: {reason}", code="corrupt-file")

    def finish(self, output: Value, origin: Origin) -> LayerGraph:
        """The graph that computes `output`.

        Raises:
            RefusedError: weights that are not finite real numbers.
            UnsupportedError: tied weights, or an output that does not depend on the inputs.
        """
        if isinstance(output, Constant):
            reason = "the output does not depend on the inputs"
            raise UnsupportedError(f"{self.where}: {reason}", code="unsupported-architecture")
        if output.layer in self.inputs:
            output = self.add("identity", "identity", [output])
        needed = self._needed(output.layer)
        if (tied := tied_layer(needed, self.constants, self.inputs, ADD_BIAS)) is not None:
            needed, self.constants[tied[0].name] = [tied[0]], tied[1]
        frozen = self._frozen(needed) if origin.format in _TELLING_FORMATS else frozenset()
        exact, conversions = exact_parameters(self._used(needed, frozen), self.where)
        layers = tuple(_with_biases(needed, exact, frozen))
        require_parameter_shapes(layers, exact, self.where)
        notes = (*origin.notes, *conversions)
        if frozen:
            names = ", ".join(f"'{name}'" for name in sorted(frozen))
            notes = (*notes, f"neither trained nor penalized (buffers, constants, or without gradient): {names}")
        digest = origin.sha256 or digest_of(exact)
        unused = {c.name: c.tensor for c in self.held if c.trained and c.name not in exact}
        graph = LayerGraph(layers, exact, "", origin.format, origin.path, digest, notes, tuple(self.inputs))
        return replace(graph, frozen=frozen, unused=unused if origin.format in _TELLING_FORMATS else {})

    def is_fixed(self, value: Output) -> bool:
        """Whether a value is that of a layer whose constants are not trained."""
        held = self.constants.get(value.layer, {}).values()
        return bool(held) and not any(constant.trained for constant in held)

    def _unique(self, title: str) -> str:
        name, index = title, 1
        while name in self.layers or name in self.inputs:
            index += 1
            name = f"{title}_{index}"
        return name

    def _needed(self, output: str) -> list[Layer]:
        """The layers that the output depends on, in their order."""
        needed, pending = set(), [output]
        while pending:
            name = pending.pop()
            if name in self.layers and name not in needed:
                needed.add(name)
                pending.extend(self.layers[name].inputs)
        return [layer for name, layer in self.layers.items() if name in needed]

    def _used(self, layers: Sequence[Layer], frozen: frozenset[str]) -> dict[str, Tensor]:
        """Parameters of the layers by name, each of one layer, and weights trained unless they are frozen."""
        used: dict[str, Tensor] = {}
        for layer in layers:
            for role, constant in self.constants[layer.name].items():
                if constant.name in used:
                    raise UnsupportedError(
                        f"{self.where}: parameter '{constant.name}' is used more than once; tied weights are another "
                        "problem (weight decay counts them once), served where a linear layer and its transpose are "
                        "all of the model",
                        code="tied-weights",
                    )
                if role in _TRAINED_ROLES and not constant.trained and constant.name not in frozen:
                    raise UnsupportedError(
                        f"{self.where}: '{constant.name}', the {role} of {layer.title}, is not trained (a buffer, a "
                        "constant or without gradient); certify needs a parameter, which training sees and weight "
                        "decay reaches, or a layer of which nothing is trained",
                        code="unsupported-architecture",
                    )
                used[constant.name] = constant.tensor
        return used

    def _frozen(self, layers: Sequence[Layer]) -> frozenset[str]:
        """Names of the constants of layers none of whose weights are trained."""
        fixed = [layer for layer in layers if self.is_fixed(Output(layer.name))]
        weighted = [layer for layer in fixed if any(role in _TRAINED_ROLES for role in layer.parameters)]
        return frozenset(name for layer in weighted for name in layer.parameters.values())


def as_trained(constants: Mapping[str, Constant]) -> Mapping[str, Constant]:
    """Constants by any key; where no parameter takes a gradient, the model was frozen after training as a whole."""
    if any(constant.trained for constant in constants.values()):
        return constants
    return {key: replace(constant, trained=constant.is_parameter) for key, constant in constants.items()}


def _with_biases(layers: Sequence[Layer], parameters: Mapping[str, Tensor], frozen: frozenset[str]) -> Iterator[Layer]:
    """The layers, where a parameter that is added to a linear layer alone, both trained or neither, is its bias."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    by_name = {layer.name: layer for layer in layers}
    biases: dict[str, str] = {}
    sums: dict[str, str] = {}
    for layer in layers:
        before = by_name.get(layer.inputs[0]) if layer.op == ADD_BIAS else None
        if before is not None and readers[before.name] == 1 and _takes_bias(before, layer, parameters):
            if (layer.parameters["bias"] in frozen) != (before.parameters["weight"] in frozen):
                continue
            biases[before.name], sums[layer.name] = layer.parameters["bias"], before.name
    for layer in layers:
        if layer.name not in sums:
            roles = {**layer.parameters, **({"bias": biases[layer.name]} if layer.name in biases else {})}
            yield replace(layer, inputs=tuple(sums.get(name, name) for name in layer.inputs), parameters=roles)


def _takes_bias(before: Layer, layer: Layer, parameters: Mapping[str, Tensor]) -> bool:
    if before.op != "linear" or "bias" in before.parameters:
        return False
    return parameters[layer.parameters["bias"]].shape == parameters[before.parameters["weight"]].shape[:1]
