"""`certify grow [MODEL] -o OUT`: parse, run the loop, write the model, verify its certificate, report, exit."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certify.cli.check_command import (
    OVERRIDES,
    VERDICT_CODES,
    model_files,
    other_files,
    problem_spec,
    require_no_input,
)
from certify.cli.options import option, problem_flags, report_flags, run_flags
from certify.cli.termination import terminations_as_interrupts
from certify.errors import UsageError

if TYPE_CHECKING:
    from certify.models.spec.problem_file import ProblemSpec
    from certify.workflows.growth_loop import GrowthState
    from certify.workflows.growth_state import SavedGrowth

# What may be given anew with --resume, beside the budget.
CHOSEN_ANEW = ("relative_gap", "absolute_gap")


@click.command("grow", short_help="Descend, check, add subnetworks, repeat until certified; then prune.")
@click.argument("model", required=False, metavar="[MODEL]", type=click.Path())
@option("--output-model", "-o", metavar="OUT", type=click.Path(), help="Write the grown model here; needed.")
@option("--from-scratch", is_flag=True, help="Start from width zero instead of MODEL's weights.")
@option("--layers", metavar="LIST", help="With --from-scratch and no MODEL, for example linear:fc1,relu,linear:fc2.")
@option("--no-prune", is_flag=True, help="Keep every subnetwork that growth added.")
@option("--state", metavar="PATH", type=click.Path(), help="Write the state here after every round.")
@option("--resume", metavar="PATH", type=click.Path(), help="Go on from this state; MODEL and OUT are in it.")
@problem_flags
@run_flags
@option("--certificate", type=click.Path(), help="Write the certificate file here, for `certify verify`.")
@option("--plot", metavar="PATH", type=click.Path(), help="Draw objective and bound: .svg, .png or .html.")
@report_flags
@click.pass_context
def grow_command(ctx: click.Context, /, model: str | None, **flags: Any) -> None:  # noqa: ANN401
    """Train MODEL to certified global optimality over all widths, and write it to OUT.

    Each round descends, tests the certificate and adds the subnetworks that violate it most; at the end those that
    the certificate can do without are pruned. OUT.problem.yaml is written beside OUT, so that `certify check OUT`
    works as it is.

    \b
    certified   proven: objective − global optimum ≤ tolerance             exit 0
    undecided   not within the budget; the proven gap is shown             exit 3
    """  # noqa: D301 - \b keeps click from rewrapping
    from certify.cli.report_choice import Reports
    from certify.models.spec.problem_file import problem_file_beside

    plan = _plan(model, flags)
    written = {"output_model": plan.output, "companion": str(problem_file_beside(plan.output))}
    with Reports(flags | written) as reports, terminations_as_interrupts():
        code = _run(plan, flags, reports)
    ctx.exit(code)


def _plan(model: str | None, flags: dict[str, Any]) -> SavedGrowth:
    """What to do, with no rounds done: from the flags, or from a state."""
    from certify.models.spec.overrides import Overrides
    from certify.workflows.growth_state import read_growth

    if flags["resume"]:
        if model or flags["from_scratch"] or flags["layers"] or flags["problem"]:
            raise UsageError("--resume has the model and the problem in its state; give neither")
        fixed = [name for name in OVERRIDES if flags[name] is not None and name not in CHOSEN_ANEW]
        if fixed:
            raise UsageError(f"--{fixed[0].replace('_', '-')}: the problem of a resumed growth is that of its state")
        saved = read_growth(flags["resume"])
        chosen = {name: flags[name] for name in CHOSEN_ANEW}
        spec = saved.spec.with_overrides(Overrides(budget_seconds=flags["budget"], **chosen))
        return replace(saved, spec=spec, output=flags["output_model"] or saved.output)
    if not flags["output_model"]:
        raise UsageError("give -o OUT, the file to write the grown model to")
    return _new_plan(model, flags)


def _new_plan(model: str | None, flags: dict[str, Any]) -> SavedGrowth:
    from certify.problem import ParallelNetwork
    from certify.workflows.growth_loop import GrowthState
    from certify.workflows.growth_state import SavedGrowth

    if model is not None and flags["layers"]:
        raise UsageError("--layers is for growing without a MODEL, whose layers these would be")
    spec = problem_spec(model, flags) if model is not None else _spec_of_layers(flags)
    import torch

    nothing = GrowthState(ParallelNetwork((), torch.zeros(0)), (), flags["seed"])
    output = str(Path(flags["output_model"]).absolute())
    return SavedGrowth(spec, output, model is None, not flags["no_prune"], "", nothing)


def _spec_of_layers(flags: dict[str, Any]) -> ProblemSpec:
    """The problem of layers listed on the command line, or in the problem file, without a model file."""
    from certify.models.spec.layer_list import parse_layers
    from certify.models.spec.overrides import Overrides
    from certify.models.spec.problem_file import load_problem_file, spec_from_flags

    chosen = {name: flags[name] for name in OVERRIDES}
    if not flags["from_scratch"]:
        raise UsageError("give a MODEL to grow, or --from-scratch with --layers")
    if flags["problem"]:
        overrides = Overrides(model=flags["output_model"], budget_seconds=flags["budget"], **chosen)
        spec = load_problem_file(flags["problem"]).with_overrides(overrides)
    else:
        spec = spec_from_flags(flags["output_model"], Overrides(budget_seconds=flags["budget"], **chosen))
    if not flags["layers"]:
        return spec
    entries = [_layer(entry) for entry in flags["layers"].split(",")]
    try:
        parse_layers(entries)
    except ValueError as error:
        raise UsageError(f"--layers: {error}", code="layers-needed") from error
    return spec.model_copy(update={"model": spec.model.model_copy(update={"layers": tuple(entries)})})


def _layer(text: str) -> str | dict[str, str]:
    op, separator, name = (part.strip() for part in text.partition(":"))
    return {op: name} if separator else op


def _run(plan: SavedGrowth, flags: dict[str, Any], reports: Any) -> int:  # noqa: ANN401
    started = time.perf_counter()
    from certify.certificates.certificate_file import save_certificate
    from certify.cli.growth_view import growth_view
    from certify.models.loading import Problem
    from certify.models.spec.problem_file import load_problem_file, problem_file_beside
    from certify.models.writers import output_notes, require_describable
    from certify.workflows.grow import GrowOptions, concluded, first_state
    from certify.workflows.growth_loop import grow_network
    from certify.workflows.threads import use_threads

    _require_writable(plan, flags, reports)
    load = Problem.from_scratch if plan.blank else Problem.from_files
    problem = load(plan.spec, flags["device"])
    notes = output_notes(plan.output, problem.graph, headed=problem.trunk is not None)
    require_describable(plan.output, problem.graph, headed=problem.trunk is not None)
    use_threads(flags["threads"], problem)
    options = GrowOptions(flags["from_scratch"], plan.prune, plan.state.seed, flags["failure_probability"])
    if plan.state.history:
        plan.require_fitting(problem, flags["resume"])
    else:
        plan = replace(plan, state=first_state(problem, options), data_sha256=problem.source.data_sha256)
    state_path, latest = flags["state"] or flags["resume"], [plan.state]
    loaded = time.perf_counter()
    with growth_view(plan.output, reports.quiet, reports.color) as view:

        def on_round(state: GrowthState) -> None:
            latest[0] = state
            view.round(state.history[-1])
            reports.round(state.history[-1])
            if state_path:
                _save(replace(plan, state=state), state_path)

        try:
            chance = options.failure_probability
            growth = grow_network(problem, plan.state, on_round, view.progress, plan.prune, chance)
        except KeyboardInterrupt:
            _keep(plan, problem, latest[0], state_path)
            raise
    _write(plan, problem, growth.network)
    written = Problem.from_files(load_problem_file(problem_file_beside(plan.output)), flags["device"])
    grown = concluded(written, growth, loaded, options, loaded - started)
    result = replace(grown.result, notes=(*grown.result.notes, *notes))
    if flags["certificate"] and grown.certificate is not None:
        save_certificate(flags["certificate"], grown.certificate)
        result = replace(result, certificate=flags["certificate"])
    if flags["plot"]:
        from certify.reports.growth_plot import write_growth_plot

        write_growth_plot(flags["plot"], growth.report, plan.output, plan.spec.tolerance.relative_gap)
    code = int(VERDICT_CODES[result.verdict])
    reports.grown(result, growth.report, code)
    return code


def _require_writable(plan: SavedGrowth, flags: dict[str, Any], reports: Any) -> None:  # noqa: ANN401
    from certify.models.spec.problem_file import problem_file_beside
    from certify.models.writers import ensure_writable

    outputs = (plan.output, flags["state"], flags["certificate"], flags["plot"], *reports.files.paths)
    companion = problem_file_beside(plan.output)
    # A blank model has no file to keep, and the problem file beside it is the output's own.
    read = [*([] if plan.blank else model_files(plan.spec)), *other_files(plan.spec, flags["problem"])]
    for path in (*outputs, str(companion)):
        if path:
            require_no_input(path, read)
            ensure_writable(path)
    if flags["plot"]:
        from certify.reports.growth_plot import require_plottable

        require_plottable(flags["plot"])


def _write(plan: SavedGrowth, problem: Any, network: Any) -> None:  # noqa: ANN401
    from certify.models.writers import write_problem_file

    problem.write(plan.output, network)
    headed = problem.trunk is not None
    write_problem_file(plan.output, plan.spec, problem.graph, problem.decomposition, headed=headed)


def _save(plan: SavedGrowth, path: str) -> None:
    """Write the state; a growth goes on without it."""
    try:
        plan.write(path)
    except UsageError as error:
        click.echo(f"certify: warning: {error}; growing on without a state", err=True)


def _keep(plan: SavedGrowth, problem: Any, state: GrowthState, state_path: str | None) -> None:  # noqa: ANN401
    """What an interruption leaves behind: the best network so far, and how to go on."""
    if not state.history:
        return
    _write(plan, problem, state.network)
    click.echo(f"certify: the best network so far is in {plan.output}", err=True)
    if state_path:
        click.echo(f"certify: go on with certify grow --resume {state_path}", err=True)
