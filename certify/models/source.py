"""What travels with a problem beside its mathematics: where it came from, and what is asked of the gap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Tolerance:
    """Certified means gap ≤ max(absolute_gap, relative_gap · |objective|).

    Attributes:
        relative_gap: nonnegative.
        absolute_gap: nonnegative, in units of the objective.
    """

    relative_gap: float = 1e-3
    absolute_gap: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class HeadScope:
    """What a problem of `scope: head` is about.

    Attributes:
        layers: names of the head's layers with weights.
        frozen_parameters: number of scalars in the layers before, which are not part of the problem.
        features_sha256: digest of the features' bytes, (n, d) float64.
    """

    layers: tuple[str, ...]
    frozen_parameters: int
    features_sha256: str


@final
@dataclass(frozen=True, slots=True)
class Source:
    """Where a problem came from, for reports.

    Attributes:
        model_path: the model file, or None for a live module.
        model_sha256: digest of the file, or of a live module's parameters.
        family: name of the subnetwork kind.
        degree: its degree of homogeneity.
        width: number r of subnetworks.
        parameters: number of scalars in the model, or in its head.
        data_path: the data file, or None for arrays in memory.
        data_sha256: digest of the file, or of the arrays.
        notes: assumptions and conversions.
        departures: how the objective differs from what torch computes with weight decay on the file's parameters.
        head: which head the problem is about, None where it is about the whole model.
        digest_complete: whether the digest of the model covers all of its values.
    """

    model_path: Path | None
    model_sha256: str
    family: str
    degree: int
    width: int
    parameters: int
    data_path: Path | None
    data_sha256: str
    notes: tuple[str, ...]
    departures: tuple[str, ...] = ()
    head: HeadScope | None = None
    digest_complete: bool = True
