"""Every operation has the degree of homogeneity that the table says, and none where it says none."""

import pytest
import torch

from certify.models.graph.operations import OPERATIONS, Operands
from certify.models.theory.degrees import INPUT_DEGREES, NOT_HOMOGENEOUS

SCALE = 8.0
# Attributes that an operation cannot do without, and the number of axes that it reads where they are not two.
ATTRIBUTES = {
    "maxout": {"pieces": 2},
    "reshape": {"shape": (-1, 2, 2)},
    "permute": {"dims": (1, 0)},
    "squeeze": {"dim": 1},
    "unsqueeze": {"dim": 1},
    "select": {"dim": 1, "index": 2},
    "slice": {"dim": 1, "start": 1, "end": 3},
    "scale": {"factor": 0.3},
    "softmax": {"dim": 1},
    "log_softmax": {"dim": 1},
    "layer_norm": {"normalized_shape": (4,)},
    "group_norm": {"num_groups": 2},
} | {f"{kind}_pool{axes}d": {"kernel_size": 2} for kind in ("max", "avg") for axes in (1, 2)}
ATTRIBUTES |= {f"adaptive_{kind}_pool{axes}d": {"output_size": 1} for kind in ("max", "avg") for axes in (1, 2)}
WEIGHTS = {
    "linear": (3, 4),
    "conv1d": (3, 4, 2),
    "conv2d": (3, 4, 2, 2),
    "prelu": (1,),
    "tied": (3, 4),
}


def operands(op, factor):
    generator = torch.Generator().manual_seed(3)
    axes = {"1d": 1, "2d": 2}.get(op[-2:], 0)
    values = torch.randn(5, 4, *[3] * axes, dtype=torch.float64, generator=generator)
    parameters = {}
    if op in WEIGHTS:
        parameters["weight"] = torch.randn(WEIGHTS[op], dtype=torch.float64, generator=generator)
    if op == "batch_norm":
        parameters = {"running_mean": torch.arange(4).double(), "running_var": torch.arange(1, 5).double()}
    count = 2 if op in ("add", "cat") else 1
    return Operands((factor * values,) * count, parameters, ATTRIBUTES.get(op, {}))


# Factorizations are told before degrees are asked for.
IN_FACTORIZATIONS = {"look_up", "take", "constant", "fixed"}
# An embedding reads indices, which do not scale, and a product has the sum of its factors' degrees.
SINGLE = sorted(set(OPERATIONS) - {"embedding", "mul"} - IN_FACTORIZATIONS)


def test_every_operation_has_an_entry_in_the_table_of_degrees():
    assert set(OPERATIONS) - IN_FACTORIZATIONS <= set(INPUT_DEGREES)


@pytest.mark.parametrize("op", SINGLE)
def test_the_degree_of_an_operation_is_that_of_the_table(op):
    once, scaled = (OPERATIONS[op](operands(op, factor)) for factor in (1.0, SCALE))
    degree = INPUT_DEGREES[op]
    if degree is None:
        assert op in NOT_HOMOGENEOUS
        assert not any(torch.allclose(scaled, SCALE**power * once) for power in range(4))
    else:
        torch.testing.assert_close(scaled, SCALE**degree * once, rtol=1e-13, atol=1e-13)
