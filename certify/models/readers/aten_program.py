"""A program of ATen calls: what `.pt2` files and `torch.export` of a live module have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

Scalar = int | float | bool | str | None


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """A value that the program computed before, an input or a constant, by its name."""

    name: str


@final
@dataclass(frozen=True, slots=True)
class Opaque:
    """An argument that no layer has as an attribute: its operation is known by its name alone."""


# `list` for what torch passes as a list.
Argument = Scalar | Reference | Opaque | list[Scalar | Reference]
# Extents of a tensor; None for one that depends on the inputs.
Extents = tuple[int | None, ...]


@final
@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        op: the operation, as `aten.conv2d.default`.
        arguments: by the name in the operation's schema.
        outputs: names of the tensors that it returns.
        extents: of the first of them; None where not known.
    """

    op: str
    arguments: Mapping[str, Argument]
    outputs: tuple[str, ...]
    extents: Extents | None

    @property
    def packet(self) -> str:
        """The operation without overload, `conv2d`; the full name where it is not one of ATen."""
        parts = self.op.split(".")
        return parts[1] if len(parts) == 3 and parts[0] == "aten" else self.op


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor that comes with the program.

    Attributes:
        name: of the parameter, buffer or constant, as the module calls it.
        tensor: its values.
        trained: whether it is a parameter that takes gradients.
        is_parameter: whether it is a parameter.
        flipped: whether its axes are swapped, against what the program comes with.
    """

    name: str
    tensor: Tensor
    trained: bool
    is_parameter: bool = False
    flipped: bool = False

    @property
    def transposed(self) -> Constant:
        """A matrix with its axes swapped; anything else as it is."""
        return replace(self, tensor=self.tensor.T, flipped=not self.flipped) if self.tensor.ndim == 2 else self


@final
@dataclass(frozen=True, slots=True)
class Program:
    """Calls in the order in which they run.

    Attributes:
        inputs: names of the values that a user passes, with their extents.
        constants: by the name of the value.
        calls: each reads only what stands before it.
        outputs: names of the values returned to the user.
    """

    inputs: Mapping[str, Extents]
    constants: Mapping[str, Constant]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
