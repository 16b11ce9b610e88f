"""Random forgeries of valid certificates: what the checker accepts is true, however the proof was changed.

Every mutant gets a right digest. It is judged as it stands, and again with the strongest claims that the checker's
own numbers allow: an accepted claim must hold for the optimum, known in closed form or from above by known networks.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.verify.statement.certificate import KINDS

from ..verify.packing import packed, unpacked
from .bases import BASES, base_of
from .ceilings import Stated, ceiling, parameters_of
from .closed_forms import alike, closed_form
from .mutants import mutant, strongest, tightened

PARTS, COUNT = 4, 48
EXACT_COUNT = 20
# A randomized test takes a third of a second.
RANDOMIZED_SHARE = 0.25
CLOSED_FORM_ERROR = 1e-12
# What a ceiling may lose to rounding, as a share of its terms.
CEILING_ERROR = 1e-9


@dataclass(frozen=True)
class Truth:
    """Of what a mutant states: its objective, the most that any lower bound may be, and why."""

    objective: np.longdouble
    ceiling: float

    @classmethod
    def of(cls, base, header, arrays):
        """By numpy in extended precision, and by a closed form or known networks."""
        statement = header["statement"]
        objective = Stated(statement, arrays, np.longdouble).objective(parameters_of(arrays))
        size = float((Stated(statement, arrays).omega * (np.abs(arrays["Y"]) + 1) ** 2).sum())
        planted = base.family and alike(statement, base.header["statement"])
        if planted and np.array_equal(arrays["X"], base.arrays["X"]):
            optimum = closed_form(statement, arrays, base.family)
            return cls(objective, optimum + CLOSED_FORM_ERROR * (size + optimum))
        top = ceiling(statement, arrays, base.known)
        return cls(objective, top + CEILING_ERROR * (size + abs(top)))

    def require(self, verdict):
        """The claim of a valid certificate is true."""
        assert verdict.upper >= self.objective * (1 - np.sign(self.objective) * np.longdouble(1e-17))
        assert verdict.lower <= self.ceiling


def judge(base, header, arrays, verify=verify_bytes):
    """Number of accepted claims of a mutant, all of them true."""
    accepted, truth, verdict = 0, None, verify(packed(header, arrays))
    for attempt in (None, strongest, strongest, tightened, strongest, tightened):
        if attempt is not None:
            stronger = attempt(header, verdict)
            if stronger is None:
                return accepted
            found = verify(packed(stronger, arrays))
            if attempt is tightened and found.status != "valid":
                continue
            header, verdict = stronger, found
        if verdict.status == "valid":
            # The problem is the same for all claims about a mutant.
            truth = truth or Truth.of(base, header, arrays)
            truth.require(verdict)
            accepted += 1
    return accepted


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", BASES)
def test_no_random_mutant_with_a_false_claim_is_accepted(name, part):
    rng, base, count = np.random.default_rng([41, part]), base_of(name, part), count_of(name, COUNT)
    assert judge(base, base.header, base.arrays) > 0
    accepted = sum(judge(base, *mutant(rng, base.header, base.arrays)) for _ in range(count))
    print(f"{name}, part {part}: {count} mutants, {accepted} claims accepted, 0 of them false")  # noqa: T201


def count_of(name, count):
    """Mutants of one base."""
    return int(count * RANDOMIZED_SHARE) if "randomized" in name else count


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_no_mutant_with_a_false_claim_is_accepted_in_exact_arithmetic(name):
    rng, base, count = np.random.default_rng(44), base_of(name, 5), count_of(name, EXACT_COUNT)
    mutants = (mutant(rng, base.header, base.arrays) for _ in range(count))
    accepted = sum(judge(base, *mutated, verify_bytes_exactly) for mutated in mutants)
    print(f"{name}, exact: {count} mutants, {accepted} claims accepted, 0 of them false")  # noqa: T201
    assert accepted > 0


def test_every_kind_of_proof_is_forged():
    found = (base_of(name, 3).header["proofs"] for name in BASES)
    assert {proof["kind"] for proofs in found for proof in proofs} == set(KINDS)


@pytest.mark.parametrize("name", BASES)
def test_no_mutant_that_hypothesis_finds_is_falsely_accepted(name):
    base = base_of(name, 3)

    @settings(max_examples=10, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1))
    def run(seed):
        judge(base, *mutant(np.random.default_rng(seed), base.header, base.arrays))

    run()


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
def test_every_field_changed_in_turn_is_refused_or_true(name):
    """Every entry of the header, by a few values of its type, and every array, by a few whole changes."""
    base = base_of(name, 7)
    fields = {section: base.header[section] for section in ("claim", "dual", "statement", "proofs")}
    for path, value in leaves(fields):
        for other in others(value):
            header = copy.deepcopy(base.header)
            holder = header
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = other
            verdict = verify_bytes(packed(header, base.arrays))
            if verdict.status == "valid":
                Truth.of(base, header, base.arrays).require(verdict)
    for key, values in base.arrays.items():
        for other in (values[::-1].copy(), np.zeros_like(values), values * values.dtype.type(2), values // 2 * 2):
            judge(base, base.header, base.arrays | {key: other})


def leaves(value, path=()):
    """Path and value of everything in a header that is no object and no list."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
        return
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def others(value):
    """Values like one of the header."""
    if isinstance(value, bool) or value is None:
        return [True, False, None, "inputs", (1.0).hex()]
    if isinstance(value, int):
        return [0, 1, 2, 3, -1, value + 1]
    try:
        number = float.fromhex(value)
    except ValueError:
        operations = ["linear", "relu", "abs", "square", "times_inputs", "ones", "inputs", "zero", "norm-products"]
        operations += ["entries", "counted-weight-decay", "axis-0", "counted-axis-1", "spectral"]
        return [*operations, "mean", "sum", "absent", "free", "penalized", "huber", "poisson"]
    return [(number * f).hex() for f in (-1, 0, 0.5, 2, 2.0**-80)] + [
        math.nextafter(number, e).hex() for e in (-9e99, 9e99)
    ]


def test_bytes_cut_swapped_or_added_are_refused():
    for name in BASES:
        base = base_of(name, 3)
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
    bases = [base_of(name, seed) for seed in range(6)]
    for base in bases:
        for other in bases:
            if all(other.arrays[key].shape == base.arrays[key].shape for key in ("X", "Y")):
                judge(base, base.header, base.arrays | {key: other.arrays[key] for key in ("X", "Y")})


def test_repacking_changes_nothing():
    for name in BASES:
        base = base_of(name, 3)
        data = packed(base.header, base.arrays)
        assert packed(*unpacked(data)) == data
