"""CSV tables: a header row of column names, then rows of numbers."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from certify.errors import RefusedError
from certify.models.readers.array_file import Array, require_distinct, require_names
from certify.models.readers.input_file import InputFile, require_bytes

_INTEGER = re.compile(r"\s*[+-]?\d{16,300}\s*")


@final
@dataclass(frozen=True, slots=True)
class Table:
    """Columns of numbers.

    Attributes:
        names: of the columns, distinct.
        values: (rows, columns) float64.
    """

    names: tuple[str, ...]
    values: Array

    def columns(self, names: Sequence[str], where: object) -> Array:
        """The named columns, (rows, len(names)).

        Raises:
            UsageError: a name that the table does not have.
        """
        places = {name: place for place, name in enumerate(self.names)}
        require_names(names, places, where)
        return self.values[:, [places[name] for name in names]]


def read_csv(file: InputFile) -> Table:
    """Read a table.

    Raises:
        RefusedError: not UTF-8 text, ragged, or a cell that is no number or would be rounded; names the line.
    """
    file.stream.seek(0)
    text = io.TextIOWrapper(file.stream, encoding="utf-8-sig", newline="")
    try:
        return _table(csv.reader(text, strict=True), file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{file.path}: not a UTF-8 CSV table ({error})", code="corrupt-file") from error
    finally:
        text.detach()


def _table(rows: Iterator[list[str]], file: InputFile) -> Table:
    names = _names(next(rows, []), file)
    cells = array("d")
    for number, row in enumerate(rows, start=2):
        if row:
            cells.extend(_numbers(row, names, f"{file.path}: row {number}"))
        if number % 4096 == 0:
            require_bytes(8 * len(cells), str(file.path))
    return Table(names, np.frombuffer(cells, dtype=np.float64).reshape(-1, len(names)).copy())


def _names(header: list[str], file: InputFile) -> tuple[str, ...]:
    names = tuple(name.strip() for name in header)
    if not names or not all(names):
        raise RefusedError(f"{file.path}: the first line must name every column", code="corrupt-file")
    require_distinct(names, file.path)
    if all(_is_number(name) for name in names):
        raise RefusedError(f"{file.path}: the first line must name the columns, found numbers", code="corrupt-file")
    if len(names) == 1 and ";" in names[0]:
        raise RefusedError(f"{file.path}: columns must be separated by commas, found ';'", code="corrupt-file")
    return names


def _numbers(row: list[str], names: tuple[str, ...], where: str) -> list[float]:
    if len(row) != len(names):
        raise RefusedError(f"{where} has {len(row)} cells, the header {len(names)} columns", code="corrupt-file")
    for name, cell in zip(names, row, strict=True):
        if not _is_number(cell):
            raise RefusedError(f"{where}, column '{name}': {cell!r:.40} is not a number", code="not-numeric")
        if _INTEGER.fullmatch(cell) and int(cell) != float(cell):
            raise RefusedError(f"{where}, column '{name}': {cell!r:.40} is not exact in float64", code="dtype")
    return [float(cell) for cell in row]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell and cell.isascii()
