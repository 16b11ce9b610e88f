"""The state of a growth in a file: everything to go on from the last finished round, in safetensors, without code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch
from safetensors import safe_open

from certify.certificates.growth_report import GrowthRound
from certify.errors import RefusedError, UsageError
from certify.models.loading import Problem
from certify.models.problem_file import ProblemSpec, spec_from_content
from certify.problem import ParallelNetwork
from certify.whole_file import write_whole
from certify.workflows.growth_loop import GrowthState

SCHEMA = "certify.growth-state/1"
_KEY = "certify"


@final
@dataclass(frozen=True, slots=True)
class SavedGrowth:
    """What a state file holds.

    Attributes:
        spec: the problem, with absolute paths.
        output: where the model is to be written, absolute.
        blank: whether the layers are listed and no model file is read.
        prune: whether to prune at the end.
        data_sha256: digest of the data that the rounds were about.
        state: network, rounds and seed.
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
        network = self.state.network
        tensors = {f"factor.{k}": factor.cpu().contiguous() for k, factor in enumerate(network.factors)}
        tensors["coefficients"] = network.coefficients.cpu().contiguous()
        described = {
            "schema": SCHEMA,
            "problem": _absolute(self.spec),
            "output": self.output,
            "blank": self.blank,
            "prune": self.prune,
            "data_sha256": self.data_sha256,
            "seed": self.state.seed,
            "history": [asdict(row) for row in self.state.history],
        }
        try:
            write_whole(path, safetensors.torch.save(tensors, {_KEY: json.dumps(described)}))
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}", code="unwritable") from error

    def require_same_data(self, problem: Problem, path: str | Path) -> None:
        """Raise UsageError unless the data are those that the rounds were about."""
        if problem.source.data_sha256 != self.data_sha256:
            raise UsageError(f"{path}: the data have changed since this state was written; start again")


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
            described: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name).double() for name in file.keys()}  # noqa: SIM118 - no mapping
        if described["schema"] != SCHEMA:
            raise RefusedError(f"{path}: schema {described['schema']!r}, this version reads {SCHEMA!r}")
        factors = tuple(tensors[f"factor.{k}"] for k in range(len(tensors) - 1))
        return SavedGrowth(
            spec=spec_from_content(described["problem"], Path(), lambda at, key: str(path)),
            output=str(described["output"]),
            blank=bool(described["blank"]),
            prune=bool(described["prune"]),
            data_sha256=str(described["data_sha256"]),
            state=GrowthState(
                network=ParallelNetwork(factors, tensors["coefficients"]),
                history=tuple(GrowthRound(**row) for row in described["history"]),
                seed=int(described["seed"]),
            ),
        )
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError, OSError) as error:
        raise RefusedError(
            f"{path}: not the state of a growth ({type(error).__name__})", code="corrupt-file"
        ) from error


def _absolute(spec: ProblemSpec) -> dict[str, Any]:
    """The problem as plain data with absolute paths."""
    content = spec.model_dump(by_alias=True, exclude_none=True, mode="json")
    content["model"]["path"] = str(spec.model.path.absolute())
    data = content["data"]
    names = ("path",) if "path" in data else ("inputs", "targets", "sample_weights", "mask")
    content["data"] = {key: str(Path(value).absolute()) if key in names else value for key, value in data.items()}
    return dict(content)
