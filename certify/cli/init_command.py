"""`certify init MODEL`: write the problem file that a checkpoint suggests."""

from __future__ import annotations

from pathlib import Path

import click

from certify.cli.options import option
from certify.errors import UsageError
from certify.reports.terminal import say


@click.command("init", short_help="Write the problem file beside a model.")
@click.argument("model", type=click.Path())
@option("--data", type=click.Path(), help="Data file to name in it.")
@click.option("--output", "-o", type=click.Path(), help="Where to write; default MODEL with suffix .problem.yaml.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init_command(model: str, data: str | None, output: str | None, force: bool) -> None:
    """Write a commented problem file from what MODEL shows; then edit it and run `certify check MODEL`."""
    from certify.models.spec.init_file import draft_problem_file
    from certify.models.spec.problem_file import problem_file_beside
    from certify.whole_file import write_whole

    if not Path(model).is_file():
        raise UsageError(f"{model}: no such file", code="missing-file")
    target = Path(output) if output else problem_file_beside(model)
    if target.exists() and not force:
        raise UsageError(f"{target} exists; use --force to overwrite it, or -o PATH", code="exists")
    text = draft_problem_file(model, data)
    write_whole(target, text.encode())
    say(f"wrote {target}; look it over, then: certify check {model}")
