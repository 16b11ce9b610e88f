"""The interface of a model format: how its content is told, and how it becomes a graph or weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
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


class ModelReader(ABC):
    """One model format; it joins by a line in `registry`."""

    @abstractmethod
    def sniff(self, opened: OpenedModel) -> bool:
        """Whether the content has the marks of this format: the first bytes, or the names of entries."""

    @abstractmethod
    def read(self, opened: OpenedModel) -> WeightFile | LayerGraph:
        """The graph where the format holds one, else the weights; no code of the file is run.

        Raises:
            UsageError: a package that the format needs is not installed, or the file holds no fitted model.
            RefusedError: corrupt, unsafe, non-finite or over a limit.
            UnsupportedError: what the layers of the file say cannot be said by a graph.
        """

    @abstractmethod
    def shapes(self, opened: OpenedModel) -> WeightFile | LayerGraph:
        """What `read` gives; the tensors may be on the meta device, where a format tells shapes without values.

        Raises:
            UsageError: as `read`.
            RefusedError: as `read`, but for values that are not finite.
            UnsupportedError: as `read`.
        """


@contextmanager
def open_model(path: Path) -> Iterator[OpenedModel]:
    """Open a model file, and the archive that it may be.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: over a limit, or a damaged or unsafe archive.
    """
    with open_input(path, "model file") as file:
        if file.head.startswith(_ZIP):
            with open_archive(file) as archive:
                yield OpenedModel(file, archive)
        else:
            yield OpenedModel(file, None)
