"""How many CPU threads pay off: small tensors run faster on one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certify.models.loading import Problem

# Below this many multiplications in one forward pass, a second thread costs more than it gains.
SMALL_FORWARD = 4_000_000


def use_threads(threads: int | None, problem: Problem) -> None:
    """Set torch's threads to the given number, or by the size of the problem."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
        return
    read = sum(branch.view.numbers for branch in problem.objective.branches)
    if read * max(problem.network.width, 1) < SMALL_FORWARD:
        torch.set_num_threads(1)
