"""Two checkers that share no code agree: on valid certificates, on changed bytes, and on changed claims and arrays.

What either arithmetic of certify accepts, the second checker accepts. What it accepts alone, certify rejects by a
rule that rounding or a proof by other means can break, and never because the file is no certificate.
"""

import copy
import hashlib
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

from certify.cli.main import cli
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly

from ..soundness.bases import BASES, base_of
from ..soundness.mutants import mutant, strongest, tightened
from ..test_fixtures import fixtures_of, model_in
from ..verify import families, handmade_factors, handmade_signs
from ..verify.packing import packed, unpacked
from .proofs.cones import reaches_within
from .rejection import TooLarge
from .verdict import check

FEW, MANY, EXACT_SHARE = 3, 60, 4
FLIPS, MANY_FLIPS = 8, 200
# About three seconds; larger files are left out.
STEPS = 20_000_000
# Rules by which certify may reject what holds in real numbers.
ROUNDED = {"objective", "dual-value", "polar", "polar-scale", "dual-domain", "product-tilts"}
ROUNDED |= {"randomized-test", "size-limit"}


def checked(content):
    """The rule that the second checker finds broken, "" for none; None where it does not check."""
    try:
        return check(content, STEPS)
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
    if not require_agreement(packed(base.header, base.arrays)):
        pytest.skip("too large")
    for _ in range(FEW):
        judge(base, *mutant(rng, base.header, base.arrays), exactly=False)
    for _ in range(FLIPS):
        require_agreement(flipped(rng, packed(base.header, base.arrays)), exactly=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_checkers_agree_on_many_mutants(name):
    rng, base = np.random.default_rng(61), base_of(name, 5)
    content = packed(base.header, base.arrays)
    if not require_agreement(content):
        pytest.skip("too large")
    accepted = sum(
        judge(base, *mutant(rng, base.header, base.arrays), exactly=at % EXACT_SHARE == 0) for at in range(MANY)
    )
    flips = sum(require_agreement(flipped(rng, content), exactly=False) for _ in range(MANY_FLIPS))
    print(f"{name}: {MANY} mutants and {MANY_FLIPS} flips, {accepted} and {flips} accepted")  # noqa: T201


@pytest.mark.parametrize("make", families.BASES)
def test_checkers_accept_certificates_written_by_hand(make):
    assert require_agreement(packed(*make()))


# Of these the second checker meets what is wrong at another step, for one forgery each.
ELSEWHERE = handmade_factors, handmade_signs
RULES = [
    rule for module in families.HANDMADE if module not in ELSEWHERE for rule in module.RULES if rule[1] != "size-limit"
]


@pytest.mark.parametrize(("number", "rule", "base", "forge"), RULES, ids=[f"{n}-{rule}" for n, rule, *_ in RULES])
def test_checkers_reject_certificates_for_the_same_reason(number, rule, base, forge):
    broken = check(forge(base()), STEPS)
    # Rules of the shape of a statement may be named otherwise, where several are broken.
    assert broken == rule or {broken, rule} <= {"schema", "shape", "layers"}


@pytest.mark.parametrize(
    ("base", "forge"), [rule[2:] for module in ELSEWHERE for rule in module.RULES if rule[1] != "size-limit"]
)
def test_both_checkers_reject(base, forge):
    assert check(forge(base()), STEPS) not in ("", None)


def claims(header):
    """Every claim, and the direction that makes it stronger; of lines no direction does."""
    scale = [(header["dual"], "scale", np.inf)] if "scale" in header["dual"] else []
    return [
        (header["claim"], "upper", -np.inf),
        (header["claim"], "lower", np.inf),
        *scale,
        *((proof, "upper", -np.inf) for proof in header["proofs"]),
    ]


def beyond(header, arrays, at):
    """The header with claim number `at` a float beyond what holds exactly, or None if nothing is."""

    def moved(steps):
        changed = copy.deepcopy(header)
        holder, key, end = claims(changed)[at]
        start = float.fromhex(holder[key])
        holder[key] = (start + np.copysign(steps, end) * np.spacing(abs(start))).item().hex()
        return changed

    inside, outside = 0.0, 1.0
    while checked(packed(moved(outside), arrays)) == "":
        inside, outside = outside, 2 * outside
        if outside > 2.0**52:
            return None
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if checked(packed(moved(middle), arrays)) == "" else (inside, middle)
    return moved(outside)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_no_claim_one_float_beyond_what_holds_is_accepted(name):
    base, found = base_of(name, 6), 0
    if not require_agreement(packed(base.header, base.arrays)):
        pytest.skip("too large")
    for at in range(len(claims(base.header))):
        header = beyond(base.header, base.arrays, at)
        if header is not None:
            found += 1
            require_agreement(packed(header, base.arrays))
    assert found


@pytest.mark.slow
@pytest.mark.parametrize("folder", fixtures_of("certified", "improvable", "undecided"))
def test_checkers_agree_on_fixtures(folder, tmp_path):
    path = tmp_path / "proof.certificate"
    CliRunner().invoke(cli, ["check", str(model_in(folder)), "--certificate", str(path), "--threads", "1"])
    content = path.read_bytes()
    if checked(content) is None:
        pytest.skip("too large")
    assert require_agreement(content)
    rng = np.random.default_rng(62)
    for _ in range(FEW):
        require_agreement(packed(*mutant(rng, *unpacked(content))), exactly=False)
        require_agreement(flipped(rng, content), exactly=False)


def test_values_beyond_all_floats_are_reached_or_not():
    one = Fraction(1)
    directions, values = np.array([[one, 0], [0, one]], object), np.array([one, -((10 * one) ** 401)], object)
    assert reaches_within(directions, values, Fraction(2))
    assert not reaches_within(directions, values, Fraction(1, 2))
