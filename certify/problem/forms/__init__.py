"""Forms of the polar: the few shapes of maximization problem that kinds of subnetworks lead to.

A form is free of networks and penalties: it is the data of max { <Q, φ(w)> : unit norms } as a function of Q = −A.
Bounds serve a form, and never ask which kind it came from.
"""

from certify.problem.forms.bilinear import Bilinear
from certify.problem.forms.layers import Layers
from certify.problem.forms.multilinear import Multilinear
from certify.problem.forms.rows import Rows, Slopes
from certify.problem.forms.squares import Squares
from certify.problem.forms.symmetric import Symmetric

PolarForm = Bilinear | Rows | Squares | Symmetric | Multilinear | Layers

__all__ = ["Bilinear", "Layers", "Multilinear", "PolarForm", "Rows", "Slopes", "Squares", "Symmetric"]
