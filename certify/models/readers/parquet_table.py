"""Parquet tables, through pyarrow: only the columns that are asked for are read, and each must hold numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, final

import numpy as np

from certify.errors import RefusedError, UsageError
from certify.models.readers.array_file import Array, exact_float64, require_distinct, require_names
from certify.models.readers.input_file import InputFile, require_bytes

MAGIC = b"PAR1"


@final
@dataclass(frozen=True, slots=True)
class ParquetTable:
    """Columns by name, read when they are asked for.

    Attributes:
        names: of the columns, distinct.
        rows: how many there are.
        source: pyarrow's open file.
    """

    names: tuple[str, ...]
    rows: int
    source: Any

    def columns(self, names: Sequence[str], where: object) -> Array:
        """The named columns, (rows, len(names)), float64.

        Raises:
            UsageError: a name that the table does not have.
            RefusedError: damaged, a column without numbers, or with missing ones.
        """
        require_names(names, self.names, where)
        require_bytes(16 * self.rows * len(names), str(where))
        try:
            read = self.source.read(columns=list(names), use_threads=False)
        except Exception as error:  # noqa: BLE001 - what pyarrow raises of damaged files has no common class
            raise _damaged(where, error) from error
        found = np.empty((self.rows, len(names)))
        for place, name in enumerate(names):
            found[:, place] = _numbers(read.column(name), f"{where}: column '{name}'")
        return found


def read_parquet(file: InputFile) -> ParquetTable:
    """Open a table.

    Raises:
        UsageError: pyarrow is not installed.
        RefusedError: damaged, or two columns of one name.
    """
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            f"{file.path}: Parquet needs pyarrow; pip install 'certify-optimality[parquet]', or save .npz or .csv",
            code="missing-extra",
        ) from error
    file.stream.seek(0)
    try:
        source = parquet.ParquetFile(file.stream, memory_map=False)
        names, rows = tuple(source.schema_arrow.names), int(source.metadata.num_rows)
    except Exception as error:  # noqa: BLE001 - as above
        raise _damaged(file.path, error) from error
    require_distinct(names, file.path)
    return ParquetTable(names, rows, source)


def _numbers(column: Any, where: str) -> Array:  # noqa: ANN401
    if column.null_count:
        raise RefusedError(f"{where}: {column.null_count} values are missing", code="non-finite")
    try:
        values = np.asarray(column.to_numpy())
    except Exception as error:  # noqa: BLE001 - as above
        raise _damaged(where, error) from error
    if values.dtype.kind not in "fiub":
        raise RefusedError(
            f"{where} holds {column.type}, not numbers; name other columns with data.inputs, or encode it as integers",
            code="not-numeric",
        )
    return exact_float64(values, where)


def _damaged(where: object, error: Exception) -> RefusedError:
    reason = " ".join(str(error).split())[:120]
    return RefusedError(f"{where}: not a sound Parquet file ({type(error).__name__}: {reason})", code="corrupt-file")
