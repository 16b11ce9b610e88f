"""The independent checker of certificates: numpy and the standard library only, no code of the prover."""

from certify.verify.measure import Measured, MeasuredPolar, measure
from certify.verify.rejection import Rejection
from certify.verify.verdict import Verdict, verify_bytes

__all__ = ["Measured", "MeasuredPolar", "Rejection", "Verdict", "measure", "verify_bytes"]
