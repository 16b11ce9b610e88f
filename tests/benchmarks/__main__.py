"""All benchmarks, one after the other: `python -m tests.benchmarks`."""

from tests.benchmarks import (
    bench_audit,
    bench_commands,
    bench_cones,
    bench_growth,
    bench_inspect,
    bench_large_matrices,
    bench_surrogate,
)

for benchmark in (
    bench_commands,
    bench_inspect,
    bench_cones,
    bench_large_matrices,
    bench_surrogate,
    bench_growth,
    bench_audit,
):
    print(f"\n== {benchmark.__doc__.splitlines()[0]}", flush=True)
    benchmark.main()
