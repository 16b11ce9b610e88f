"""Polishing a ReLU network: the best network over the activation cells of its subnetworks and of further directions.

The restricted problem is convex and is solved to about 1e-9; at its solution no direction within the cells that were
given violates the polar condition, so that only new cells can (column generation over cells; Pilanci and Ergen 2020).
At optima nearly all hidden units sit exactly on kinks, where gradient descent stalls and this does not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.growth.block_program import input_blocks, output_blocks
from certify.growth.cells import Cells, cells_of, unit_rows
from certify.growth.directions import directions_of
from certify.growth.interior_point import minimize_blocks
from certify.growth.merge import merged
from certify.problem import Factors, Objective, ParallelNetwork

# Largest number of columns, and of entries of all columns, for which Newton systems pay off.
MOST_COLUMNS = 1500
MOST_ENTRIES = 2e7
# The start moves into the interior of its cells by this share of the mean size of a subnetwork.
INWARD_SHARE = 1e-2
# Subnetworks below this share of the largest are dropped: the barrier leaves them near, not at, zero.
NEGLIGIBLE = 1e-7
# Size of the start where there is no network yet, in units of the matched product.
SMALLEST_START = 1e-3


def polish_applies(objective: Objective, width: int) -> bool:
    """Whether the restricted problem of this many subnetworks is of a size for Newton's method."""
    columns = width * max(objective.inputs.shape[1], objective.outputs)
    entries = columns * objective.samples * objective.outputs
    return objective.kind.name == "relu" and 0 < columns <= MOST_COLUMNS and entries <= MOST_ENTRIES


def polished(objective: Objective, network: ParallelNetwork, directions: Factors, deadline: float) -> ParallelNetwork:
    """The best network over the cells of the network's own subnetworks and of further directions.

    Args:
        objective: the function to minimize, with ReLU subnetworks.
        network: where to start.
        directions: more subnetworks with θ = 1, stacked (s, ·); s may be 0.
        deadline: `time.perf_counter()` value at which to stop.
    """
    own, scales = directions_of(objective, network)
    atoms = tuple(torch.cat([old, new]) for old, new in zip(own, directions, strict=True))
    cells = cells_of(objective.inputs, atoms, torch.cat([scales, scales.new_zeros(len(directions[0]))]))
    if cells.count == 0:
        return network
    found = merged(objective, _inputs_polished(objective, cells, network.coefficients, deadline))
    return found if objective.outputs == 1 else _outputs_polished(objective, found, deadline)


def _inputs_polished(objective: Objective, cells: Cells, coefficients: Tensor, deadline: float) -> ParallelNetwork:
    program = input_blocks(objective, cells)
    inside = _strictly_inside(cells, unit_rows(objective.inputs), program.signs)
    point = minimize_blocks(program, torch.cat([inside.flatten(), coefficients.flatten()]), deadline)
    blocks, coefficients = program.split(point)
    sizes = _sizes(blocks[:, : program.size - program.free])
    # A block may carry nothing but a free bias.
    kept = (_sizes(blocks) > NEGLIGIBLE * sizes.max()) & (sizes > 0)
    roots = sizes[kept].sqrt()[:, None]
    return ParallelNetwork((blocks[kept] / roots, roots * cells.outgoing[kept]), coefficients)


def _strictly_inside(cells: Cells, walls: Tensor, signs: Tensor) -> Tensor:
    """The start of every block moved into its cell, twice as far as it lies behind any wall."""
    mean = torch.linalg.vector_norm(cells.start, dim=1).mean().clamp_min(SMALLEST_START)
    margins = signs * (cells.interior @ walls.T)
    behind = (-signs * (cells.start @ walls.T) / margins).amax(1, keepdim=True)
    return cells.start + torch.maximum(INWARD_SHARE * mean, 2 * behind) * cells.interior


def _outputs_polished(objective: Objective, network: ParallelNetwork, deadline: float) -> ParallelNetwork:
    own, scales = directions_of(objective, network)
    program = output_blocks(objective, own[0])
    start = torch.cat([(scales[:, None] * own[1]).flatten(), network.coefficients.flatten()])
    blocks, coefficients = program.split(minimize_blocks(program, start, deadline))
    sizes = _sizes(blocks)
    kept = sizes > NEGLIGIBLE * sizes.max()
    roots = sizes[kept].sqrt()[:, None]
    return ParallelNetwork((roots * own[0][kept], blocks[kept] / roots), coefficients)


def _sizes(blocks: Tensor) -> Tensor:
    sizes: Tensor = torch.linalg.vector_norm(blocks, dim=1)
    return sizes
