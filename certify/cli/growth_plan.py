"""What `certify grow` is to do, with no rounds done yet: from the flags, or from the state of an earlier growth."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch

from certify.cli.flags import GrowFlags
from certify.cli.problem_choice import problem_spec
from certify.errors import UsageError
from certify.models.spec.problem_file import ProblemSpec, load_problem_file, spec_from_flags
from certify.problem import ParallelNetwork
from certify.workflows.growth_loop import GrowthState
from certify.workflows.growth_state import SavedGrowth, read_growth

# What may be given anew with --resume.
CHOSEN_ANEW = ("relative_gap", "absolute_gap", "budget_seconds")


def growth_plan(model: str | None, flags: GrowFlags) -> SavedGrowth:
    """What to do.

    Raises:
        UsageError: the flags contradict each other, or say too little.
    """
    if flags.resume:
        return _resumed(model, flags.resume, flags)
    if not flags.output_model:
        raise UsageError("give -o OUT, the file to write the grown model to")
    spec = _spec_of_layers(flags.output_model, flags) if model is None else problem_spec(model, flags.problem)
    nothing = GrowthState(ParallelNetwork((), torch.zeros(0)), (), flags.run.seed)
    output = str(Path(flags.output_model).absolute())
    return SavedGrowth(spec, output, model is None, not flags.no_prune, "", nothing)


def _resumed(model: str | None, state: str, flags: GrowFlags) -> SavedGrowth:
    problem = flags.problem
    if model or flags.from_scratch or problem.problem_file:
        raise UsageError("--resume has the model and the problem in its state; give neither")
    fixed = [name for name, value in asdict(problem.overrides).items() if value is not None and name not in CHOSEN_ANEW]
    if fixed:
        raise UsageError(f"--{fixed[0].replace('_', '-')}: the problem of a resumed growth is that of its state")
    saved = read_growth(state)
    spec = saved.spec.with_overrides(problem.overrides)
    return replace(saved, spec=spec, output=flags.output_model or saved.output)


def _spec_of_layers(output: str, flags: GrowFlags) -> ProblemSpec:
    """The problem of layers listed on the command line, or in the problem file, without a model file."""
    problem = flags.problem
    if not flags.from_scratch:
        raise UsageError("give a MODEL to grow, or --from-scratch with --layers")
    if problem.problem_file:
        return load_problem_file(problem.problem_file).with_overrides(replace(problem.overrides, model=output))
    return spec_from_flags(output, problem.overrides)
