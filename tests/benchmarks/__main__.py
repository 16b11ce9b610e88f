"""Benchmarks, one after the other: `python -m tests.benchmarks [NAME]…`; all of them where none is named."""

import argparse
import sys

from tests.benchmarks import (
    bench_audit,
    bench_commands,
    bench_cones,
    bench_devices,
    bench_growth,
    bench_inspect,
    bench_keel,
    bench_large_matrices,
    bench_large_samples,
    bench_networks,
    bench_published,
    bench_surrogate,
    bench_tensors,
    bench_tight,
)

BENCHMARKS = {
    "commands": bench_commands,
    "inspect": bench_inspect,
    "cones": bench_cones,
    "large-matrices": bench_large_matrices,
    "large-samples": bench_large_samples,
    "surrogate": bench_surrogate,
    "growth": bench_growth,
    "tensors": bench_tensors,
    "tight": bench_tight,
    "audit": bench_audit,
    "devices": bench_devices,
    "networks": bench_networks,
    "keel": bench_keel,
    "published": bench_published,
}

parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
names = parser.parse_args().names
unknown = [name for name in names if name not in BENCHMARKS]
if unknown:
    parser.error(f"no benchmark is named {unknown[0]}; there are {', '.join(BENCHMARKS)}")
# The benchmarks read arguments of their own.
del sys.argv[1:]
for name in names or BENCHMARKS:
    print(f"\n== {BENCHMARKS[name].__doc__.splitlines()[0]}", flush=True)
    BENCHMARKS[name].main()
