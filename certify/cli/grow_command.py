"""`certify grow [MODEL] -o OUT`: parse, plan, run, exit."""

from __future__ import annotations

from typing import Any

import click

from certify.cli.flags import GrowFlags, parsed
from certify.cli.options import long_proof_flags, option, problem_flags, report_flags, run_flags
from certify.cli.termination import terminations_as_interrupts


@click.command("grow", short_help="Descend, check, add subnetworks, repeat until certified; then prune.")
@click.argument("model", required=False, metavar="[MODEL]", type=click.Path())
@option("--output-model", "-o", metavar="OUT", type=click.Path(), help="Write the grown model here; needed.")
@option("--from-scratch", is_flag=True, help="Start from width zero instead of MODEL's weights.")
@option("--no-prune", is_flag=True, help="Keep every subnetwork that growth added.")
@option("--state", metavar="PATH", type=click.Path(), help="Write the state here after every round.")
@option("--resume", metavar="PATH", type=click.Path(), help="Go on from this state; MODEL and OUT are in it.")
@problem_flags
@run_flags
@option("--certificate", type=click.Path(), help="Write the certificate file here, for `certify verify`.")
@long_proof_flags
@option("--plot", metavar="PATH", type=click.Path(), help="Draw objective and bound: .svg, .png or .html.")
@report_flags
@click.pass_context
def grow_command(ctx: click.Context, /, model: str | None, **found: Any) -> None:  # noqa: ANN401
    """Train MODEL to certified global optimality over all widths, and write it to OUT.

    Each round descends, tests the certificate and adds the subnetworks that violate it most; at the end those that
    the certificate can do without are pruned. OUT.problem.yaml is written beside OUT, so that `certify check OUT`
    works as it is.

    \b
    certified   proven: objective − global optimum ≤ tolerance             exit 0
    undecided   not within the budget; the proven gap is shown             exit 3
    """  # noqa: D301 - \b keeps click from rewrapping
    from certify.cli.growth_plan import growth_plan
    from certify.cli.growth_run import run_growth
    from certify.cli.report_choice import Reports
    from certify.models.spec.problem_file import problem_file_beside

    flags = parsed(GrowFlags, found | {"model": None})
    plan = growth_plan(model, flags)
    companion = str(problem_file_beside(plan.output))
    written = (flags.certificate, plan.output, companion, flags.state, flags.checkpoint, flags.plot)
    with Reports(flags.report, written) as reports, terminations_as_interrupts():
        code = run_growth(plan, flags, reports)
    ctx.exit(code)
