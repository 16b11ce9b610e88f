"""`certify audit AUDIT.yaml`: parse, plan or run, report, exit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from certify.certificates.gravity import FAILURES
from certify.cli.flags import AuditFlags, parsed
from certify.cli.options import option, report_flags
from certify.cli.termination import terminations_as_interrupts
from certify.errors import UsageError
from certify.reports.terminal import say

if TYPE_CHECKING:
    from certify.audits.cache import CachePlace
    from certify.audits.plan import Plan
    from certify.workflows.audit import AuditOptions
    from certify.workflows.audit_cluster import ClusterPool


@click.command("audit", short_help="A batch of checks, in parallel, cached, resumable.")
@click.argument("audit", metavar="AUDIT.yaml", type=click.Path())
@click.option("--plan", is_flag=True, help="Print what would run, its cost and what the cache knows; run nothing.")
@option("--jobs", "-j", type=click.IntRange(1), help="Items at a time on the CPU; default: one per core.")
@option("--device", default="cpu", show_default=True, metavar="DEVICE", help="cpu, cuda:N, or cuda:0,cuda:1.")
@option("--threads", type=click.IntRange(1), help="CPU threads of each item; default: cores divided by jobs.")
@option("--seed", type=int, default=0, show_default=True, help="Seed of all randomness.")
@option("--cache", type=click.Path(), help="Folder, or .jsonl file; default .certify_cache beside AUDIT.yaml.")
@click.option("--no-cache", is_flag=True, help="Take no verdict from earlier audits.")
@click.option("--resume", is_flag=True, help="Go on with the last audit of this file, which was interrupted.")
@click.option("--only", multiple=True, metavar="NAME", help="Only items of this name or pattern; repeatable.")
@click.option("--allow-empty", is_flag=True, help="Accept a glob that matches nothing.")
@click.option("--fail-fast", "-x", is_flag=True, help="Stop at the first item that counts.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(list(FAILURES)),
    help="Only these count for the exit code; repeatable.",
)
@option("--cluster", metavar="ADDRESS", help="Run on the workers of this Dask scheduler, address or scheduler file.")
@option("--baseline", type=click.Path(), help="Fail only on what is worse than in this file.")
@click.option("--update-baseline", is_flag=True, help="Write the baseline from this audit.")
@report_flags
@click.pass_context
def audit_command(ctx: click.Context, /, audit: str, **found: Any) -> None:  # noqa: ANN401
    """Check every model that AUDIT.yaml names, each in a process of its own with hard limits.

    Items whose model, data, problem and version of certify have not changed are answered from the cache, after their
    certificates have been verified again.

    Exit code: the gravest of all items by 70 > 5 > 2 > 4 > 1 > 3 > 0; 130 when interrupted.
    """
    from certify.audits.cache import CachePlace
    from certify.audits.plan import load_plan

    flags = parsed(AuditFlags, found)
    if flags.update_baseline and not flags.baseline:
        raise UsageError("--update-baseline needs --baseline FILE")
    plan = load_plan(audit, allow_empty=flags.allow_empty).only(flags.only)
    place = CachePlace.of(flags.cache, plan.path)
    if flags.plan:
        _print_plan(plan, place, flags)
    else:
        ctx.exit(_run(plan, _options(place, flags), flags))


def _options(place: CachePlace, flags: AuditFlags) -> AuditOptions:
    from certify.audits.audit_file import known_device
    from certify.workflows.audit import AuditOptions
    from certify.workflows.audit_pool import Settings, available_cores

    try:
        devices = tuple(known_device(flags.device).split(","))
    except ValueError as error:
        raise UsageError(f"--device: {error}", code="device") from error
    return AuditOptions(
        cache=place,
        settings=Settings(
            jobs=flags.jobs or available_cores(), devices=devices, seed=flags.seed, threads=flags.threads
        ),
        use_cache=not flags.no_cache,
        resume=flags.resume,
        fail_fast=flags.fail_fast,
        fail_on=flags.fail_on,
        baseline=Path(flags.baseline) if flags.baseline else None,
        update_baseline=flags.update_baseline,
    )


def _run(plan: Plan, options: AuditOptions, flags: AuditFlags) -> int:
    from certify.cli.audit_progress import audit_view
    from certify.cli.audit_reports import AuditReports
    from certify.workflows.audit import run_audit

    reports = AuditReports(flags.report, flags.baseline)
    with (
        terminations_as_interrupts(),
        audit_view(len(plan.items), quiet=flags.report.quiet, color=flags.report.color) as view,
    ):
        result = run_audit(plan, options, reports.watched(view), _cluster(flags.cluster, options))
    reports.finish(result)
    return result.exit_code


def _cluster(address: str | None, options: AuditOptions) -> ClusterPool | None:
    from certify.workflows.audit_cluster import ClusterPool

    return ClusterPool(address, options.settings) if address else None


def _print_plan(plan: Plan, place: CachePlace, flags: AuditFlags) -> None:
    from certify.reports.audit_plan import plan_lines, plan_object
    from certify.reports.result_json import to_json
    from certify.workflows.audit_plan import forecast

    found = forecast(plan, _options(place, flags))
    if flags.report.format in ("json", "jsonl"):
        say(to_json(plan_object(str(plan.path), found)))
    else:
        say("\n".join(plan_lines(str(plan.path), found)))
