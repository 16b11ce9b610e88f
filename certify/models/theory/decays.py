"""How strongly each parameter is penalized: one weight decay for all, or one for each name or pattern of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from certify.errors import UsageError
from certify.problem import FactorNorms, Kind, ProductOfNorms, WeightDecay


@final
@dataclass(frozen=True, slots=True)
class Decays:
    """Coupled weight decay by parameter.

    Attributes:
        rule: wd for all, or by name or pattern (`fc1.*`), the first that matches; 0 for not penalized.
        matched: whether the product of norms with the degrees of the subnetworks takes its place for these.
    """

    rule: float | Mapping[str, float]
    matched: bool = False

    def on(self, penalty: WeightDecay, kind: Kind) -> WeightDecay | ProductOfNorms:
        """What it is for subnetworks of a kind: weight decay, or the product of norms that it equals at product 1."""
        gauge = penalty.gauge(kind)
        return ProductOfNorms(gauge.coefficient, kind.degrees) if self.matched else penalty

    def of(self, name: str) -> float:
        """Weight decay of a parameter."""
        if not isinstance(self.rule, Mapping):
            return self.rule
        return next(wd for pattern, wd in self.rule.items() if fnmatchcase(name, pattern))

    def reach(self, name: str) -> bool:
        """Whether a parameter is penalized; one that the rule says nothing of is."""
        rule = self.rule if isinstance(self.rule, Mapping) else {"*": self.rule}
        return next((wd for pattern, wd in rule.items() if fnmatchcase(name, pattern)), 1.0) != 0

    def require_names(self, names: Iterable[str], where: str) -> None:
        """Check that every parameter is spoken of, and every pattern speaks of one.

        Raises:
            UsageError: not so.
        """
        if not isinstance(self.rule, Mapping):
            return
        there = list(names)
        silent = [name for name in there if not any(fnmatchcase(name, pattern) for pattern in self.rule)]
        idle = [pattern for pattern in self.rule if not any(fnmatchcase(name, pattern) for name in there)]
        if silent:
            raise UsageError(
                f"{where}: penalty.weight_decay says nothing of '{silent[0]}'; give its weight decay, 0 if it was not "
                "penalized",
                code="unknown-parameter",
            )
        if idle:
            raise UsageError(
                f"{where}: penalty.weight_decay names '{idle[0]}', which matches no parameter; there are "
                f"{', '.join(there)}",
                code="unknown-parameter",
            )


Charge = Decays | ProductOfNorms | FactorNorms
