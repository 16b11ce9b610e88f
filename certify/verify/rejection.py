"""Why a certificate is not accepted: the name of a rule, and numbers."""

from __future__ import annotations

from typing import NoReturn


class Rejection(Exception):
    """A rule that does not hold.

    Attributes:
        rule: name of the rule in the format's reference.
        refused: True where the file is no certificate at all, False where it is one that proves nothing.
    """

    def __init__(self, rule: str, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.rule = rule
        self.refused = refused


def refuse(rule: str, message: str) -> NoReturn:
    """The file is not a well-formed certificate."""
    raise Rejection(rule, message, refused=True)


def refuse_proof(rule: str, message: str) -> NoReturn:
    """The file is a certificate, and proves nothing."""
    raise Rejection(rule, message, refused=False)


def require(holds: bool, rule: str, message: str) -> None:
    """The certificate proves nothing unless `holds`; callers write comparisons that NaN fails."""
    if not holds:
        raise Rejection(rule, message, refused=False)
