"""Certificate files: a canonical JSON header, raw arrays and a digest over everything (format: see the reference)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from certify.errors import UsageError
from certify.whole_file import write_whole

MAGIC = b"certify certificate 1\n"
SCHEMA = "certify.certificate/1"

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
        scale: s; the dual point is s A.
        proof_kind: which rule bounds the polar.
        polar_upper: U.
        problem: the `problem` section.
        model_sha256: of the model file.
        data_sha256: of the data file.
        parameters: name in the model file of W1, b1, W2, b2 and S, or None.
        data_names: name in the data file of every role, or None.
        failure_probability: of a randomized proof, or None.
        arrays: float64 and uint8 arrays in the order of the format.
    """

    upper: float
    lower: float
    scale: float
    proof_kind: str
    polar_upper: float
    problem: Section
    model_sha256: str
    data_sha256: str
    parameters: Section | None
    data_names: Section | None
    failure_probability: float | None
    arrays: Mapping[str, Values]

    def to_bytes(self) -> bytes:
        """The file."""
        blobs = [np.ascontiguousarray(values, _item_of(values)).tobytes() for values in self.arrays.values()]
        problem = {key: _written(value) for key, value in self.problem.items()}
        header = {
            "schema": SCHEMA,
            "claim": {
                "upper": self.upper.hex(),
                "lower": self.lower.hex(),
                "widths": "all",
                "failure_probability": _written(self.failure_probability),
            },
            "problem": problem,
            "dual": {"scale": self.scale.hex()},
            "proof": {"kind": self.proof_kind, "upper": self.polar_upper.hex()},
            "sources": {
                "model": self.model_sha256,
                "data": self.data_sha256,
                "problem": hashlib.sha256(_json(problem)).hexdigest(),
                "parameters": self.parameters,
                "data_names": self.data_names,
            },
            "arrays": _table(self.arrays, blobs),
        }
        text = _json(header)
        content = b"".join([MAGIC, struct.pack("<Q", len(text)), text, *blobs])
        return content + hashlib.sha256(content).digest()


def save_certificate(path: str | Path, data: bytes) -> None:
    """Write a certificate so that the file is there whole or not at all.

    Raises:
        UsageError: the folder does not exist or cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(f"{path}: cannot write the certificate: {error.strerror}", "unwritable") from error


def _item_of(values: Values) -> str:
    return "|u1" if values.dtype.kind in "bu" else "<f8"


def _table(arrays: Mapping[str, Values], blobs: list[bytes]) -> list[dict[str, Any]]:
    offset, table = 0, []
    for (name, values), blob in zip(arrays.items(), blobs, strict=True):
        table.append({"name": name, "dtype": _item_of(values), "shape": list(values.shape), "offset": offset})
        offset += len(blob)
    return table


def _written(value: object) -> object:
    return value.hex() if isinstance(value, float) else value


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
