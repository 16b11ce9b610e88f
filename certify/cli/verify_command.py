"""`certify verify CERTIFICATE…`: the independent re-check; needs neither torch nor a solver."""

from __future__ import annotations

import json
from typing import Any

import click

from certify.cli.each_file import for_each_file
from certify.cli.options import format_option, option
from certify.errors import ExitCode, UsageError
from certify.reports.terminal import inert_line, say

CODES = {"valid": ExitCode.OK, "invalid": ExitCode.NOT_CERTIFIED, "refused": ExitCode.REFUSED}


@click.command("verify", short_help="Independent re-check of certificate files against model and data.")
@click.argument("certificates", nargs=-1, required=True, metavar="CERTIFICATE...", type=click.Path())
@option("--model", type=click.Path(), help="Model file that the weights must be those of.")
@option("--data", type=click.Path(), multiple=True, help="Data file; twice for a .npy pair: inputs, then targets.")
@option("--problem", type=click.Path(), help="Problem file that it must be about, tolerance included; needs torch.")
@option("--relative-gap", type=float, help="Tolerance in place of the certificate's, relative.")
@option("--absolute-gap", type=float, help="Tolerance in place of the certificate's, absolute.")
@option("--exact", is_flag=True, help="Compute in integers and rigorous balls; needs python-flint, takes longer.")
@format_option("text", "json")
@click.pass_context
def verify_command(
    ctx: click.Context,
    /,
    certificates: tuple[str, ...],
    model: str | None,
    data: tuple[str, ...],
    format: str,
    **options: Any,  # noqa: ANN401
) -> None:
    """Recompute everything that each CERTIFICATE claims, with numpy alone and with rounding accounted for.

    The claim is about all widths: the network's objective is at most a, and no network with the same kind of
    subnetworks, however wide, has one below b. With --model and --data the weights and the data are also read again
    from the files and compared bit by bit; without them only the arrays inside the certificate are spoken of. With
    --problem everything that the certificate states is compared with a problem file and the files that it names.
    With several certificates, --format json writes one line for each.

    \b
    valid    every rule holds                                           exit 0
    invalid  a rule does not hold; says which                           exit 1
    refused  not a well-formed certificate, or too large for --exact    exit 5
    """  # noqa: D301 - \b keeps click from rewrapping
    if len(certificates) > 1 and (model or data or options["problem"]):
        raise UsageError("--model, --data and --problem belong to one certificate; verify them one at a time")

    def verified(path: str) -> ExitCode:
        from certify.reports.verification import verdict_lines, verdict_object
        from certify.workflows.verify import verify

        verdict = verify(path, model, data, **options)
        if format == "json":
            say(json.dumps(verdict_object(verdict, path)))
        else:
            say("\n".join(map(inert_line, verdict_lines(verdict, path))))
        return CODES[verdict.status]

    ctx.exit(for_each_file(certificates, verified))
