"""A certificate whose own network lies below its own bound is refuted, whatever made the bound wrong."""

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.verify.proofs import polar

from .handmade import bytes_of, handmade


def better_than_the_bound(lower):
    """The optimum itself, for λ = 3/4: Z = (1 − λ/2) Y, worth λ − λ²/4; without a polar the dual value is up to 1."""
    header, arrays = handmade(upper=0.99)
    strength, kept = 0.75, np.sqrt(0.625)
    header["statement"]["branches"][0]["penalty"]["strengths"] = [strength.hex()] * 2
    header["claim"]["lower"], header["dual"]["scale"] = lower.hex(), (0.75).hex()
    return header, arrays | {"F0.0": np.array([[kept]]), "F0.1": np.array([[kept]])}


@pytest.mark.parametrize("check", [verify_bytes, verify_bytes_exactly])
@pytest.mark.parametrize("lower", [0.0, 0.9])
def test_a_rule_that_is_wrong_is_caught_by_the_network(monkeypatch, check, lower):
    assert check(bytes_of(better_than_the_bound(lower))).rule == "polar"
    monkeypatch.setattr(polar, "BILINEAR", {"spectral": lambda *_: True})
    assert check(bytes_of(better_than_the_bound(lower))).rule == "objective-below-bound"
