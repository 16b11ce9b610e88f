"""Claims of rule 47 at the size of a rounding: products that hold by far but for the one bound in question."""

from fractions import Fraction

import numpy as np

from certify.verify.enclosure import Enclosure
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.forms.form import Form
from certify.verify.proofs.products import products_hold

from .rule_claims import RELU, VALUES, proof, rejects


def rejected(tilt, height, upper, levels):
    """A row x = (1, 1) with a score of 0; W₋ = −W₊ and C = −9 leave K_gg = 18 beside K_gv = −h."""
    slacks = {"heights": np.full((4, 1, 1), height), "tilts": np.array([tilt, np.negative(tilt)] * 2)[:, None]}
    zeros = np.zeros((2, 1, 1))
    arrays = {"both": zeros, "cross": zeros - 9, "none": zeros, "levels": np.tile(levels, (2, 1))} | slacks
    given = Form(Enclosure([[1.0, 1.0]]), Enclosure([[0.0]]), RELU, False)
    return rejects(products_hold, given, proof("doubly-nonnegative", upper, **arrays), FLOATING_POINT)


def tilts():
    """The length of (x, 1) beside a height that is its square root in floats."""
    assert not rejected([1.0, 1.0], 2.0, 200.0, (99.0, 99.0))
    for value in VALUES:
        height = float(Enclosure([value, 1.0]).row_norms().near)
        if Fraction(height) ** 2 < Fraction(value) ** 2 + 1 and not rejected([value, 1.0], height, 200.0, (99.0, 99.0)):
            return False
    return True


def levels():
    """α + β beside its sum in floats."""
    return all(
        Fraction(value) + 99 <= Fraction(value + 99.0) or rejected([0.0, 0.0], 0.0, value + 99.0, (value, 99.0))
        for value in VALUES
    )
