"""`certify check MODEL…`: parse, run the workflow on each model, report, exit."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from certify.certificates.gravity import VERDICT_CODES, gravest
from certify.cli.flags import CheckFlags, parsed
from certify.cli.options import long_proof_flags, option, problem_flags, report_flags, run_flags
from certify.cli.problem_choice import files_read, problem_spec, require_writable
from certify.errors import CertifyError, ExitCode, UsageError
from certify.reports.terminal import say

if TYPE_CHECKING:
    from certify.certificates.result import Result
    from certify.cli.report_choice import Reports


@click.command("check", short_help="Certificate, improvement or honest gap for one or more models.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=click.Path())
@problem_flags
@run_flags
@option("--certificate", type=click.Path(), help="Write the certificate file here, for `certify verify`.")
@option(
    "--output-model",
    type=click.Path(),
    help="Write the better model here when there is one; with --penalty else the same one, its factors balanced.",
)
@long_proof_flags
@report_flags
@click.pass_context
def check_command(ctx: click.Context, /, models: tuple[str, ...], **found: Any) -> None:  # noqa: ANN401
    """Say how far each MODEL is from the global optimum over all widths, with proof.

    \b
    certified   proven: objective − global optimum ≤ tolerance             exit 0
    improvable  a better model was built and evaluated                     exit 1
    undecided   neither within the budget; the proven gap is shown         exit 3

    Every flag can also be set by an environment variable: --relative-gap by CERTIFY_RELATIVE_GAP, and so on.
    """  # noqa: D301 - \b keeps click from rewrapping
    from certify.cli.report_choice import Reports

    flags = parsed(CheckFlags, found | {"model": None})
    named = {
        "--output-model": flags.output_model,
        "--certificate": flags.certificate,
        "--checkpoint": flags.checkpoint,
    }
    for name, path in named.items():
        if path and len(models) > 1:
            raise UsageError(f"{name} takes one model at a time")
    with Reports(flags.report, tuple(named.values()), models) as reports:
        codes = [_check_one(model, flags, reports) for model in models]
    ctx.exit(int(gravest(codes)))


def _check_one(model: str, flags: CheckFlags, reports: Reports) -> ExitCode:
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


def _run(model: str, flags: CheckFlags, reports: Reports) -> Result:
    started = time.perf_counter()
    from certify.bounds.labor import Labor
    from certify.growth.balance import balanced
    from certify.models.loading import Problem
    from certify.models.writers import output_format, output_notes
    from certify.whole_file import write_whole
    from certify.workflows.check import CheckOptions, run_check
    from certify.workflows.checkpoint import Checkpoint
    from certify.workflows.cone_crews import crew_for, search_memory
    from certify.workflows.threads import use_threads

    spec, run = problem_spec(model, flags.problem), flags.run
    outputs = (flags.output_model, flags.certificate, flags.checkpoint, *reports.files.paths)
    require_writable(outputs, files_read(spec, flags.problem))
    problem = Problem.from_files(spec, run.device)
    if flags.output_model:
        output_format(flags.output_model, problem.graph, headed=problem.trunk is not None)
    use_threads(run.threads, problem)
    load_seconds = time.perf_counter() - started
    options = CheckOptions(
        seed=run.seed,
        failure_probability=run.failure_probability,
        load_seconds=load_seconds,
        checkpoint=Checkpoint(flags.checkpoint, problem, _warn) if flags.checkpoint else None,
    )
    with crew_for(problem, run.threads, flags.cluster) as crew, reports.progress(model) as listener:
        outcome = run_check(problem, replace(options, labor=Labor(crew, memory_bytes=search_memory())), listener)
    result = outcome.result
    if flags.certificate and outcome.certificate is not None:
        write_whole(flags.certificate, outcome.certificate)
        result = replace(result, certificate=flags.certificate)
    if flags.output_model and (result.descent or spec.penalty.matched):
        best = outcome.best if result.descent else balanced(problem.objective, problem.network)
        problem.write(flags.output_model, best)
        notes = (*result.notes, *output_notes(flags.output_model, problem.graph, headed=problem.trunk is not None))
        descent = result.descent and replace(result.descent, model_path=flags.output_model)
        result = replace(result, descent=descent, notes=notes)
    return result


def _warn(message: str) -> None:
    say(f"certify: warning: {message}", err=True)
