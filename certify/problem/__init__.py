"""What is certified: data, network, loss and penalty as pure values."""

from certify.problem.branch import Branch
from certify.problem.entries import Entries
from certify.problem.forms import Bilinear, Layers, Multilinear, PolarForm, Rows, Slopes, Squares, Symmetric
from certify.problem.kinds import FACTORIZATIONS, KINDS, Deep, Factors, Kind, kind_of
from certify.problem.losses import LOSSES, LossSpec
from certify.problem.objective import ConvexPart, Evaluation, Objective, ParallelNetwork
from certify.problem.path import Path
from certify.problem.penalties import FactorNorms, Penalty, ProductOfNorms, WeightDecay
from certify.problem.readout import Readout
from certify.problem.side_norm import EUCLIDEAN, SideNorm
from certify.problem.view import View

__all__ = [
    "EUCLIDEAN",
    "FACTORIZATIONS",
    "KINDS",
    "LOSSES",
    "Bilinear",
    "Branch",
    "ConvexPart",
    "Deep",
    "Entries",
    "Evaluation",
    "FactorNorms",
    "Factors",
    "Kind",
    "Layers",
    "LossSpec",
    "Multilinear",
    "Objective",
    "ParallelNetwork",
    "Path",
    "Penalty",
    "PolarForm",
    "ProductOfNorms",
    "Readout",
    "Rows",
    "SideNorm",
    "Slopes",
    "Squares",
    "Symmetric",
    "View",
    "WeightDecay",
    "kind_of",
]
