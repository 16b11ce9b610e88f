"""`certify verify CERTIFICATE`: the independent re-check; needs neither torch nor a solver."""

from __future__ import annotations

import json

import click

from certify.cli.options import option
from certify.errors import ExitCode

CODES = {"valid": ExitCode.OK, "invalid": ExitCode.NOT_CERTIFIED, "refused": ExitCode.REFUSED}


@click.command("verify", short_help="Independent re-check of a certificate file against model and data.")
@click.argument("certificate", type=click.Path())
@option("--model", type=click.Path(), help="Model file that the weights must be those of.")
@option("--data", type=click.Path(), multiple=True, help="Data file; twice for a .npy pair: inputs, then targets.")
@option("--exact", is_flag=True, help="Compute in integers and rigorous balls; needs python-flint, takes longer.")
@option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True, help="On stdout."
)
@click.pass_context
def verify_command(
    ctx: click.Context, certificate: str, model: str | None, data: tuple[str, ...], exact: bool, format_: str
) -> None:
    """Recompute everything that CERTIFICATE claims, with numpy alone and with rounding accounted for.

    The claim is about all widths: the network's objective is at most a, and no network with the same kind of
    subnetworks, however wide, has one below b. With --model and --data the weights and the data are also read again
    from the files and compared bit by bit; without them only the arrays inside the certificate are spoken of.

    \b
    valid    every rule holds                                           exit 0
    invalid  a rule does not hold; says which                           exit 1
    refused  not a well-formed certificate, or too large for --exact    exit 5
    """  # noqa: D301 - \b keeps click from rewrapping
    from certify.workflows.verify import verdict_lines, verdict_object, verify

    verdict = verify(certificate, model, data, exact=exact)
    if format_ == "json":
        click.echo(json.dumps(verdict_object(verdict, certificate)))
    else:
        click.echo("\n".join(verdict_lines(verdict, certificate)))
    ctx.exit(int(CODES[verdict.status]))
