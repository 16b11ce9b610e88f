"""A file of a fitted decomposition, and the table that it was fitted to, as the problem that it minimized."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, final

import numpy as np

from certify.errors import UsageError
from certify.models.data.data_file import load_table
from certify.models.fitted_factors import Array, FittedFactors, fitted_factors, require_reader
from certify.models.readers.decomposition_file import DecompositionFile, read_decomposition
from certify.models.spec.overrides import Overrides, merged
from certify.models.spec.problem_file import SCHEMA, ProblemSpec, spec_from_content
from certify.models.spec.problem_sections import DataSpec


@final
@dataclass(frozen=True, slots=True)
class FittedFile:
    """Factors of a file, with the digests of what was read."""

    factors: FittedFactors
    model_sha256: str
    data_sha256: str


def spec_of_decomposition(model: str | Path, overrides: Overrides) -> ProblemSpec | None:
    """The problem that the estimator in a file minimized on the data of the overrides; None where there is none.

    Raises:
        UsageError: no data are given.
        UnsupportedError: as `fitted_factors`.
    """
    found = read_decomposition(Path(model))
    if found is None:
        return None
    require_reader(found.kind)
    if overrides.data is None:
        raise UsageError(
            f"{model}: holds a {found.kind}, without the codes of the table that it was fitted to; give it with "
            "--data X.npz (an array X, or --inputs NAME)",
            code="missing-array",
        )
    named = {} if overrides.inputs is None else {"inputs": overrides.inputs}
    table, _ = load_table(DataSpec.model_validate({"path": Path(overrides.data)} | named))
    content = fitted_factors(_estimator(found, table), table).content
    return spec_from_content(
        merged({"schema": SCHEMA, "model": {"path": str(model)}, **content}, overrides), Path(), lambda *_: str(model)
    )


def fitted_file(spec: ProblemSpec) -> FittedFile | None:
    """The factors in the model file of a problem, None where it holds no decomposition; errors as above."""
    found = read_decomposition(spec.model.path)
    if found is None:
        return None
    require_reader(found.kind)
    table, digest = load_table(spec.data)
    factors = fitted_factors(_estimator(found, table), table)
    asked = spec.penalty.factor_norms
    if asked is None or asked.strength != factors.content["penalty"]["factor_norms"]["strength"]:
        note = f"the penalty is not that of the {found.kind} in the file"
        factors = replace(factors, notes=(*factors.notes, note))
    return FittedFile(factors, found.sha256, digest)


def _estimator(found: DecompositionFile, table: Array) -> Any:  # noqa: ANN401
    """scikit-learn's own class with the settings and arrays of the file: what makes codes."""
    try:
        decomposition = import_module("sklearn.decomposition")
    except ImportError as error:
        raise UsageError(
            f"a file of {found.kind} needs scikit-learn, which makes the codes; pip install scikit-learn",
            code="missing-extra",
        ) from error
    kind = getattr(decomposition, found.kind)
    components = found.arrays.get("components_")
    if components is None or components.ndim != 2 or components.shape[1] != table.shape[1]:
        shape = None if components is None else tuple(components.shape)
        raise UsageError(
            f"{found.kind}: components of shape {shape} do not fit a table of shape {table.shape}",
            code="no-weights" if components is None else "shape-mismatch",
        )
    known = inspect.signature(kind).parameters
    made = {name: value for name, value in found.settings.items() if name in known and name != "random_state"}
    estimator = kind(**(made | {"n_components": len(components)}))
    for name, value in found.settings.items():
        if name not in known:
            setattr(estimator, name, value)
    for name, array in found.arrays.items():
        setattr(estimator, name, np.array(array))
    return estimator
