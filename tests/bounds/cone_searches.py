"""Short cone searches."""

import torch

from certify.bounds.rows.cones.cone_settings import ConeSettings
from certify.bounds.rows.cones.cones import cone_polar
from certify.problem import Slopes

from .exact_polars import RELU


def search(X, Q, slopes=RELU, **settings):
    defaults = {"relative_tolerance": 1e-2, "seconds": 20.0, "max_nodes": 5_000, "slopes": Slopes(*slopes)}
    return cone_polar(torch.tensor(X), torch.tensor(Q), ConeSettings(**(defaults | settings)))
