"""Rows and totals of `certify grow` on problems in temporary folders, as benchmarks print them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

HEADER = (
    f"{'problem':34s} {'n':>5s} {'d':>3s} {'c':>2s} {'verdict':10s} {'reason':16s} {'gap':>8s} {'polar':20s} seconds"
)


class Grown(NamedTuple):
    """What a row shows."""

    verdict: str
    gap: float
    objective: float


@dataclass(frozen=True)
class Problem:
    """Data and options of `certify grow`.

    Attributes:
        title: of the row.
        inputs: (n, d).
        targets: (n, c) numbers, or (n,) classes.
        options: of the command, but for data, output, tolerance and budget.
    """

    title: str
    inputs: np.ndarray
    targets: np.ndarray
    options: tuple[str, ...]


def standardized(inputs: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1, without constant ones."""
    inputs = np.asarray(inputs, dtype=np.float64)
    inputs = inputs[:, np.ptp(inputs, axis=0) > 0]
    return (inputs - inputs.mean(0)) / inputs.std(0)


def from_scratch(loss: str, decay: float, bias: str = "penalized") -> tuple[str, ...]:
    """Options for a two-layer ReLU network."""
    layers = ("--from-scratch", "--layers", "linear:fc1,relu,linear:fc2")
    biases = ("--hidden-bias", bias, "--output-bias", bias)
    return (*layers, *biases, "--loss", loss, "--weight-decay", f"{decay:g}")


def grow(problem: Problem, folder: Path, budget: float, gap: float) -> Grown | None:
    """Run the command in a folder and print its row; None where it fails."""
    np.savez(folder / "train.npz", X=problem.inputs, y=problem.targets)
    data = ("--data", "train.npz", "--inputs", "X", "--targets", "y")
    limits = ("--budget", f"{budget:g}s", "--relative-gap", f"{gap:g}")
    run = subprocess.run(
        [sys.executable, "-m", "certify", "grow", *problem.options, *data, *limits]
        + ["-o", "grown.pt", "--format", "json", "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    if not run.stdout:
        print(f"{problem.title:34s} {run.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    result = json.loads(run.stdout)
    data, relative = result["data"], result["gap"]["relative"]
    sizes = f"{data['samples']:5d} {data['inputs']:3d} {data['outputs']:2d}"
    found = f"{result['verdict']:10s} {result['reason']:16s} {relative:8.2%} {result['polar']['method']:20s}"
    print(f"{problem.title:34s} {sizes} {found} {result['seconds']['total']:7.1f}", flush=True)
    return Grown(result["verdict"], relative, result["objective"])


def print_total(found: Sequence[Grown | None], shares: Sequence[float] = ()) -> None:
    """How many are certified, the median gap of the rest, and the share within each gap of `shares`."""
    rows = [row for row in found if row is not None]
    rest = [row.gap for row in rows if row.verdict != "certified"]
    middle = f", median gap of the rest {median(rest):.2%}" if rest else ""
    print(f"{len(rows) - len(rest)} of {len(found)} certified{middle}", flush=True)
    for share in shares:
        print(f"within {share:.0%}: {sum(row.gap <= share for row in rows)} of {len(found)}", flush=True)
