"""One growth from its plan to its report: load, grow, write the model, verify its certificate."""

from __future__ import annotations

import time
from dataclasses import replace

from certify.bounds.labor import Labor
from certify.certificates.gravity import VERDICT_CODES
from certify.cli.flags import GrowFlags
from certify.cli.growth_view import growth_view
from certify.cli.problem_choice import files_read, require_writable
from certify.cli.report_choice import Reports
from certify.errors import UsageError
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file, problem_file_beside
from certify.models.writers import output_notes, require_describable, write_problem_file
from certify.problem import ParallelNetwork
from certify.reports.growth_plot import require_plottable, write_growth_plot
from certify.reports.terminal import say
from certify.whole_file import write_whole
from certify.workflows.checkpoint import Checkpoint
from certify.workflows.cone_crews import crew_for, search_memory
from certify.workflows.grow import concluded, first_state
from certify.workflows.growth_loop import GrowOptions, Growth, GrowthState, grow_network
from certify.workflows.growth_state import SavedGrowth
from certify.workflows.threads import use_threads


def run_growth(plan: SavedGrowth, flags: GrowFlags, reports: Reports) -> int:
    """Grow, write everything that the flags ask for, and report; returns the exit code.

    Raises:
        CertifyError: before any work, what is asked cannot be done; after it, a file cannot be written.
        KeyboardInterrupt: the best network so far was written.
    """
    started = time.perf_counter()
    _require_outputs(plan, flags, reports)
    load = Problem.from_scratch if plan.blank else Problem.from_files
    problem = load(plan.spec, flags.run.device)
    notes = output_notes(plan.output, problem.graph, headed=problem.trunk is not None)
    require_describable(plan.output, problem.graph, headed=problem.trunk is not None)
    use_threads(flags.run.threads, problem)
    options = GrowOptions(
        from_scratch=flags.from_scratch,
        prune=plan.prune,
        seed=plan.state.seed,
        failure_probability=flags.run.failure_probability,
        checkpoint=Checkpoint(flags.checkpoint, problem, _warn) if flags.checkpoint else None,
    )
    if flags.resume and plan.state.history:
        plan.require_fitting(problem, flags.resume)
    else:
        plan = replace(plan, state=first_state(problem, options), data_sha256=problem.source.data_sha256)
    loaded = time.perf_counter()
    with crew_for(problem, flags.run.threads, flags.cluster) as crew:
        shared = replace(options, labor=Labor(crew, memory_bytes=search_memory()))
        growth = _grown(plan, problem, shared, flags, reports)
    _write(plan, problem, growth.network)
    written = Problem.from_files(load_problem_file(problem_file_beside(plan.output)), flags.run.device)
    grown = concluded(written, growth, loaded, options, load_seconds=loaded - started)
    result = replace(grown.result, notes=(*grown.result.notes, *notes))
    if flags.certificate and grown.certificate is not None:
        write_whole(flags.certificate, grown.certificate)
        result = replace(result, certificate=flags.certificate)
    if flags.plot:
        write_growth_plot(flags.plot, growth.report, plan.output, plan.spec.tolerance.relative_gap)
    code = int(VERDICT_CODES[result.verdict])
    reports.grown(result, growth.report, code)
    return code


def _require_outputs(plan: SavedGrowth, flags: GrowFlags, reports: Reports) -> None:
    outputs = (plan.output, flags.state, flags.checkpoint, flags.certificate, flags.plot, *reports.files.paths)
    # A blank model has no file to keep, and the problem file beside it is the output's own.
    read = files_read(plan.spec, flags.problem, blank=plan.blank)
    require_writable((*outputs, str(problem_file_beside(plan.output))), read)
    if flags.plot:
        require_plottable(flags.plot)


def _grown(plan: SavedGrowth, problem: Problem, options: GrowOptions, flags: GrowFlags, reports: Reports) -> Growth:
    """The end of the loop; every round is shown, reported and kept in the state."""
    state_path, latest = flags.state or flags.resume, plan.state
    with growth_view(plan.output, quiet=flags.report.quiet, color=flags.report.color) as view:

        def on_round(state: GrowthState) -> None:
            nonlocal latest
            latest = state
            view.round(state.history[-1])
            reports.round(state.history[-1])
            if state_path:
                _save(replace(plan, state=state), state_path)

        try:
            return grow_network(problem, plan.state, on_round, options, view.progress)
        except KeyboardInterrupt:
            _keep(plan, problem, latest, flags)
            raise


def _write(plan: SavedGrowth, problem: Problem, network: ParallelNetwork) -> None:
    problem.write(plan.output, network)
    headed = problem.trunk is not None
    write_problem_file(plan.output, plan.spec, problem.graph, problem.decomposition, headed=headed)


def _save(plan: SavedGrowth, path: str) -> None:
    """Write the state; a growth goes on without it."""
    try:
        plan.write(path)
    except UsageError as error:
        _warn(f"{error}; growing on without a state")


def _warn(message: str) -> None:
    say(f"certify: warning: {message}", err=True)


def _keep(plan: SavedGrowth, problem: Problem, state: GrowthState, flags: GrowFlags) -> None:
    """What an interruption leaves behind: the best network so far, and how to go on."""
    if not state.history:
        return
    _write(plan, problem, state.network)
    say(f"certify: the best network so far is in {plan.output}", err=True)
    kept = f" --checkpoint {flags.checkpoint}" if flags.checkpoint else ""
    if state_path := flags.state or flags.resume:
        say(f"certify: go on with certify grow --resume {state_path}{kept}", err=True)
    elif kept:
        say(f"certify: go on with the same command, with{kept}", err=True)
