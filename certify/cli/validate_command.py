"""`certify validate FILE…`: problem files without the models and data that they name; fast, for pre-commit."""

from __future__ import annotations

import click

from certify.cli.each_file import for_each_file
from certify.errors import ExitCode
from certify.reports.terminal import say


@click.command("validate", short_help="Check problem and audit files, without the models and data they name.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--quiet", "-q", is_flag=True, help="Print faults only.")
@click.pass_context
def validate_command(ctx: click.Context, files: tuple[str, ...], quiet: bool) -> None:
    """Check each FILE against the schema that it names: keys, kinds of values, ranges.

    Nothing else is read, so that it works where models and data are elsewhere. Every fault is shown with file, line
    and column. Exit code 0 where all files are valid, else 2.
    """

    def validated(path: str) -> ExitCode:
        from certify.workflows.validate import validate

        schema = validate(path)
        if not quiet:
            say(f"{path}: valid {schema}")
        return ExitCode.OK

    ctx.exit(for_each_file(files, validated))
