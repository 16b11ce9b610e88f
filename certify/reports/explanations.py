"""Reason and error codes in plain words, from `explanations.toml`: what they mean, the theory, what to do."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """One code explained: in a few words, what was found, what to do, and the theorem or formula behind it, if any."""

    title: str
    meaning: str
    remedy: str
    theory: str = ""


_TEXTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
# By what they are about: verdicts, hypotheses of the theory, faults of a problem, refused files, defects.
OUTCOMES, HYPOTHESES, PROBLEM_ERRORS, REFUSALS, DEFECTS = (
    {code: Explanation(**texts) for code, texts in _TEXTS[group].items()}
    for group in ("outcome", "hypothesis", "problem", "refusal", "defect")
)
EXPLANATIONS: dict[str, Explanation] = OUTCOMES | HYPOTHESES | PROBLEM_ERRORS | REFUSALS | DEFECTS
