"""One ATen call with what its arguments stand for, as the lowering to layers looks at it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import final

from certify.models.graph.graph_builder import GraphBuilder, Output, Value
from certify.models.graph.operations import Attribute
from certify.models.readers.aten_program import Argument, Call, Constant, Reference


@final
@dataclass(frozen=True, slots=True)
class CallView:
    """A call with what its arguments stand for.

    Attributes:
        call: the call.
        builder: the values so far.
        uses: how often every value is read.
        made: which call computed a value.
        batches: first extents of the inputs; None for one that may vary.
    """

    call: Call
    builder: GraphBuilder
    uses: Counter[str]
    made: dict[str, Call]
    batches: set[int | None]

    def argument(self, name: str) -> Argument:
        """An argument; None where it is not given."""
        return self.call.arguments.get(name)

    def value(self, name: str) -> Value | None:
        """The tensor that is passed, or None."""
        argument = self.argument(name)
        return self.builder.value(argument.name) if isinstance(argument, Reference) else None

    def output(self, name: str) -> Output | None:
        """The tensor that is passed, if it depends on the inputs."""
        found = self.value(name)
        return found if isinstance(found, Output) else None

    def constant(self, name: str) -> Constant | None:
        """The tensor that is passed, if it does not depend on the inputs."""
        found = self.value(name)
        return found if isinstance(found, Constant) else None

    def number(self, name: str) -> int | float | None:
        """The number that is passed, as such or as a constant of one element."""
        argument = self.argument(name)
        if isinstance(argument, int | float) and not isinstance(argument, bool):
            return argument
        constant = self.constant(name)
        plain = constant is not None and not constant.trained and constant.tensor.dtype.is_floating_point
        return constant.tensor.item() if constant is not None and plain and constant.tensor.numel() == 1 else None

    def attribute(self, name: str) -> Attribute | None:
        """What is passed, if a layer can have it as an attribute."""
        argument = self.argument(name)
        if isinstance(argument, list):
            whole = tuple(entry for entry in argument if isinstance(entry, int))
            return whole if len(whole) == len(argument) else None
        finite = isinstance(argument, int | str) or (isinstance(argument, float) and math.isfinite(argument))
        return argument if finite and isinstance(argument, int | float | str) else None

    def layer(
        self,
        op: str,
        inputs: list[Output],
        constants: dict[str, Constant] | None = None,
        attributes: dict[str, Attribute] | None = None,
    ) -> Output:
        """Add a layer named after its weight, or else after the value."""
        weight = (constants or {}).get("weight")
        title = weight.name.rpartition(".")[0] if weight is not None else ""
        return self.builder.add(op, title or self.call.outputs[0], inputs, constants, attributes)
