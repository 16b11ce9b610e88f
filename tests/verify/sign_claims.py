"""Claims of rule 48 at the size of a rounding: a bound that is attained, and the thickness of an edge."""

from fractions import Fraction

import numpy as np

from certify.verify.enclosure import Enclosure
from certify.verify.floating_point import FLOATING_POINT
from certify.verify.forms.form import Form
from certify.verify.proofs.majorants import region_of
from certify.verify.proofs.sign_tree import Nodes, Sums, sign_tree_holds

from .rule_claims import RELU, VALUES, form, proof, rejects


def bounds():
    """One row x with a score of x: x²/2 of w, and as much of the constant; no claim below x² is accepted."""
    nodes = {"splits": np.zeros(2, np.uint8), "multipliers": [[0.0], [0.5]]}
    for value in VALUES:
        attained = value * value
        trees = proof("sign-tree", attained, **nodes)
        if Fraction(value) ** 2 > Fraction(attained) and not rejects(
            sign_tree_holds, form(value, value), trees, FLOATING_POINT
        ):
            return False
    return True


def edges():
    """The length of (x, 1) alone, as nothing is decided above."""
    for value in VALUES:
        given = Form(Enclosure([[value, 1.0]]), Enclosure([[1.0]]), RELU, False)
        sums = Sums(region_of(given, proof("sign-tree", 1.0), 0), given.scores.T)
        root = Nodes(np.zeros(1, int), np.zeros(1, int), np.zeros((1, 1)), np.zeros((1, 1)))
        (found,) = sums.edges(root, np.zeros(1, int), 1.0, np.zeros((1, 1)))
        if Fraction(found) ** 2 < Fraction(value) ** 2 + 1:
            return False
    return True
