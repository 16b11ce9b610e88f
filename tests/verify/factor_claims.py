"""Claims of rules 53, 54 and 59 at the size of a rounding: norms and forms that hold by far but for one."""

from fractions import Fraction

import numpy as np

from certify.verify.enclosure import Enclosure
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.forms.entry_form import EntryForm
from certify.verify.forms.form import Form
from certify.verify.proofs.entries import vertices_hold
from certify.verify.proofs.factorizations import semidefinite_holds
from certify.verify.statement.activations import IDENTITY
from certify.verify.statement.side_norms import EUCLIDEAN, SideNorm

from .rule_claims import VALUES, proof, rejects

MOST = SideNorm(0.0, 0.0, 1.0, False)
TOGETHER = np.zeros(2, np.int64)


def sums():
    """x + 99 beside its sum in floats."""
    return all(
        Fraction(value) + 99 <= Fraction(value + 99.0)
        or not MOST.dual_within(Enclosure([[value, 99.0]]), Enclosure(value + 99.0))
        for value in VALUES
    )


def lengths():
    """The length of (x, 1) beside its square root in floats."""
    for value in VALUES:
        row = Enclosure([[value, 1.0]])
        length = float(row.row_norms().near[0])
        if Fraction(length) ** 2 < Fraction(value) ** 2 + 1 and EUCLIDEAN.dual_within(row, Enclosure(length)):
            return False
    return True


def grouped_sums():
    """The same where only the values of a vector are given."""
    return all(
        Fraction(value) + 99 <= Fraction(value + 99.0)
        or not MOST.dual_within_groups(Enclosure([value, 99.0]), TOGETHER, Enclosure(value + 99.0))
        for value in VALUES
    )


def rounded_lengths():
    """(x, 1) with a square root in floats that is less than its length."""
    for value in VALUES:
        length = float(np.sqrt(value * value + 1.0))
        if Fraction(length) ** 2 < Fraction(value) ** 2 + 1:
            yield value, length


def grouped_lengths():
    """The length of (x, 1) beside its square root in floats, where only its values are given."""
    return not any(
        EUCLIDEAN.dual_within_groups(Enclosure([value, 1.0]), TOGETHER, Enclosure(length))
        for value, length in rounded_lengths()
    )


def slices():
    """The norm of a slice (x, 1), which is its length."""
    one, places = SideNorm(1.0, 0.0, 0.0, False), np.array([[0, 0, 0], [0, 0, 1]])
    return not any(
        vertices_hold(
            EntryForm(places, Enclosure([value, 1.0]), (1, 1, 2), (one, EUCLIDEAN, EUCLIDEAN)), length, FLOATING_POINT
        )
        for value, length in rounded_lengths()
    )


def entries():
    """An entry known to lie in [−1/2, 1/2]."""
    return float(EUCLIDEAN.form_upper(Enclosure([[0.0]], 0.5), Enclosure(0.0)).high) >= 0.5


def levels():
    """The sum of α = x and β = 99 beside its sum in floats."""
    given = Form(Enclosure([[1.0]]), Enclosure([[0.0]]), IDENTITY, False, MOST, MOST)
    return all(
        Fraction(value) + 99 <= Fraction(value + 99.0)
        or rejects(
            semidefinite_holds,
            given,
            proof("semidefinite", value + 99.0, left=[[value]], right=[[99.0]], levels=np.zeros(2)),
            FLOATING_POINT,
        )
        for value in VALUES
    )
