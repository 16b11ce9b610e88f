"""Packs of open cones, and the subtrees that grow on them elsewhere; both travel as safetensors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace

import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor

from certify.bounds.rows.cones.cone_batch import Cones, joined
from certify.bounds.rows.cones.cone_bound import build_majorant
from certify.bounds.rows.cones.cone_front import PARENTS_PER_BATCH, Front, recorded
from certify.bounds.rows.cones.cone_incumbent import Incumbent
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cone_tree import TreeLog
from certify.problem import Slopes


def packed(  # noqa: PLR0913
    front: Front, cones: Cones, threshold: float, settings: ConeSettings, incumbent: Incumbent, room: int
) -> bytes:
    """Cones of a front, with all that splitting them takes; at most `room` of the new ones are to be left open."""
    axis = -1 if settings.free_axis is None else settings.free_axis
    slopes = settings.slopes
    numbers = [threshold, settings.target, settings.relative_tolerance, settings.seconds, incumbent.value]
    numbers += [slopes.positive, slopes.negative, axis, room]
    named = {"rows": front.majorant.rows, "scores": front.scores, "diagonals": front.majorant.diagonals}
    named |= tensors_of("cones", cones) | {"direction": incumbent.direction}
    return _saved(named | {"numbers": torch.tensor(numbers, dtype=torch.float64)})


def refined(pack: bytes) -> bytes:
    """Split the cones of a pack depth first until all are at the threshold, or time or room is used up."""
    began, found = time.perf_counter(), safetensors.torch.load(pack)
    threshold, target, tolerance, seconds, value, positive, negative, axis, room = found["numbers"].tolist()
    free_axis, slopes = None if axis < 0 else int(axis), Slopes(positive, negative)
    settings = ConeSettings(target, tolerance, seconds, free_axis=free_axis, slopes=slopes)
    majorant = build_majorant(found["rows"], found["scores"], free_axis, slopes, found["diagonals"])
    roots, log = cones_in(found, "cones"), TreeLog()
    roots = replace(roots, ids=torch.arange(len(roots)))
    log.add_nodes(*recorded(roots))
    front, incumbent = Front(majorant, found["scores"], log, [], [], 0.0, 0), Incumbent(value, found["direction"])
    front.push(roots)
    front.waiting = [roots.take(roots.ids[:0])]
    while front.stack and front.held < room + len(roots) and time.perf_counter() - began < seconds:
        incumbent = front.split(front.pop(PARENTS_PER_BATCH), threshold, settings, incumbent)
    ends = torch.tensor([incumbent.value, front.closed_upper], dtype=torch.float64)
    stacked = joined([front.waiting[0], *front.stack])
    leaves = tensors_of("waiting", joined(front.waiting)) | tensors_of("stacked", stacked)
    return _saved(log_tensors("log", log) | leaves | {"ends": ends, "direction": incumbent.direction})


def absorbed(front: Front, pack: int, result: bytes) -> Incumbent:
    """Take the result of a pack into its front; returns the best direction found there."""
    device = front.majorant.rows.device
    found = {name: tensor.to(device) for name, tensor in safetensors.torch.load(result).items()}
    value, closed_upper = found["ends"].tolist()
    waiting, stacked = cones_in(found, "waiting"), cones_in(found, "stacked")
    front.absorb(pack, log_in(found, "log"), waiting, stacked, closed_upper)
    return Incumbent(value, found["direction"])


def tensors_of(name: str, cones: Cones) -> dict[str, Tensor]:
    """The arrays of cones, by names that begin with the given one."""
    return {f"{name}.{field.name}": part for field, part in zip(fields(Cones), cones.parts(), strict=True)}


def cones_in(found: Mapping[str, Tensor], name: str) -> Cones:
    """The cones of that name."""
    return Cones(*(found[f"{name}.{field.name}"] for field in fields(Cones)))


def log_tensors(name: str, log: TreeLog) -> dict[str, Tensor]:
    """The arrays of a log, by names that begin with the given one."""
    arrays = (*log.nodes(), *log.split_records())
    return {f"{name}.{part}": torch.from_numpy(array) for part, array in zip(_LOG, arrays, strict=True)}


def log_in(found: Mapping[str, Tensor], name: str) -> TreeLog:
    """The log of that name."""
    log, arrays = TreeLog(), [found[f"{name}.{part}"].cpu().numpy() for part in _LOG]
    log.add_nodes(*arrays[:3])
    log.add_splits(*arrays[3:])
    return log


_LOG = ("bounds", "depths", "tangents", "parents", "edges", "children")


def _saved(tensors: dict[str, Tensor]) -> bytes:
    return safetensors.numpy.save({name: t.detach().cpu().contiguous().numpy() for name, t in tensors.items()})
