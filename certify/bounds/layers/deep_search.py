"""Lower ends of the polar of deep subnetworks: ascent of <Q, φ(W)> with every factor on its unit sphere, batched.

The best last weight is known: W_K = M/|M|, M = Σ Qᵀ (what it reads), so that the ascent is of |M| over the others
(Adam, Kingma and Ba 2015, on normalized factors). Starts are the network's own subnetworks and random ones; half of
these pass a direction of the data through one channel, which is a two-layer subnetwork where σ is idempotent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from certify.bounds.polar import PolarEstimate, PolarTask
from certify.problem import Deep, Factors, Path

Moments = Callable[[Factors], Tensor]

STARTS = 96
STEPS = 300
RATE = 0.03
# Steps after which the worse half of the starts is given up, down to so many.
HALVE_EVERY = 60
LEAST_STARTS = 12
# Numbers that responses of all starts may take at once.
MOST_RESPONSES = 1 << 24
KEPT = 12
TINY = 1e-150


def deep_search(task: PolarTask) -> PolarEstimate:
    """Best subnetworks found from own and random starts, best first."""
    branch, dual = task.branch, task.dual
    if not isinstance(branch.kind, Deep) or not isinstance(branch.view, Path):
        raise TypeError("not of several layers")
    moments = partial(branch.kind.last_moments, branch.view, -dual)
    starts = _starts(task, branch.kind)
    ends = _ascended(moments, starts, task.deadline)
    whole = _completed(moments, tuple(torch.cat(pair) for pair in zip(starts, ends, strict=True)))
    values = branch.pairing(dual, whole)
    order = values.argsort(descending=True)[:KEPT]
    best = float(values[order[0]]) if len(order) else 0.0
    return PolarEstimate(best, tuple(f[order] for f in whole)) if best > 0 else PolarEstimate(0.0, task.nothing)


def _starts(task: PolarTask, kind: Deep) -> Factors:
    """All factors but the last of every start, (s, ·) each."""
    sizes = [f.shape[1] for f in task.nothing[:-1]]
    like, generator = task.nothing[0], torch.Generator().manual_seed(task.seed)
    own = len(task.dual) * sum(kind.channels)
    count = max(LEAST_STARTS, min(STARTS, MOST_RESPONSES // own))
    random = tuple(torch.randn(count, size, generator=generator, dtype=like.dtype).to(like) for size in sizes)
    passed = count // 2
    for place, factor in enumerate(random):
        sparse = torch.zeros_like(factor[:passed])
        reach = factor.shape[1] // _pairs(kind, place)
        sparse[:, :reach] = factor[:passed, :reach]
        factor[:passed] = sparse if place == 0 else sparse.abs()
    return tuple(torch.cat([f, r]) for f, r in zip(task.starts[:-1], random, strict=True))


def _pairs(kind: Deep, place: int) -> int:
    """Pairs of channels that a weight joins."""
    return kind.channels[0] if place == 0 else kind.channels[place] * kind.channels[place - 1]


def _normalized(factors: Factors) -> Factors:
    return tuple(f / torch.linalg.vector_norm(f, dim=1, keepdim=True).clamp_min(TINY) for f in factors)


def _completed(moments: Moments, factors: Factors) -> Factors:
    """With the best last weight, all of norm 1."""
    unit = _normalized(factors)
    return *unit, *_normalized((moments(unit),))


def _ascended(moments: Moments, starts: Factors, deadline: float) -> Factors:
    """Ends of the ascent; of starts that were given up, where they stood last."""
    points = [f.detach().clone().requires_grad_() for f in _normalized(starts)]
    optimizer, alive = torch.optim.Adam(points, lr=RATE), torch.arange(len(starts[0]), device=starts[0].device)
    ends = [f.detach().clone() for f in points]
    for step in range(1, STEPS + 1):
        if time.perf_counter() >= deadline:
            break
        optimizer.zero_grad()
        values = torch.linalg.vector_norm(moments(_normalized(tuple(points))), dim=1)
        (-values.sum()).backward()
        optimizer.step()
        if step % HALVE_EVERY == 0 and len(alive) > LEAST_STARTS:
            _store(ends, alive, points)
            kept = values.argsort(descending=True)[: max(LEAST_STARTS, len(alive) // 2)]
            alive = alive[kept]
            points = [f.detach()[kept].clone().requires_grad_() for f in points]
            optimizer = torch.optim.Adam(points, lr=RATE / 2)
    _store(ends, alive, points)
    return tuple(ends)


def _store(ends: list[Tensor], alive: Tensor, points: list[Tensor]) -> None:
    for end, point in zip(ends, points, strict=True):
        end[alive] = point.detach()
