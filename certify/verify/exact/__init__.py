"""The rules of the checker in exact integers and rigorous balls; needs python-flint."""

from certify.verify.exact.verification import verify_bytes_exactly

__all__ = ["verify_bytes_exactly"]
