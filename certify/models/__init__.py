"""How a model arrives: files to layers to a parallel network.

Names are imported on first use: problem files are read without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from certify.models.data.arrays import Arrays
    from certify.models.data.data_file import load_arrays
    from certify.models.inspect import Inspection, LayerRow, inspect_model
    from certify.models.loading import Problem
    from certify.models.source import Source, Tolerance
    from certify.models.spec.init_file import draft_problem_file
    from certify.models.spec.overrides import Overrides
    from certify.models.spec.problem_file import (
        ProblemSpec,
        find_problem_file,
        load_problem_file,
        problem_file_beside,
        spec_from_flags,
    )
    from certify.models.writers import ensure_writable, write_network

_HOMES = {
    "Arrays": "data.arrays",
    "Inspection": "inspect",
    "LayerRow": "inspect",
    "Overrides": "spec.overrides",
    "Problem": "loading",
    "ProblemSpec": "spec.problem_file",
    "Source": "source",
    "Tolerance": "source",
    "draft_problem_file": "spec.init_file",
    "ensure_writable": "writers",
    "find_problem_file": "spec.problem_file",
    "inspect_model": "inspect",
    "load_arrays": "data.data_file",
    "load_problem_file": "spec.problem_file",
    "problem_file_beside": "spec.problem_file",
    "spec_from_flags": "spec.problem_file",
    "write_network": "writers",
}

__all__ = [
    "Arrays",
    "Inspection",
    "LayerRow",
    "Overrides",
    "Problem",
    "ProblemSpec",
    "Source",
    "Tolerance",
    "draft_problem_file",
    "ensure_writable",
    "find_problem_file",
    "inspect_model",
    "load_arrays",
    "load_problem_file",
    "problem_file_beside",
    "spec_from_flags",
    "write_network",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'certify.models' has no attribute {name!r}")
    return getattr(import_module(f"certify.models.{_HOMES[name]}"), name)
