"""Whether a certificate is about a problem: the one test is that statement, data, weights and model file are equal."""

from __future__ import annotations

import numpy as np

from certify.certificates.certificate_file import written
from certify.models.loading import Problem
from certify.verify.container import read_container
from certify.workflows.statement import stated_arrays, statement_of


def differences(certificate: bytes, problem: Problem) -> str:
    """Where a certificate, accepted by the checker, is about another problem or model; empty if nowhere."""
    header, arrays = read_container(certificate)
    found, asked = header["statement"], written(statement_of(problem))
    differing = [name for name in asked if found.get(name) != asked[name]]
    differing += [] if header["sources"]["model"] == problem.source.model_sha256 else ["model file"]
    expected = stated_arrays(problem)
    # The others are the proof's.
    stated = {name: values for name, values in arrays.items() if not name.startswith(("A", "P"))}
    for name in sorted(stated.keys() | expected.keys()):
        one, other = stated.get(name), expected.get(name)
        if one is None or other is None or not _identical(one, other):
            differing.append(f"array '{name}'")
    return f"it is about another problem: {', '.join(differing)} differ" if differing else ""


def _identical(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == np.ascontiguousarray(other, one.dtype).tobytes()
