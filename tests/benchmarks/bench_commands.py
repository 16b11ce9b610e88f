"""Start-up and whole-command times, and verification beside bounding on every fixture.

Run as `python -m tests.benchmarks.bench_commands`.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

FIXTURES = Path(__file__).parents[2] / "fixtures"
README_FIXTURE = FIXTURES / "certified" / "diabetes-relu-wd0.3" / "model.pt"
RUNS = 5


def certify(*arguments):
    """Run the command; return seconds and its stdout."""
    began = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", "from certify.cli.main import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return time.perf_counter() - began, run.stdout


def command_rows():
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "one.cert"
        certify("check", README_FIXTURE, "--certificate", certificate)
        commands = {
            "certify --help": ("--help",),
            "certify verify (README fixture)": ("verify", certificate),
            "certify check (README fixture)": ("check", README_FIXTURE),
        }
        for name, arguments in commands.items():
            seconds = [certify(*arguments)[0] for _ in range(RUNS)]
            print(f"{name:36s} {median(seconds):8.2f} s  (min {min(seconds):.2f}, max {max(seconds):.2f})", flush=True)


def fixture_rows():
    print(f"\n{'fixture':52s} {'verdict':11s} {'gap':>9s} {'bound s':>8s} {'verify s':>8s} {'ratio':>6s}")
    models = sorted(path for path in FIXTURES.glob("*/*/model.*") if path.suffix in (".pt", ".safetensors"))
    for model in models:
        _, text = certify("check", model, "--format", "json", "--quiet")
        if not text or "seconds" not in (result := json.loads(text)):
            continue
        bound, verify = result["seconds"]["bound"], result["seconds"]["verify"]
        name = "/".join(model.parts[-3:-1])
        gap = result["gap"]["relative"]
        print(
            f"{name:52s} {result['verdict']:11s} {gap:9.1e} {bound:8.2f} {verify:8.2f} {verify / bound:6.2f}",
            flush=True,
        )


def main():
    command_rows()
    fixture_rows()


if __name__ == "__main__":
    main()
