"""The state of a growth in a file: everything to go on from the last finished round, in safetensors, without code."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from torch import Tensor

from certify.audits.keys import with_absolute_paths
from certify.certificates.growth_report import GrowthRound
from certify.errors import RefusedError, UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import ProblemSpec, spec_from_content
from certify.problem import Factors, ParallelNetwork
from certify.whole_file import write_whole
from certify.workflows.growth_loop import GrowthState

SCHEMA: Literal["certify.growth-state/1"] = "certify.growth-state/1"
_KEY, _DIGEST = "certify", "sha256"


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
        network, dual = self.state.network, self.state.dual
        tensors = {
            _name(b, k): factor.cpu().contiguous()
            for b, stack in enumerate(network.stacks)
            for k, factor in enumerate(stack)
        }
        tensors["coefficients"] = network.coefficients.cpu().contiguous()
        if dual is not None:
            tensors["dual"] = dual.cpu().contiguous()
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
        write_whole(path, safetensors.torch.save(tensors, {_KEY: text, _DIGEST: _digest(text, tensors)}))

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
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if metadata[_DIGEST] != _digest(metadata[_KEY], tensors):
            raise RefusedError(f"{path}: the content does not match its digest", code="corrupt-file")
        return _saved(_Description.model_validate_json(metadata[_KEY]), tensors, path)
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
        found = type(error).__name__
        raise RefusedError(f"{path}: not the state of a growth ({found})", code="corrupt-file") from error


def _saved(found: _Description, tensors: dict[str, Tensor], path: str | Path) -> SavedGrowth:
    """What the file says; ValueError for tensors that are no network."""
    if not all(t.dtype == torch.float64 and t.ndim == 2 and bool(t.isfinite().all()) for t in tensors.values()):
        raise ValueError("tensors must be finite float64 matrices")
    network = ParallelNetwork(_stacks(tensors), tensors["coefficients"])
    spec = spec_from_content(found.problem, Path(), lambda at, key: str(path))
    state = GrowthState(network, found.history, found.seed, tensors.get("dual"))
    return SavedGrowth(spec, found.output, found.blank, found.prune, found.data_sha256, state)


def _stacks(tensors: Mapping[str, Tensor]) -> tuple[Factors, ...]:
    """The factors of every branch, in order."""
    stacks: list[Factors] = []
    while _name(len(stacks), 0) in tensors:
        b = len(stacks)
        names = itertools.takewhile(tensors.__contains__, (_name(b, k) for k in itertools.count()))
        stacks.append(tuple(tensors[name] for name in names))
    return tuple(stacks)


def _name(branch: int, factor: int) -> str:
    return f"branch.{branch}.factor.{factor}"


def _sizes(stack: Factors) -> list[int]:
    """Number of scalars in each factor of one subnetwork."""
    return [factor.shape[1] for factor in stack]


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the description and of names, shapes and values of all tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}\n".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
