"""The interface of a model format: how its content is told, and how it becomes a graph or weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from certify.errors import CertifyError
from certify.models.graph.layers import LayerGraph
from certify.models.readers.archive import Archive, open_archive
from certify.models.readers.input_file import InputFile, open_input
from certify.models.readers.weight_file import WeightFile

_ZIP = b"PK\x03\x04"


@final
@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model file that is open.

    Attributes:
        file: the file.
        unpacked: its entries, None where it is no zip archive.
    """

    file: InputFile
    unpacked: Archive | None

    @property
    def members(self) -> Collection[str]:
        """Names of the archive's entries; none where it is no archive."""
        return () if self.unpacked is None else self.unpacked.members

    @property
    def archive(self) -> Archive:
        """The archive of a file that was sniffed as one.

        Raises:
            CertifyError: it is none.
        """
        if self.unpacked is None:
            raise CertifyError(f"{self.file.path}: read as an archive, which it is not; please report")
        return self.unpacked


@final
@dataclass(frozen=True, slots=True)
class ModelReader:
    """One model format; it joins by a line in `registry`.

    Attributes:
        sniff: whether the content has the marks of this format: the first bytes, or the names of entries.
        read: gives the graph where the format holds one, else the weights; runs no code of the file, and raises
            UsageError where a package is not installed or the file holds no fitted model, RefusedError for what is
            corrupt, unsafe, non-finite or over a limit, and UnsupportedError for layers that no graph can say.
        shapes: gives what `read` does; the tensors may be on the meta device, their values not looked at, where a
            format tells shapes without values.
    """

    sniff: Callable[[OpenedModel], bool]
    read: Callable[[OpenedModel], WeightFile | LayerGraph]
    shapes: Callable[[OpenedModel], WeightFile | LayerGraph]


@contextmanager
def open_model(path: Path) -> Iterator[OpenedModel]:
    """Open a model file, and the archive that it may be.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: over a limit, or a damaged or unsafe archive.
    """
    with open_input(path, "model file") as file:
        yield OpenedModel(file, open_archive(file) if file.head.startswith(_ZIP) else None)
