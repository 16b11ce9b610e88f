"""What an audit adds to its checks: per item run, per item cached, and planning ten thousand items.

Run as `python -m tests.benchmarks.bench_audit [MODELS]`.
"""

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

MODELS = 100
PLANNED = 10_000
PROBLEM = """
    expect: any
    problem:
      model: {layers: [{linear: a}, {linear: b}]}
      data: {path: train.npz, inputs: X, targets: y}
      loss: {name: mse, reduction: sum, scale: 0.5}
      penalty: {weight_decay: 1.0}
      biases: {hidden: absent, output: absent}
"""
OWN_PROBLEM = """schema: certify.problem/1
model: {path: m.pt}
data: {path: d.npz}
penalty: {weight_decay: 1}
"""


def certify(folder, *arguments):
    """Run the command; return wall clock seconds, CPU seconds of it and its children, and its stdout."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", "from certify.cli.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, run.stdout


def write_models(folder, count):
    """Small linear networks, all different, at or near the optimum of a denoising problem."""
    np.savez(folder / "train.npz", X=np.eye(3), y=np.diag([3.0, 2.0, 1.0]))
    for index in range(count):
        weights = torch.zeros(2, 3, dtype=torch.float64)
        weights[0, 0], weights[1, 1] = 2**0.5, 1 + index * 1e-7
        torch.save({"a.weight": weights, "b.weight": weights.T.contiguous()}, folder / f"m{index:03}.pt")
    (folder / "audit.yaml").write_text('schema: certify.audit/1\nmodels:\n  - path: "*.pt"' + PROBLEM)


def run_rows(count):
    """Overhead of items that run, and of items that the cache answers."""
    print(
        f"{count} small models, 2 jobs unless said{'':18s} wall s    CPU s  ms/item beyond its own check (wall × jobs)"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder, count)
        for title in ("run", "cached, certificates verified", "run, 1 job"):
            jobs = 1 if title.endswith("1 job") else 2
            extra = ["--no-cache"] if jobs == 1 else []
            wall, cpu, out = certify(folder, "audit", "audit.yaml", "--format", "json", "--jobs", str(jobs), *extra)
            results = json.loads(out)["results"]
            own = sum(entry["seconds"]["total"] for entry in results if entry["audit"]["origin"] == "run")
            beyond = 1000 * (wall * jobs - own) / count
            print(f"  {title:48s} {wall:8.2f} {cpu:8.2f}  {beyond:8.1f}", flush=True)


def plan_rows(count):
    """Planning."""
    print(f"\n--plan for {count} items{'':32s} wall s    CPU s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "d.npz").write_bytes(b"x")
        for index in range(count):
            (folder / f"m{index:05}.pt").write_bytes(b"%d" % index)
            (folder / f"m{index:05}.problem.yaml").write_text(OWN_PROBLEM)
        head, shared = "schema: certify.audit/1\n", "problem: {data: {path: d.npz}, penalty: {weight_decay: 1}}"
        files = {
            "one glob, one problem": f"{head}models: [{{path: '*.pt', {shared}}}]",
            "one glob, a problem file beside each model": f"{head}models: [{{path: '*.pt'}}]",
            "an entry each": f"{head}defaults: {{{shared}}}\nmodels:\n"
            + "".join(f"  - path: m{index:05}.pt\n" for index in range(count)),
        }
        for title, text in files.items():
            (folder / "audit.yaml").write_text(text)
            wall, cpu, out = certify(folder, "audit", "audit.yaml", "--plan")
            assert f"{count} items" in out
            print(f"  {title:48s} {wall:8.2f} {cpu:8.2f}", flush=True)


def main():
    run_rows(int(sys.argv[1]) if len(sys.argv) > 1 else MODELS)
    plan_rows(PLANNED)


if __name__ == "__main__":
    main()
