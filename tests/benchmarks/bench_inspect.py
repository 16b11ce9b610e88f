"""`certify inspect` of a checkpoint of 500 MB: seconds and memory beyond importing torch and certify (Linux).

Run as `python -m tests.benchmarks.bench_inspect`.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch

# 12,800 units of 9,764 inputs and 4 outputs in float32: 500 MB.
INPUTS, UNITS, OUTPUTS = 9_764, 12_800, 4
MEASURE = """
import json, re, sys, time
from pathlib import Path
from certify.bounds.costs import expected_bounds
from certify.models.inspect import inspect_model
import certify.reports.inspection

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

before, began = peak(), time.perf_counter()
found = inspect_model(sys.argv[1])
seconds, after = time.perf_counter() - began, peak()
print(json.dumps([found.width, seconds, (after - before) / 1024, before / 1024]))
"""


def main():
    weights = {
        "fc1.weight": torch.randn(UNITS, INPUTS),
        "fc1.bias": torch.randn(UNITS),
        "fc2.weight": torch.randn(OUTPUTS, UNITS),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {"state dict (.pt)": Path(folder) / "large.pt", "safetensors": Path(folder) / "large.safetensors"}
        torch.save(weights, files["state dict (.pt)"])
        safetensors.torch.save_file(weights, files["safetensors"])
        del weights
        for name, path in files.items():
            run = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
            width, seconds, added, imported = json.loads(run.stdout)
            print(
                f"{name:18s} {path.stat().st_size / 1e6:6.0f} MB  r = {width}: {seconds:5.2f} s, "
                f"{added:4.0f} MiB beyond the {imported:.0f} MiB of importing",
                flush=True,
            )


if __name__ == "__main__":
    main()
