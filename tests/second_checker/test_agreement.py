"""Two checkers that share no code agree: on valid certificates, on changed bytes, and on changed claims and arrays.

What either arithmetic of certify accepts, the second checker accepts. What it accepts alone, certify rejects by a
rule that rounding or a proof by other means can break, and never because the file is no certificate.
"""

import hashlib

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly

from ..soundness.bases import BASES, base_of
from ..soundness.mutants import mutant, strongest, tightened
from ..verify.packing import packed
from .rejection import TooLarge
from .verdict import check

FEW, MANY, EXACT_SHARE = 3, 60, 4
FLIPS, MANY_FLIPS = 8, 200
# About three seconds; larger files are left out.
STEPS = 20_000_000
# Rules by which certify may reject what holds in real numbers.
ROUNDED = {"objective", "dual-value", "polar", "polar-scale", "dual-domain", "randomized-test", "size-limit"}


def checked(content):
    """The rule that the second checker finds broken, "" for none; None where it does not check."""
    try:
        return check(content, STEPS).rule or ""
    except TooLarge:
        return None


def require_agreement(content, exactly=True):
    """Of all checkers on one file; whether the second accepted."""
    broken = checked(content)
    if broken is None:
        return False
    for verify in (verify_bytes, verify_bytes_exactly) if exactly else (verify_bytes,):
        verdict = verify(content)
        if broken:
            assert verdict.status != "valid", f"accepted by certify, {broken} in the second checker"
        else:
            assert verdict.status == "valid" or verdict.rule in ROUNDED, f"{verdict.rule} in certify alone"
    return not broken


def repaired(content):
    """With the digest of its changed bytes."""
    return bytes(content[:-32]) + hashlib.sha256(content[:-32]).digest()


def flipped(rng, content):
    """One bit changed."""
    changed = bytearray(content)
    changed[rng.integers(len(changed) - 32)] ^= 1 << rng.integers(8)
    return repaired(changed)


def judge(base, header, arrays, exactly):
    """A mutant as it stands, and with the claims that the numbers of certify allow, and more than these."""
    content = packed(header, arrays)
    accepted = require_agreement(content, exactly)
    verdict = verify_bytes(content)
    for attempt in (strongest, tightened):
        stronger = attempt(header, verdict)
        if stronger is not None:
            accepted += require_agreement(packed(stronger, arrays), exactly)
    return accepted


@pytest.mark.parametrize("name", BASES)
def test_checkers_agree_on_a_few_mutants(name):
    rng, base = np.random.default_rng(60), base_of(name, 3)
    content = packed(base.header, base.arrays)
    assert require_agreement(content) or checked(content) is None
    for _ in range(FEW):
        judge(base, *mutant(rng, base.header, base.arrays), exactly=False)
    for _ in range(FLIPS):
        require_agreement(flipped(rng, packed(base.header, base.arrays)), exactly=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_checkers_agree_on_many_mutants(name):
    rng, base = np.random.default_rng(61), base_of(name, 5)
    content = packed(base.header, base.arrays)
    assert require_agreement(content) or checked(content) is None
    accepted = sum(
        judge(base, *mutant(rng, base.header, base.arrays), exactly=at % EXACT_SHARE == 0) for at in range(MANY)
    )
    flips = sum(require_agreement(flipped(rng, content), exactly=False) for _ in range(MANY_FLIPS))
    print(f"{name}: {MANY} mutants and {MANY_FLIPS} flips, {accepted} and {flips} accepted")  # noqa: T201
