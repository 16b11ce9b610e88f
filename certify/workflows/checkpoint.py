"""The state of a long proof in a file: networks, dual point, and the cone searches there, so that it survives."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from certify.bounds.labor import State
from certify.certificates.certificate_file import canonical, written
from certify.errors import UsageError
from certify.growth.balance import balanced
from certify.growth.stages import Improvement, searched_candidate, stage_of
from certify.models.loading import Problem
from certify.problem import ParallelNetwork
from certify.workflows.sealed_tensors import UNREADABLE, network_in, network_tensors, read_sealed, write_sealed
from certify.workflows.statement import statement_of

SCHEMA = "certify.checkpoint/1"
# A state is written when this share of the time so far has passed since the last one, within limits; seconds.
SHARE = 0.1
LEAST_SECONDS, MOST_SECONDS = 1.0, 60.0
# Writing takes at most about this share of the time.
WRITING_SHARE = 0.05
_LOCAL, _BEST, _SEARCH = "local.", "best.", "search."


@final
class Checkpoint:
    """The file, what it held when it was opened, and what it holds now."""

    def __init__(self, path: str | Path, problem: Problem, warn: Callable[[str], None]) -> None:
        """Open.

        Args:
            path: need not exist.
            problem: whose check or growth is kept.
            warn: told if the file cannot be written on the way; the work goes on.

        Raises:
            UsageError: the file is damaged, none of these, or about another problem.
        """
        self.path, self._problem, self._warn = path, problem, warn
        self._statement = hashlib.sha256(canonical(written(statement_of(problem)))).hexdigest()
        self._tensors: dict[str, Tensor] = self._read() if Path(path).exists() else {}
        self._opened = self._written = time.monotonic()
        self._took = 0.0

    def improvement(self, given: ParallelNetwork, deadline: float, seed: int) -> Improvement | None:
        """Where the search from a network had come, None in a new file; the deadline is of the polars' search."""
        if not self._tensors:
            return None
        objective = self._problem.objective
        start = stage_of(objective, given)
        even = start.better(stage_of(objective, balanced(objective, given)))
        local = even.better(stage_of(objective, network_in(self._tensors, _LOCAL)))
        best = local.better(stage_of(objective, network_in(self._tensors, _BEST)))
        candidate = searched_candidate(objective, self._tensors["dual"], best.network, deadline, seed)
        return Improvement(start, even, local, best, candidate, candidate, 0)

    def keeper(self, found: Improvement) -> CheckpointKeeper:
        """Keeps the searches of a bound on what was found."""
        return CheckpointKeeper(self, found)

    def turn_to(self, dual: Tensor) -> None:
        """Let searches at a dual point, and at those that they lead to, take the place of unfinished ones at others."""
        if self._tensors and not torch.equal(self._tensors["dual"], dual):
            self._tensors = {}

    def search(self, dual: Tensor, branch: int) -> State | None:
        """The state of the search at a dual point for a branch, if it is kept."""
        prefix = f"{_SEARCH}{branch}."
        if not self._tensors or not torch.equal(self._tensors["dual"], dual):
            return None
        return {name.removeprefix(prefix): t for name, t in self._tensors.items() if name.startswith(prefix)} or None

    def due(self) -> bool:
        """Whether it is time to write another state."""
        now = time.monotonic()
        share = max(LEAST_SECONDS, SHARE * (now - self._opened))
        return now - self._written >= max(min(MOST_SECONDS, share), self._took / WRITING_SHARE)

    def write(self, dual: Tensor, branch: int, state: State, found: Improvement) -> None:
        """Write the state of a search, beside those of other branches at the dual point."""
        prefix, kept, began = f"{_SEARCH}{branch}.", self._tensors, time.monotonic()
        self._written = began
        same = bool(kept) and torch.equal(kept["dual"], dual)
        if not same and not all(bool(t) for name, t in kept.items() if name.endswith(".finished")):
            return
        others = {name: t for name, t in kept.items() if name.startswith(_SEARCH) and not name.startswith(prefix)}
        self._tensors = {"dual": dual} | (others if same else {}) | {prefix + name: t for name, t in state.items()}
        self._tensors |= network_tensors(found.local.network, _LOCAL) | network_tensors(found.best.network, _BEST)
        try:
            write_sealed(self.path, json.dumps({"schema": SCHEMA, "statement": self._statement}), self._tensors)
        except UsageError as error:
            self._warn(f"{error}; going on without a checkpoint")
        self._written = time.monotonic()
        self._took = self._written - began

    def _read(self) -> dict[str, Tensor]:
        try:
            text, tensors = read_sealed(self.path)
            head = json.loads(text)
            if head["schema"] != SCHEMA:
                raise ValueError(f"its schema is {head['schema']}")
            statement, networks = head["statement"], [network_in(tensors, prefix) for prefix in (_LOCAL, _BEST)]
            fits = (
                all(map(self._fits, networks)) and tensors["dual"].shape == self._problem.objective.loss.targets.shape
            )
        except UNREADABLE as error:
            detail = str(error) if isinstance(error, ValueError) else type(error).__name__
            message = f"{self.path}: is no checkpoint, or damaged ({detail}); remove it, or name another file"
            raise UsageError(message, code="checkpoint") from error
        if statement != self._statement or not fits:
            message = (
                f"{self.path}: is the checkpoint of another problem: data, layers, loss, penalty or tolerance differ"
            )
            raise UsageError(f"{message}; name another file", code="checkpoint")
        device = self._problem.objective.loss.targets.device
        return {name: tensor.to(device) for name, tensor in tensors.items()}

    def _fits(self, network: ParallelNetwork) -> bool:
        """Whether a network is one of the problem's, of any width."""
        blank = self._problem.objective.empty_network()
        sizes = [[[factor.shape[1:] for factor in stack] for stack in n.stacks] for n in (network, blank)]
        return sizes[0] == sizes[1] and network.coefficients.shape == blank.coefficients.shape


@final
@dataclass(frozen=True, slots=True)
class CheckpointKeeper:
    """Keeps the searches of one bound."""

    checkpoint: Checkpoint
    found: Improvement

    def kept(self, dual: Tensor, branch: int) -> State | None:
        return self.checkpoint.search(dual, branch)

    def due(self) -> bool:
        return self.checkpoint.due()

    def keep(self, dual: Tensor, branch: int, state: State) -> None:
        self.checkpoint.write(dual, branch, state, self.found)
