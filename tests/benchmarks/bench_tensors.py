"""Planted CP tensors grown from nothing: gap and seconds by shape, share observed and terms.

Run: python -m tests.benchmarks.bench_tensors
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from certify.workflows.grow import grow
from tests.soundness.planted_tensors import PlantedTensor, product

# Shape, share of entries observed, planted terms, and λ.
CASES = (
    ((10, 10, 10), 1.0, 3, 0.5),
    ((10, 10, 10), 0.3, 3, 0.2),
    ((20, 20, 20), 1.0, 3, 0.3),
    ((30, 30, 30), 0.5, 3, 0.3),
    ((4, 4, 4, 4), 0.7, 3, 0.3),
    ((8, 8, 8, 8), 1.0, 3, 0.3),
)
NOISE = 0.1


def planted(shape: tuple[int, ...], share: float, rank: int, strength: float) -> PlantedTensor:
    """Normal terms of size about 3 with noise; the optimum is not known."""
    rng = np.random.default_rng(1)
    factors = tuple(rng.standard_normal((n, rank)) / np.sqrt(n) for n in shape)
    values = 3 * product(factors) + NOISE * rng.standard_normal(shape) / np.prod(shape) ** (1 / 3)
    values[rng.random(shape) >= share] = np.nan
    return PlantedTensor(values, np.ones(shape), strength, np.nan, tuple(factor[:, :0] for factor in factors))


def main() -> None:
    print(f"{'tensor':>14} {'seen':>5} {'terms':>5} {'gap':>9} {'bound of':>20} {'seconds':>8}")
    for shape, share, rank, strength in CASES:
        with tempfile.TemporaryDirectory() as folder:
            problem = planted(shape, share, rank, strength).problem(Path(folder), tolerance=1e-4)
            started = time.perf_counter()
            grown = grow(problem)
            spent = time.perf_counter() - started
        gap, width = grown.result.gap / abs(grown.result.objective), len(grown.network.stacks[0][0])
        name = " × ".join(map(str, shape))
        print(f"{name:>14} {share:5.0%} {width:5} {gap:9.1e} {grown.result.polar.method:>20} {spent:8.1f}", flush=True)


if __name__ == "__main__":
    main()
