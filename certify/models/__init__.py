"""How a model arrives: files to layers to a parallel network."""

from certify.models.arrays import Arrays
from certify.models.data_file import load_arrays
from certify.models.init_file import draft_problem_file
from certify.models.inspect import Inspection, LayerRow, inspect_model
from certify.models.loading import Problem
from certify.models.overrides import Overrides
from certify.models.problem_file import (
    ProblemSpec,
    find_problem_file,
    load_problem_file,
    problem_file_beside,
    spec_from_flags,
)
from certify.models.source import Source, Tolerance
from certify.models.writers import ensure_writable, write_network

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
