"""Claims of rule 62 at the size of a rounding: λ, values of lines, and where they meet."""

from fractions import Fraction

import numpy as np
from flint import arb, ctx

from certify.verify.enclosure import Enclosure
from certify.verify.measure import line_of
from certify.verify.proofs.unequal_degrees import least_sum
from certify.verify.statement.certificate import read_certificate
from certify.verify.statement.losses import bind_loss
from certify.verify.statement.penalties import decay_strength

from .forging import set_at
from .handmade_lines import tensor
from .rule_claims import VALUES, in_both, read


def strength():
    """λ² = s₀ s₁, and (3 s₀/4)² (3 s₁/2)."""
    for value in VALUES:
        first, second = Fraction(value), Fraction(1 / value + 1)
        for degrees, square in (((1, 1), first * second), ((2, 1), (3 * first / 4) ** 2 * (3 * second / 2))):
            if Fraction(decay_strength((value, 1 / value + 1), degrees, Enclosure)) ** 2 > square:
                return False
    return True


def least():
    """Of a steep line, which nearly cancels where it meets a flat one, at (a − b)/p."""
    for value in VALUES:
        given = np.array([2.0**30 * value, 0.1 * value]), np.array([2.0**30, 0.0])
        (a, b), p = map(Fraction, given[0].tolist()), Fraction(2**30)
        with ctx.workprec(500):
            kink, flat = (arb(x.numerator) / x.denominator for x in ((a - b) / p, b))
            if not arb(least_sum(*given, 3, Enclosure)) <= flat + kink ** (arb(2) / 3):
                return False
    return True


def value():
    """Of a line, for many targets and scales."""

    def lowest(y, arithmetic):
        header, arrays = tensor()
        set_at(header, "proofs.0.upper", y)
        certificate = read_certificate(*read((header, arrays | {"Y": np.array([[y]])})))
        return line_of(certificate.at(0, 1 / y), bind_loss(certificate, arithmetic.real), arithmetic)[0]

    pairs = [in_both(lowest, y) for y in VALUES]
    return all(found <= exact for found, exact in pairs)
