"""The outcome of a check as one plain value: verdict, numbers and the reason; reports are made from it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from certify.certificates.gap import relative_gap

Verdict = Literal["certified", "improvable", "undecided"]
DescentKind = Literal["rebalance", "descend", "add-subnetworks"]
ProofStrength = Literal["rigorous", "randomized", "none"]


@final
@dataclass(frozen=True, slots=True)
class GapBreakdown:
    """What the gap consists of, absolute, in units of the objective; the parts sum to it.

    Attributes:
        unbalanced: rescaling the layers of each subnetwork alone gains this.
        not_stationary: local descent at the same width gains this on top.
        missing_subnetwork: growth gains this on top.
        unexplained: between the best known model and the lower bound.
    """

    unbalanced: float
    not_stationary: float
    missing_subnetwork: float
    unexplained: float


@final
@dataclass(frozen=True, slots=True)
class Descent:
    """A better model that was built and evaluated; the decrease is positive, the path None where it was not written."""

    kind: DescentKind
    decrease: float
    objective_after: float
    subnetworks: int
    model_path: str | None = None


@final
@dataclass(frozen=True, slots=True)
class PolarReport:
    """Interval of the polar at the dual point, in units of λ: 1 is the threshold of optimality."""

    lower: float
    upper: float
    method: str


@final
@dataclass(frozen=True, slots=True)
class ModelReport:
    """The model as it was checked; `digest_complete` says whether its digest covers all of its values."""

    path: str | None
    sha256: str
    family: str
    degree: int
    subnetworks: int
    parameters: int
    digest_complete: bool = True


@final
@dataclass(frozen=True, slots=True)
class HeadReport:
    """The head that a claim is about, where it is not about the whole model.

    Attributes:
        layers: names of its layers with weights.
        frozen_parameters: number of scalars in the layers before it.
        features_sha256: digest of what those layers compute from the data, which the head reads.
    """

    layers: tuple[str, ...]
    frozen_parameters: int
    features_sha256: str


@final
@dataclass(frozen=True, slots=True)
class DataReport:
    """The data that the objective is over."""

    path: str | None
    sha256: str
    samples: int
    inputs: int
    outputs: int


@final
@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall clock seconds of each phase."""

    load: float
    objective: float
    bound: float
    verify: float
    total: float


@final
@dataclass(frozen=True, slots=True)
class Environment:
    """What the check ran on."""

    device: str
    torch: str
    seed: int


@final
@dataclass(frozen=True, slots=True)
class Result:
    """Everything a report shows about one model; see `certify.result/1` in the reference.

    Attributes:
        reason: code for `certify explain`.
        message: the reason as one sentence.
        objective: of the given model, rounded up.
        lower_bound: proven: no network of any width has a smaller objective.
        best_known: smallest objective evaluated.
        achieved_share: proven lower bound on (f(0) − objective)/(f(0) − optimum), None where f(0) ≤ objective.
        notes: assumptions made while loading.
        departures: how the objective differs from what torch computes with weight decay on the file's parameters.
        head: the head that the claim is about; None where it is about the whole model.
        optimum_estimate: where the optimum probably lies, not proven; None where nothing tells.
        statement: SHA-256 of the problem that is stated; two results compare if theirs are equal.
    """

    verdict: Verdict
    reason: str
    message: str
    objective: float
    lower_bound: float
    best_known: float
    relative_gap_tolerance: float
    absolute_gap_tolerance: float
    achieved_share: float | None
    proof: ProofStrength
    polar: PolarReport
    breakdown: GapBreakdown
    descent: Descent | None
    model: ModelReport
    data: DataReport
    seconds: Seconds
    environment: Environment
    statement: str
    optimum_estimate: float | None = None
    failure_probability: float | None = None
    certificate: str | None = None
    notes: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()
    head: HeadReport | None = None

    @property
    def scope(self) -> str:
        """What the claim is about: `model` or `head`."""
        return "model" if self.head is None else "head"

    @property
    def gap(self) -> float:
        """Absolute gap: objective minus lower bound, proven to bound objective − optimum."""
        return self.objective - self.lower_bound

    @property
    def estimated_gap(self) -> float | None:
        """How far the objective is above the estimated optimum, over |objective|; not proven."""
        optimum = self.optimum_estimate
        return None if optimum is None else relative_gap(self.objective - optimum, self.objective)

    @property
    def relative_gap(self) -> float:
        """Gap over |objective|."""
        return relative_gap(self.gap, self.objective)
