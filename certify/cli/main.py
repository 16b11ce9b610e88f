"""`certify`: the group of commands, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import click

from certify.cli.audit_command import audit_command
from certify.cli.check_command import check_command
from certify.cli.explain_command import explain_command
from certify.cli.grow_command import grow_command
from certify.cli.init_command import init_command
from certify.cli.inspect_command import inspect_command
from certify.cli.validate_command import validate_command
from certify.cli.verify_command import verify_command
from certify.errors import CertifyError, ExitCode
from certify.reports.terminal import say
from certify.version import __version__

COMMANDS = (
    check_command,
    grow_command,
    audit_command,
    inspect_command,
    init_command,
    explain_command,
    verify_command,
    validate_command,
)


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="certify")
def cli() -> None:
    """Certify that a trained model is globally optimal, or find what would improve it.

    The optimum that certify speaks of is over ALL widths: a certificate says that no network with the same kind of
    subnetworks, however wide, has an objective below the proven bound.

    Exit codes: 0 certified, 1 not certified, 2 usage, 3 undecided, 4 unsupported, 5 input refused, 70 internal.
    """


def main() -> None:
    """Run the command line; never a traceback unless CERTIFY_DEBUG is set."""
    try:
        code = cli.main(prog_name="certify", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _complain("interrupted", ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except CertifyError as error:
        code = _complain(f"error: {error.report}", error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.NOT_CERTIFIED
    except Exception as error:  # noqa: BLE001 - the one place that may catch everything
        if os.environ.get("CERTIFY_DEBUG"):
            traceback.print_exc()
        text = f"internal error: {type(error).__name__}: {error} (set CERTIFY_DEBUG=1 for the traceback)"
        code = _complain(text, ExitCode.INTERNAL)
    sys.exit(int(code or 0))


def _complain(message: str, code: ExitCode) -> ExitCode:
    say(f"certify: {message}", err=True)
    return code
