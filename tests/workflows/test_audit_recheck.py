"""What a recheck objects to in a certificate that the checker accepts."""

from certify.verify import Verdict
from certify.workflows.audit_recheck import _objection
from certify.workflows.certificate_of import CHECKS, FAILURE_PROBABILITY

VALID = Verdict("valid", upper=1.0, lower=0.75, certified=True)
CLAIM = [1.0, 0.75, 0.25]


def objection(chance, own):
    randomized = Verdict("valid", upper=1.0, lower=0.75, certified=True, failure_probability=own)
    return _objection(randomized, CLAIM, certified=True, chance=chance)


def test_a_cached_proof_is_as_rigorous_as_its_certificate():
    assert not _objection(VALID, CLAIM, certified=True, chance=None)
    assert not objection(FAILURE_PROBABILITY, FAILURE_PROBABILITY / CHECKS)
    # Shown as rigorous, as surer than it is, or as it is but no better than a guess.
    assert "falsely" in objection(None, FAILURE_PROBABILITY / CHECKS)
    assert "falsely" in objection(FAILURE_PROBABILITY / 10, FAILURE_PROBABILITY / CHECKS)
    assert "falsely" in objection(CHECKS * 0.01, 0.01)
    assert "falsely" in _objection(VALID, CLAIM, certified=True, chance=FAILURE_PROBABILITY)
