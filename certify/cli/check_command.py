"""`certify check MODEL…`: parse, run the workflow on each model, report, exit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certify.certificates.gravity import VERDICT_CODES, gravest
from certify.cli.options import option, problem_flags, report_flags, run_flags
from certify.errors import CertifyError, ExitCode, UsageError

if TYPE_CHECKING:
    from certify.certificates.result import Result
    from certify.models.spec.problem_file import ProblemSpec

OVERRIDES = [
    "data",
    "inputs",
    "targets",
    "loss",
    "reduction",
    "scale",
    "weight_decay",
    "hidden_bias",
    "output_bias",
    "scope",
    "relative_gap",
    "absolute_gap",
]


@click.command("check", short_help="Certificate, improvement or honest gap for one or more models.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=click.Path())
@problem_flags
@run_flags
@option("--certificate", type=click.Path(), help="Write the certificate file here, for `certify verify`.")
@option("--output-model", type=click.Path(), help="Write the better model here when there is one.")
@report_flags
@click.pass_context
def check_command(ctx: click.Context, /, models: tuple[str, ...], **flags: Any) -> None:  # noqa: ANN401
    """Say how far each MODEL is from the global optimum over all widths, with proof.

    \b
    certified   proven: objective − global optimum ≤ tolerance             exit 0
    improvable  a better model was built and evaluated                     exit 1
    undecided   neither within the budget; the proven gap is shown         exit 3

    Every flag can also be set by an environment variable: --relative-gap by CERTIFY_RELATIVE_GAP, and so on.
    """  # noqa: D301 - \b keeps click from rewrapping
    from certify.cli.report_choice import Reports

    for flag in ("output_model", "certificate"):
        if flags[flag] and len(models) > 1:
            raise UsageError(f"--{flag.replace('_', '-')} takes one model at a time")
    with Reports(flags, models) as reports:
        codes = [_check_one(model, flags, reports) for model in models]
    ctx.exit(int(gravest(codes)))


def _check_one(model: str, flags: dict[str, Any], reports: Any) -> ExitCode:  # noqa: ANN401
    try:
        result = _run(model, flags, reports)
    except CertifyError as error:
        if error.code == "overwrite":
            raise  # nothing may be written at all
        reports.error(model, error)
        return error.exit_code
    code = VERDICT_CODES[result.verdict]
    reports.result(result, int(code))
    return code


def _run(model: str, flags: dict[str, Any], reports: Any) -> Result:  # noqa: ANN401
    started = time.perf_counter()
    from certify.certificates.certificate_file import save_certificate
    from certify.models.loading import Problem
    from certify.models.writers import ensure_writable, output_format, output_notes
    from certify.workflows.check import CheckOptions, run_check
    from certify.workflows.threads import use_threads

    spec = problem_spec(model, flags)
    for path in (flags["output_model"], flags["certificate"], *reports.files.paths):
        if path:
            require_no_input(path, [*model_files(spec), *other_files(spec, flags["problem"])])
            ensure_writable(path)
    problem = Problem.from_files(spec, flags["device"])
    if flags["output_model"]:
        output_format(flags["output_model"], problem.graph, headed=problem.trunk is not None)
    use_threads(flags["threads"], problem)
    options = CheckOptions(
        seed=flags["seed"],
        failure_probability=flags["failure_probability"],
        load_seconds=time.perf_counter() - started,
    )
    with reports.progress(model) as listener:
        outcome = run_check(problem, options, listener)
    result = outcome.result
    if flags["certificate"] and outcome.certificate is not None:
        save_certificate(flags["certificate"], outcome.certificate)
        result = replace(result, certificate=flags["certificate"])
    if flags["output_model"] and result.descent:
        problem.write(flags["output_model"], outcome.best)
        notes = (*result.notes, *output_notes(flags["output_model"], problem.graph, headed=problem.trunk is not None))
        descent = replace(result.descent, model_path=flags["output_model"])
        result = replace(result, descent=descent, notes=notes)
    return result


def require_no_input(path: str, read: Sequence[Path]) -> None:
    """Raise UsageError if an output would overwrite one of the files that are read."""
    if Path(path).exists() and any(entry.exists() and Path(path).samefile(entry) for entry in read):
        raise UsageError(f"{path}: this is an input; write the output elsewhere", code="overwrite")


def model_files(spec: ProblemSpec) -> list[Path]:
    """The model and the problem file beside it."""
    from certify.models.spec.problem_file import problem_file_beside

    return [spec.model.path, problem_file_beside(spec.model.path)]


def other_files(spec: ProblemSpec, problem: str | None) -> list[Path]:
    """The data, and the problem file where one is named."""
    chosen = (spec.data.path, spec.data.inputs, spec.data.targets, problem)
    return [Path(entry) for entry in chosen if isinstance(entry, str | Path)]


def problem_spec(model: str, flags: dict[str, Any]) -> ProblemSpec:
    """The problem file that belongs to a model, with the flags applied; or the flags alone."""
    from certify.models.spec.overrides import Overrides
    from certify.models.spec.problem_file import find_problem_file, load_problem_file, spec_from_flags

    if not Path(model).is_file():
        found = "is a folder, not a model file" if Path(model).is_dir() else "no such file"
        raise UsageError(f"{model}: {found}", code="missing-file")
    chosen = {name: flags[name] for name in OVERRIDES}
    path = flags["problem"] or find_problem_file(model)
    if path is None:
        return spec_from_flags(model, Overrides(budget_seconds=flags["budget"], **chosen))
    return load_problem_file(path).with_overrides(Overrides(model=model, budget_seconds=flags["budget"], **chosen))
