"""Certificate files: a canonical JSON header, raw arrays and a digest over everything (format: see the reference)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

MAGIC = b"certify certificate 2\n"
SCHEMA = "certify.certificate/2"

Values = np.ndarray[Any, np.dtype[Any]]
# Sections of the header; floats in them are written as hexadecimal strings.
Section = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True)
class CertificateContent:
    """What a certificate says, ready to be written.

    Attributes:
        upper: claimed bound on the objective.
        lower: claimed bound on the optimum over all widths.
        failure_probability: of randomized proofs, or None.
        scale: s; the dual point is s A.
        lines: where degrees are not equal, in its place: `point` and `scale` of every line.
        proofs: one for each branch, and each dual point: `steps`, `kind` and `upper`.
        parameters: how each parameter is put together from the model file, or None.
        arrays: float64 and uint8 arrays in the order of the format.
    """

    upper: float
    lower: float
    failure_probability: float | None
    scale: float
    statement: Section
    proofs: Sequence[Section]
    model_sha256: str
    parameters: Section | None
    arrays: Mapping[str, Values]
    lines: Sequence[Section] = ()

    def header(self) -> dict[str, Any]:
        """The header as the file holds it."""
        statement = written(self.statement)
        return {
            "schema": SCHEMA,
            "statement": statement,
            "claim": {
                "upper": self.upper.hex(),
                "lower": self.lower.hex(),
                "widths": "all",
                "failure_probability": written(self.failure_probability),
            },
            "dual": {"lines": written(self.lines)} if self.lines else {"scale": self.scale.hex()},
            "proofs": written(self.proofs),
            "sources": {
                "model": self.model_sha256,
                "statement": hashlib.sha256(canonical(statement)).hexdigest(),
                "parameters": written(self.parameters),
            },
            "arrays": _table(self.arrays),
        }

    def to_bytes(self) -> bytes:
        """The file."""
        text = canonical(self.header())
        blobs = [np.ascontiguousarray(values, _item_of(values)).tobytes() for values in self.arrays.values()]
        content = b"".join([MAGIC, struct.pack("<Q", len(text)), text, *blobs])
        return content + hashlib.sha256(content).digest()


def _item_of(values: Values) -> str:
    return "|u1" if values.dtype.kind in "bu" else "<f8"


def _table(arrays: Mapping[str, Values]) -> list[dict[str, Any]]:
    offset, table = 0, []
    for name, values in arrays.items():
        item = np.dtype(_item_of(values))
        table.append({"name": name, "dtype": item.str, "shape": list(values.shape), "offset": offset})
        offset += item.itemsize * values.size
    return table


def written(value: object) -> Any:  # noqa: ANN401
    """The value as a header holds it: floats as hexadecimal strings, lists and objects plain."""
    if isinstance(value, float):
        return float(value).hex()
    if isinstance(value, Mapping):
        return {key: written(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [written(entry) for entry in value]
    return value


def canonical(value: object) -> bytes:
    """Canonical JSON of a header or a part of one."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
