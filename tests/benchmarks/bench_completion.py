"""A large matrix completion: check of an alternating-least-squares solution, and growth from rank 0.

Run as `python -m tests.benchmarks.bench_completion [--rows M] [--columns N] [--observed K] [--grow]`. The matrix has a
planted rank of 10 and noise; with `--unobserved W` all other entries are zeros of that weight. Everything runs in
processes of its own, so that peak memory is theirs alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from certify.bounds.multilinear.sparse_matrix import SparseMatrix
from certify.bounds.multilinear.sparse_spectral import ACCURACY
from certify.bounds.singular_pairs import krylov_pairs
from certify.problem import Entries

RANK, NOISE, TOLERANCE = 10, 0.5, 1e-3
PROBLEM = """schema: certify.problem/1
model: {{path: {name}.pt, layers: [{{factorization: {{left: U, right: V}}}}]}}
data: {{path: train.npz}}
loss: {{name: mse, reduction: sum{unobserved}}}
penalty: {{weight_decay: {decay}}}
tolerance: {{relative_gap: {tolerance}}}
budget: {{seconds: {budget}}}
"""


def planted(folder: Path, m: int, n: int, observed: int) -> None:
    """The observed entries of a noisy matrix of low rank."""
    rng = np.random.default_rng(0)
    flat = rng.permutation(np.unique(rng.integers(0, m * n, int(1.1 * observed))))[:observed]
    rows, cols = flat // n, flat % n
    left, right = rng.normal(size=(m, RANK)), rng.normal(size=(n, RANK)) / np.sqrt(RANK)
    values = np.concatenate(
        [(left[r] * right[c]).sum(1) for r, c in zip(np.array_split(rows, 20), np.array_split(cols, 20), strict=True)]
    )
    values += NOISE * rng.normal(size=len(flat))
    files = {"rows": rows.astype(np.int32), "cols": cols.astype(np.int32), "values": values.astype(np.float32)}
    np.savez(folder / "train.npz", **files, shape=np.array([m, n]))


def decay_of(m: int, n: int, observed: int) -> float:
    """A little above the spectral norm of the gradient that the noise alone makes."""
    return 1.2 * 2 * NOISE * np.sqrt(observed / (m * n)) * (np.sqrt(m) + np.sqrt(n))


def write_model(folder: Path, name: str, factors, settings) -> None:
    torch.save({"U": factors[0], "V": factors[1]}, folder / f"{name}.pt")
    (folder / f"{name}.problem.yaml").write_text(PROBLEM.format(name=name, **settings))


def alternated(
    folder: Path, m: int, n: int, decays: tuple[float, float], sweeps: int
) -> tuple[list[np.ndarray], float]:
    """Plain alternating least squares of rank 12, one small system a row, as libraries do it; with its CPU seconds.

    The second of the decays is the weight of unobserved entries.
    """
    data = np.load(folder / "train.npz")
    matrix = csr_matrix((data["values"].astype(np.float64), (data["rows"], data["cols"])), (m, n))
    sides = matrix, matrix.T.tocsr()
    rng = np.random.default_rng(1)
    factors = [0.3 * rng.normal(size=(size, RANK + 2)) for size in (m, n)]
    started = time.process_time()
    for _ in range(sweeps):
        for side in (0, 1):
            factors[side] = _solved(sides[side], factors[1 - side], *decays)
    return factors, time.process_time() - started


def _solved(rows: csr_matrix, other: np.ndarray, decay: float, unobserved: float) -> np.ndarray:
    """The best factor of one side; (1/2) of the gradient of Σ (z − y)² + (decay/2)|u|² and unobserved zeros is zero."""
    found = np.zeros((rows.shape[0], other.shape[1]))
    everywhere = decay / 2 * np.eye(other.shape[1]) + unobserved * other.T @ other
    for i, (start, end) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
        features = other[rows.indices[start:end]]
        system = (1 - unobserved) * features.T @ features + everywhere
        found[i] = np.linalg.solve(system, features.T @ rows.data[start:end])
    return found


def run(arguments: list[str], folder: Path) -> str:
    """One command in words: verdict, gap, seconds by the clock and of the processor, and peak memory."""
    started, out = time.perf_counter(), folder / "result.json"
    command = [sys.executable, "-m", "certify", *arguments, "--quiet", "--output", f"json={out}"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    found, seconds = json.loads(out.read_text()), time.perf_counter() - started
    cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20
    parts = ", ".join(f"{name} {value:.1f}" for name, value in found["seconds"].items())
    gap = found["gap"]["relative"]
    return f"{found['verdict']}, gap {gap:.2e}, {seconds:.1f} s ({parts}; processor {cpu:.1f}), {memory:.2f} GiB"


def compare_singular_values(folder: Path, m: int, n: int, factors) -> None:
    """Our search and scipy's on the same residual."""
    data = np.load(folder / "train.npz")
    rows, cols = data["rows"].astype(np.int64), data["cols"].astype(np.int64)
    residual = 2 * ((factors[0][rows] * factors[1][cols]).sum(1) - data["values"])
    entries = Entries(torch.from_numpy(np.stack([rows, cols], 1)), (m, n))
    started = time.perf_counter()
    ours = krylov_pairs(SparseMatrix.of(entries, torch.from_numpy(residual)), 0, None, ACCURACY).value
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    theirs = float(svds(csr_matrix((residual, (rows, cols)), (m, n)), k=1, tol=1e-10, return_singular_vectors=False)[0])
    peer = time.perf_counter() - started
    print(
        f"largest singular value: ours {ours:.10g} in {seconds:.1f} s, svds {theirs:.10g} in {peer:.1f} s, "
        f"ratio {seconds / peer:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=5_000)
    parser.add_argument("--observed", type=int, default=5_000_000)
    parser.add_argument("--sweeps", type=int, default=25)
    parser.add_argument("--budget", type=float, default=600)
    parser.add_argument("--unobserved", type=float, default=0.0)
    parser.add_argument("--grow", action="store_true")
    options = parser.parse_args()
    m, n, decay = options.rows, options.columns, decay_of(options.rows, options.columns, options.observed)
    weight = f", unobserved_weight: {options.unobserved}" if options.unobserved else ""
    settings = {"decay": f"{decay:.6g}", "tolerance": TOLERANCE, "budget": options.budget, "unobserved": weight}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted(folder, m, n, options.observed)
        factors, cpu = alternated(folder, m, n, (decay, options.unobserved), options.sweeps)
        print(
            f"{m} x {n}, {options.observed} observed: alternating least squares, {options.sweeps} sweeps, {cpu:.1f} s"
        )
        compare_singular_values(folder, m, n, factors)
        write_model(folder, "als", tuple(map(torch.from_numpy, factors)), settings)
        print("check:", run(["check", "als.pt"], folder))
        if options.grow:
            write_model(folder, "zero", (torch.zeros(m, 0), torch.zeros(n, 0)), settings)
            print("grow:", run(["grow", "zero.pt", "-o", "grown.pt"], folder))
    print(f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
