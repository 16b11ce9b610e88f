"""What says that it is a certificate of several layers, and is none."""

import numpy as np
import pytest
import torch

from certify.models.loading import Problem
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.check import CheckOptions, run_check

from ..second_checker.verdict import check
from ..soundness.deep_networks import Sketch, dense
from . import handmade_deep
from .packing import packed


@pytest.mark.parametrize(("rule", "base", "forge"), handmade_deep.REFUSED)
def test_what_is_no_certificate_of_layers_is_refused(rule, base, forge):
    verdict = verify_bytes(forge(base()))
    assert (verdict.status, verdict.rule) == ("refused", rule), verdict.message


def of_width(width, channels, bias):
    """The zero network of that width, with as many channels in both hidden layers."""
    header, arrays = handmade_deep.deep_norm_products()
    header["statement"]["branches"][0]["bias"] = bias
    header["proofs"][0]["upper"] = float(5).hex()
    sizes = {"F0.0": channels, "F0.1": channels**2, "F0.2": channels}
    given = {}
    for name, values in arrays.items():
        given[name] = np.zeros((width, sizes[name])) if name in sizes else values
        if name == "F0.0" and bias == "penalized":
            given["F0.bias"] = np.zeros((width, channels))
    return packed(header, given)


@pytest.mark.parametrize("bias", ["absent", "penalized"])
@pytest.mark.parametrize(("width", "channels"), [(0, 1), (0, 3), (1, 1), (2, 3)])
def test_networks_of_any_width_are_checked_down_to_no_subnetwork(width, channels, bias):
    verdict = verify_bytes(of_width(width, channels, bias))
    assert verdict.status == "valid", verdict.message
    assert verdict.objective == pytest.approx((1.0, 1.0))


def test_no_layer_has_a_table_of_all_pairs_of_positions_that_does_not_fit():
    """A kernel of one entry on 2¹⁶ positions: its table is small, that of pairs is 2³²."""
    header, arrays = handmade_deep.deep_norm_products()
    count, place = 2**16, {"op": "convolution", "kernel": [1], "stride": [1], "padding": [0], "dilation": [1]}
    header["statement"]["inputs"] = [1, count]
    whole = [place, handmade_deep.RELU, place, handmade_deep.RELU, {**place, "stride": [count]}]
    header["statement"]["branches"][0]["layers"] = whole
    arrays |= {"X": np.zeros((2, count)), "F0.0": np.zeros((1, 1)), "F0.1": np.zeros((1, 1)), "F0.2": np.zeros((1, 1))}
    verdict = verify_bytes(packed(header, arrays))
    assert (verdict.status, verdict.rule) == ("refused", "size-limit"), verdict.message


def test_a_penalized_bias_is_read_under_weight_decay_too():
    """θ counts the bias with a decay of its own; √(s₀/s_b) is what it reads."""
    torch.manual_seed(0)
    module = dense(Sketch((2, 2, 2, 1), bias=True)).double()
    inputs, targets = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)
    decay = {"*bias": 0.02, "*": 0.05}
    problem = Problem.from_torch(module, inputs, targets, weight_decay=decay, budget_seconds=6)
    certificate = run_check(problem, CheckOptions()).certificate
    assert certificate is not None
    verdicts = verify_bytes(certificate), verify_bytes_exactly(certificate)
    assert [verdict.status for verdict in verdicts] == ["valid", "valid"]
    assert check(certificate) == ""
