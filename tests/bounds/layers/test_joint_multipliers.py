"""Dual points chosen together with the multipliers, against networks: half the squared error of three relu layers."""

import time

import torch

from certify.bounds.layers.base import base_maximum
from certify.bounds.layers.chain import Chain
from certify.bounds.layers.fan import fan_of
from certify.bounds.layers.kink import Kink
from certify.bounds.layers.multipliers import DualProblem, PeelTask, best_multipliers, joint_multipliers
from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.problem import Slopes

from .deep_subnetworks import RELU, responses

CHAIN = Chain(Slopes(*RELU), (Kink(Slopes(*RELU)),), fan_of(1))


def trained(rows, targets, strength, generator):
    """Objective |Z − Y|²/2 + λ Σ Π|W_k| of six subnetworks trained by Adam, the best on the way, and Y − Z there."""
    sizes = [(rows.shape[1], 4), (4, 4), (4, 1)]
    weights = [0.5 * torch.randn(6, *size, generator=generator, dtype=torch.float64) for size in sizes]
    optimizer = torch.optim.Adam([own.requires_grad_() for own in weights], lr=0.02)
    best, residual = torch.inf, targets
    for step in range(1500):
        outputs = (responses(rows, weights[:2], RELU) @ weights[2]).sum(0)
        penalty = torch.stack([own.flatten(1).norm(dim=1) for own in weights]).prod(0).sum()
        value = (outputs - targets).square().sum() / 2 + strength * penalty
        if float(value.detach()) < best:
            best, residual = float(value.detach()), (targets - outputs).detach()
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 1500) + 1e-5
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return best, residual


def lower_bound(rows, scores, peels, targets, strength):
    """max over s ≤ λ/U of s<Q, Y> − s²|Q|²/2, U proven for Q."""
    upper = base_maximum(rows, CHAIN.seminorms(scores, peels), ConeSettings(relative_tolerance=1e-4)).upper
    along, square = float((scores * targets).sum()), float(scores.square().sum())
    scale = min(strength / upper, along / square)
    return scale * along - scale**2 * square / 2


def test_the_joint_bound_is_below_every_network_and_above_that_of_its_residual():
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(16, 2, generator=generator, dtype=torch.float64)
    first, second, noise = (torch.randn(k, 1, generator=generator, dtype=torch.float64) for k in (2, 2, 16))
    targets = torch.relu(rows @ first) - torch.relu(rows @ second) + 0.3 * noise
    strength = 0.2 * float(targets.norm())
    value, residual = trained(rows, targets, strength, generator)
    task = PeelTask(CHAIN, rows, rows[:0], time.perf_counter() + 120, 300)
    scaled = lower_bound(rows, residual, best_multipliers(task, residual).peels, targets, strength)
    unit = float(residual.square().mean().sqrt())
    problem = DualProblem(
        dual=lambda coordinates: unit * coordinates,
        scores=lambda dual: -dual,
        conjugate=lambda dual: (dual * (dual / 2 + targets)).sum(),
        strength=strength,
    )
    found = joint_multipliers(task, problem, -residual / unit)
    joint = lower_bound(rows, -unit * found.coordinates, found.peels, targets, strength)
    assert 0 < scaled <= value
    assert scaled < joint <= value


def test_the_search_ends_at_its_deadline_with_usable_multipliers():
    generator = torch.Generator().manual_seed(2)
    rows, scores = (torch.randn(12, k, generator=generator, dtype=torch.float64) for k in (3, 1))
    found = best_multipliers(PeelTask(CHAIN, rows, rows[:0], time.perf_counter(), 10_000_000), scores)
    seminorms = CHAIN.seminorms(scores, found.peels)
    upper = base_maximum(rows, seminorms, ConeSettings(relative_tolerance=0.1)).upper
    assert found.upper <= upper < torch.inf


def test_the_same_search_finds_the_same():
    generator = torch.Generator().manual_seed(3)
    rows, scores = (torch.randn(12, k, generator=generator, dtype=torch.float64) for k in (3, 1))
    found = [best_multipliers(PeelTask(CHAIN, rows, rows, time.perf_counter() + 120, 40), scores) for _ in range(2)]
    assert found[0].upper == found[1].upper
    assert torch.equal(found[0].peels[0][0].curvatures, found[1].peels[0][0].curvatures)
