"""Data in a table: columns of a `.csv` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from certify.errors import UsageError
from certify.models.data.data_reader import DataReader
from certify.models.readers.csv_table import read_csv
from certify.models.readers.input_file import InputFile
from certify.models.spec.problem_file import DataSpec


@final
class CsvReader(DataReader):
    """Columns by name."""

    def sniff(self, file: InputFile) -> bool:
        return file.path.suffix.lower() in (".csv", ".txt")

    def shapes(self, file: InputFile) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(read_csv(file).names, ())

    def read(self, file: InputFile, spec: DataSpec) -> Mapping[str, Any]:
        if spec.mask is not None:
            raise UsageError(f"{file.path}: data.mask: a .csv holds no mask; use .npz", code="mask")
        table = read_csv(file)
        targets = [spec.targets or "y"] if isinstance(spec.targets, str | None) else list(spec.targets)
        weights = [spec.sample_weights] if spec.sample_weights else []
        others = [name for name in table.names if name not in (*targets, *weights)]
        inputs = [spec.inputs] if isinstance(spec.inputs, str) else list(spec.inputs or others)
        shared = [name for name in inputs if name in targets]
        if shared:
            raise UsageError(f"{file.path}: column '{shared[0]}' is both an input and a target", code="usage")
        columns = table.columns(targets, file.path)
        return {
            "inputs": table.columns(inputs, file.path),
            "targets": columns[:, 0] if len(targets) == 1 else columns,
            "sample_weights": table.columns(weights, file.path)[:, 0] if weights else None,
        }
