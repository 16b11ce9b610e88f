"""Random forgeries of valid certificates: what the checker accepts is true, however the proof was changed.

Every mutant gets a right digest. It is judged as it stands, and again with the strongest claims that the checker's
own numbers allow: an accepted claim must hold for the optimum, known in closed form or from above by known networks.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certify.verify import verify_bytes

from ..verify.cases import packed, unpacked
from .bases import BASES, closed_form
from .ceilings import Stated, ceiling, parameters
from .mutants import mutant, strongest, tightened

PARTS, COUNT = 6, 150
CLOSED_FORM_ERROR = 1e-12
# What a ceiling may lose to rounding, as a share of its terms.
CEILING_ERROR = 1e-9


def require_true(base, header, arrays, verdict):
    """The objective is at most what is claimed, and no network known is below the claimed bound."""
    exact = Stated(header, arrays, np.longdouble)
    objective = exact.objective(*parameters(arrays, np.longdouble))
    assert verdict.upper >= objective * (1 - np.sign(objective) * np.longdouble(1e-17)), (header["claim"], objective)
    least = Stated(header, arrays)
    size = float((least.omega * (np.abs(arrays["Y"]) + 1) ** 2).sum())
    if base.planted and (arrays["X"] == base.arrays["X"]).all():
        optimum = closed_form(header, arrays, base.family)
        assert verdict.lower <= optimum + CLOSED_FORM_ERROR * (size + optimum), (header["claim"], optimum)
    elif verdict.lower > 0 or header["problem"]["loss"] != "mse":
        top = ceiling(header, arrays, base.known)
        assert verdict.lower <= top + CEILING_ERROR * (size + abs(top)), (header["claim"], top)


def judge(base, header, arrays):
    """Number of accepted claims of a mutant, all of them true."""
    accepted, verdict = 0, verify_bytes(packed(header, arrays))
    attempts = [None, strongest, strongest, tightened, strongest, tightened]
    for attempt in attempts:
        if attempt is not None:
            stronger = attempt(header, verdict)
            if stronger is None:
                return accepted
            found = verify_bytes(packed(stronger, arrays))
            if attempt is tightened and found.status != "valid":
                continue
            header, verdict = stronger, found
        if verdict.status == "valid":
            require_true(base, header, arrays, verdict)
            accepted += 1
    return accepted


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", BASES)
def test_no_random_mutant_with_a_false_claim_is_accepted(name, part):
    rng, base = np.random.default_rng([41, part]), BASES[name](part)
    honest = verify_bytes(packed(base.header, base.arrays))
    assert honest.status == "valid"
    require_true(base, base.header, base.arrays, honest)
    accepted = sum(judge(base, *mutant(rng, base.header, base.arrays)) for _ in range(COUNT))
    print(f"{name}, part {part}: {COUNT} mutants, {accepted} claims accepted, 0 of them false")  # noqa: T201


@pytest.mark.parametrize("name", BASES)
def test_no_mutant_that_hypothesis_finds_is_falsely_accepted(name):
    base = BASES[name](99)

    @settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1))
    def run(seed):
        judge(base, *mutant(np.random.default_rng(seed), base.header, base.arrays))

    run()


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_every_field_changed_in_turn_is_refused_or_true(name):
    """Every entry of the header, by a few values of its type, and every array, by a few whole changes."""
    base = BASES[name](7)
    for section in ("claim", "dual", "problem", "proof"):
        for key, value in base.header[section].items():
            for other in others(value):
                header = json.loads(json.dumps(base.header))
                header[section][key] = other
                if key == "strength":
                    header["problem"]["lambda"] = other
                verdict = verify_bytes(packed(header, base.arrays))
                if verdict.status == "valid":
                    require_true(base, header, base.arrays, verdict)
    for key, values in base.arrays.items():
        for other in (values[::-1].copy(), np.zeros_like(values), values * values.dtype.type(2), values // 2 * 2):
            judge(base, base.header, base.arrays | {key: other})


def others(value):
    """Values like one of the header."""
    if isinstance(value, bool) or value is None:
        return [True, False, None]
    if isinstance(value, list):
        return [[], [1, 1], [2, 1], [2]]
    try:
        number = float.fromhex(value)
    except ValueError:
        return ["linear", "relu", "quadratic", "mean", "sum", "absent", "free", "penalized", "huber", "poisson", "zero"]
    return [(number * f).hex() for f in (-1, 0, 0.5, 2, 2.0**-80)] + [
        math.nextafter(number, e).hex() for e in (-9e99, 9e99)
    ]


def test_bytes_cut_swapped_or_added_are_refused():
    for make in BASES.values():
        base = make(7)
        data = packed(base.header, base.arrays)
        for cut in range(0, len(data), max(1, len(data) // 50)):
            assert verify_bytes(data[:cut]).status == "refused"
            assert verify_bytes(data[:cut] + data[cut + 1 :]).status == "refused"
            assert verify_bytes(data[:cut] + b"\0" + data[cut:]).status == "refused"
        assert verify_bytes(data + data).status == "refused"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BASES)[1:])
def test_a_proof_for_other_inputs_is_invalid_or_true(name):
    """The proof of one problem with the data of another: accepted only where its bound happens to hold."""
    bases = [BASES[name](seed) for seed in range(8)]
    for base in bases:
        for other in bases:
            if all(other.arrays[key].shape == base.arrays[key].shape for key in ("X", "Y")):
                judge(base, base.header, base.arrays | {key: other.arrays[key] for key in ("X", "Y")})


def test_repacking_changes_nothing():
    for make in BASES.values():
        base = make(3)
        data = packed(base.header, base.arrays)
        assert packed(*unpacked(data)) == data
