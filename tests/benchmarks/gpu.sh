#!/usr/bin/env bash
# One command for a machine with a GPU, under 8 minutes: bounds on it beside those on the processor, which must agree,
# and tables of digits and of 10,000 samples. Fails where bounds differ or the checker refuses one.
#
#   tests/benchmarks/gpu.sh      PYTHON=… tests/benchmarks/gpu.sh --device cpu --size 40 --samples 300 --table-seconds 5
#
# Where packages are missing they come from the folder .whl, if there is one, and else from the index, into .venv-gpu.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-python3}
needed='import numpy, pydantic, safetensors, scipy, sklearn, torch, yaml'
if ! "$python" -c "$needed" 2>/dev/null; then
    if [[ -d .whl ]]; then
        "$python" -m pip install -q --no-index --no-deps --target .venv-gpu .whl/*.whl
        export PYTHONPATH=$PWD/.venv-gpu
    else
        "$python" -m venv .venv-gpu
        python=.venv-gpu/bin/python
        "$python" -m pip install -q -e . scikit-learn
    fi
    "$python" -c "$needed"
fi
"$python" -c 'import torch; print("torch", torch.__version__, [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())])'
timeout 460 "$python" -u -m tests.benchmarks.bench_devices agreement digits large --seconds 4 "$@"
