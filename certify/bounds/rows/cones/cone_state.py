"""The state of a cone search as named arrays, and a search that goes on from one."""

from __future__ import annotations

import torch
from torch import Tensor

from certify.bounds.labor import State
from certify.bounds.rows.cones.cone_batch import joined
from certify.bounds.rows.cones.cone_bound import Majorant
from certify.bounds.rows.cones.cone_front import Front, rooted
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_packs import cones_in, log_in, log_tensors, tensors_of
from certify.bounds.rows.cones.cone_search import ConeSearch, Stage
from certify.bounds.rows.cones.cone_settings import ConeSettings


def state_of(search: ConeSearch) -> dict[str, Tensor]:
    """All that a search needs to go on in the same order; cones that are lent count as not begun."""
    found = {
        "direction": search.incumbent.direction,
        "numbers": torch.tensor([search.incumbent.value, search.threshold], dtype=torch.float64),
        "finished": torch.tensor([max(front.open_upper for front in search.fronts) <= search.goal]),
        "stages": torch.tensor([[stage.threshold, stage.nodes] for stage in search.stages], dtype=torch.float64),
    }
    for side, front in enumerate(search.fronts):
        pieces = [*front.stack, *front.lent.values()]
        found |= tensors_of(f"{side}.waiting", joined(front.waiting))
        found |= tensors_of(f"{side}.stack", joined([front.waiting[0].between(0, 0), *pieces]))
        found |= log_tensors(f"{side}.log", front.log)
        found[f"{side}.pieces"] = torch.tensor([len(piece) for piece in pieces])
        found[f"{side}.closed"] = torch.tensor([front.closed_upper], dtype=torch.float64)
    return found


def begun(
    majorants: list[Majorant], sides: list[Tensor], settings: ConeSettings, began: float, incumbent: Incumbent
) -> ConeSearch:
    """A search that begins at the orthants; `sides` are Q with the sign of each side."""
    fronts = [rooted(majorant, scores) for majorant, scores in zip(majorants, sides, strict=True)]
    return ConeSearch(fronts, settings, began, incumbent)


def gone_on(
    majorants: list[Majorant], sides: list[Tensor], settings: ConeSettings, began: float, state: State
) -> ConeSearch:
    """A search that goes on from a state of one with the same majorants."""
    fronts = []
    for side, (majorant, scores) in enumerate(zip(majorants, sides, strict=True)):
        waiting, stack = cones_in(state, f"{side}.waiting"), cones_in(state, f"{side}.stack")
        pieces = stack.split(state[f"{side}.pieces"].tolist())
        closed_upper, held = float(state[f"{side}.closed"]), len(waiting) + len(stack)
        fronts.append(Front(majorant, scores, log_in(state, f"{side}.log"), [waiting], pieces, closed_upper, held))
    value, threshold = state["numbers"].tolist()
    stages = tuple(Stage(reached, int(nodes)) for reached, nodes in state["stages"].tolist())
    return ConeSearch(fronts, settings, began, Incumbent(value, state["direction"]), stages, threshold)
