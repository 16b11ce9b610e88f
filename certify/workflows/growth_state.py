"""The state of a growth in a file: everything to go on from the last finished round, in safetensors, without code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from certify.audits.keys import with_absolute_paths
from certify.certificates.growth_report import GrowthRound
from certify.errors import RefusedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import ProblemSpec, spec_from_content
from certify.problem import Factors
from certify.workflows.growth_loop import GrowthState
from certify.workflows.sealed_tensors import (
    UNREADABLE,
    DamagedError,
    network_in,
    network_tensors,
    read_sealed,
    write_sealed,
)

SCHEMA: Literal["certify.growth-state/1"] = "certify.growth-state/1"


class _Description(BaseModel):
    """Everything but the tensors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, revalidate_instances="always"
    )

    version: Literal["certify.growth-state/1"] = Field(alias="schema")
    problem: dict[str, Any]
    output: str
    blank: bool
    prune: bool
    data_sha256: str
    seed: int
    history: tuple[GrowthRound, ...]


@final
@dataclass(frozen=True, slots=True)
class SavedGrowth:
    """What a state file holds; paths are absolute.

    Attributes:
        output: where the model is to be written.
        blank: whether the layers are listed and no model file is read.
        data_sha256: digest of the data that the rounds were about.
    """

    spec: ProblemSpec
    output: str
    blank: bool
    prune: bool
    data_sha256: str
    state: GrowthState

    def write(self, path: str | Path) -> None:
        """Write atomically.

        Raises:
            UsageError: the file cannot be written.
        """
        dual = self.state.dual
        tensors = network_tensors(self.state.network) | ({} if dual is None else {"dual": dual})
        text = _Description(
            schema=SCHEMA,
            problem=with_absolute_paths(self.spec.model_dump(by_alias=True, exclude_none=True, mode="json")),
            output=self.output,
            blank=self.blank,
            prune=self.prune,
            data_sha256=self.data_sha256,
            seed=self.state.seed,
            history=self.state.history,
        ).model_dump_json(by_alias=True)
        write_sealed(path, text, tensors)

    def require_fitting(self, problem: Problem, path: str | Path) -> None:
        """Hold the state against the problem that it is about.

        Raises:
            UsageError: the data have changed.
            RefusedError: shapes that are not those of the problem.
        """
        if problem.source.data_sha256 != self.data_sha256:
            raise UsageError(f"{path}: the data have changed since this state was written; start again")
        found, blank = self.state.network, problem.objective.empty_network()
        fits = (
            [_sizes(stack) for stack in found.stacks] == [_sizes(stack) for stack in blank.stacks]
            and all(len({len(factor) for factor in stack}) == 1 for stack in found.stacks)
            and found.coefficients.shape == blank.coefficients.shape
            and (self.state.dual is None or self.state.dual.shape == problem.objective.loss.targets.shape)
        )
        if not fits:
            raise RefusedError(f"{path}: its network does not fit the problem", code="corrupt-file")


def read_growth(path: str | Path) -> SavedGrowth:
    """Read a state file.

    Raises:
        UsageError: no such file.
        RefusedError: not a state of a growth, or corrupt.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file", code="missing-file")
    try:
        text, tensors = read_sealed(path)
        return _saved(_Description.model_validate_json(text), tensors, path)
    except DamagedError as error:
        raise RefusedError(f"{path}: {error}", code="corrupt-file") from error
    except UNREADABLE as error:
        found = type(error).__name__
        raise RefusedError(f"{path}: not the state of a growth ({found})", code="corrupt-file") from error


def _saved(found: _Description, tensors: dict[str, Tensor], path: str | Path) -> SavedGrowth:
    """What the file says; ValueError for tensors that are no network."""
    if not all(t.dtype == torch.float64 and t.ndim == 2 and bool(t.isfinite().all()) for t in tensors.values()):
        raise ValueError("tensors must be finite float64 matrices")
    spec = spec_from_content(found.problem, Path(), lambda at, key: str(path))
    state = GrowthState(network_in(tensors), found.history, found.seed, tensors.get("dual"))
    return SavedGrowth(spec, found.output, found.blank, found.prune, found.data_sha256, state)


def _sizes(stack: Factors) -> list[int]:
    """Number of scalars in each factor of one subnetwork."""
    return [factor.shape[1] for factor in stack]
