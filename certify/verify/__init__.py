"""The independent checker of certificates: numpy and the standard library only, no code of the prover."""

from certify.verify.verdict import Verdict, verify_bytes

__all__ = ["Verdict", "verify_bytes"]
