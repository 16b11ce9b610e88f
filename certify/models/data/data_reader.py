"""The interface of a data format: how its content is told, what it holds, and which of it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from certify.errors import UsageError
from certify.models.readers.input_file import InputFile
from certify.models.spec.problem_file import DataSpec

ROLES = ("inputs", "targets", "sample_weights", "mask")


class DataReader(ABC):
    """One data format; it joins by a line in `data_file`."""

    @abstractmethod
    def sniff(self, file: InputFile) -> bool:
        """Whether the content is of this format; text is told by its suffix."""

    @abstractmethod
    def shapes(self, file: InputFile) -> dict[str, tuple[int, ...]]:
        """Shape of every array by name; empty for a column of a table.

        Raises:
            RefusedError: corrupt.
        """

    @abstractmethod
    def read(self, file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
        """Arrays by role, None for a role that nothing has.

        Raises:
            UsageError: a name that the file does not hold, or roles that the format cannot serve.
            RefusedError: corrupt, unsafe, not real numbers, or over a limit.
        """


def array_names(spec: DataSpec, path: Path) -> dict[str, str]:
    """Name of the array of every role, for formats of named arrays.

    Raises:
        UsageError: several columns for one role.
    """
    names = {"inputs": spec.inputs or "X", "targets": spec.targets or "y"}
    names |= {role: getattr(spec, role) for role in ROLES[2:] if getattr(spec, role) is not None}
    for role, name in names.items():
        if not isinstance(name, str):
            raise UsageError(f"{path}: data.{role}: a list of columns is for .csv; name one array", code="usage")
    return names
