"""Deep subnetworks by their weights alone, with plain torch; nothing here is shared with the bounds."""

import numpy as np
import torch

RELU, LEAKY, ABSOLUTE, ODD = (1.0, 0.0), (1.0, 0.1), (1.0, -1.0), (1.3, -0.3)
ALL_SLOPES = [RELU, LEAKY, ABSOLUTE, ODD]


def kinked(t, slopes):
    return slopes[0] * t.clamp_min(0) + slopes[1] * t.clamp_max(0)


def problem(seed, n, d, m):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return rows, torch.randn(n, m, generator=generator, dtype=torch.float64) / n, generator


def responses(rows, weights, slopes):
    """σ(… σ(H W_1) …), for weights with a leading axis of restarts."""
    hidden = rows
    for own in weights:
        hidden = kinked(hidden @ own, slopes)
    return hidden


def ratios(rows, scores, weights, slopes):
    """|Sᵀ z|/Π|W_k| of restarts whose last hidden layer has one unit."""
    reached = torch.linalg.vector_norm(responses(rows, weights, slopes)[..., 0] @ scores, dim=1)
    sizes = [own.flatten(1).norm(dim=1) for own in weights]
    return reached / torch.stack(sizes).prod(0)


def starts(count, d, layers, width, generator):
    sizes = [d, *[width] * (layers - 2), 1]
    return [
        torch.randn(count, before, after, generator=generator, dtype=torch.float64)
        for before, after in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def best_found(rows, scores, layers, slopes, generator, width=5, count=24, steps=250):
    """The polar of K layers from below by Adam from random weights; every point on the way counts."""
    weights = [own.requires_grad_() for own in starts(count, rows.shape[1], layers, width, generator)]
    optimizer = torch.optim.Adam(weights, lr=0.03)
    best = 0.0
    for step in range(steps):
        values = ratios(rows, scores, weights, slopes)
        best = max(best, float(values.detach().max()))
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / steps) + 1e-4
        optimizer.zero_grad()
        (-values.sum()).backward()
        optimizer.step()
    return best


def circle(rows, count=4001):
    """Directions in the plane: a fine grid, and the kinks of all rows."""
    angles = np.linspace(0, 2 * np.pi, count)
    kinks = [np.arctan2(sign * rows[:, 0], -sign * rows[:, 1]) for sign in (1, -1)]
    angles = np.concatenate([angles, *(np.asarray(k) for k in kinks)])
    return torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], 1))
