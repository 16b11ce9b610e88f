"""Write docs/reference/cli.md from the help text of every command: python docs/build_cli_reference.py."""

from __future__ import annotations

from pathlib import Path

import click

from certify.cli.main import cli

TARGET = Path(__file__).parent / "reference" / "cli.md"
WIDTH = 88
HEADER = """# Command line

Generated from the help text by `docs/build_cli_reference.py`; do not edit.

Results go to stdout and nothing else does; progress, warnings and errors go to stderr. Most flags can be set by an
environment variable as well: `--relative-gap` by `CERTIFY_RELATIVE_GAP`, and so on; `check --help` shows which flags
there are. `NO_COLOR` turns styles off, and `CERTIFY_DEBUG=1` shows the traceback of an internal error. Codes of the
process: [exit codes](exit-codes.md).
"""


def cli_reference() -> str:
    """The page, in the order in which the commands are registered."""
    sections = [("certify", cli), *((f"certify {name}", command) for name, command in cli.commands.items())]
    return HEADER + "".join(_section(title, command) for title, command in sections)


def _section(title: str, command: click.Command) -> str:
    context = click.Context(
        command, info_name=title, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=["-h", "--help"]
    )
    help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"\n## `{title}`\n\n```text\n{help_text}\n```\n"


if __name__ == "__main__":
    TARGET.write_text(cli_reference(), encoding="utf-8")
