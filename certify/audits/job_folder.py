"""What a job leaves in the folder of its process."""

from __future__ import annotations

import contextlib
from pathlib import Path

# What its function returned, and what it printed.
OUTCOME = "outcome.json"
LOG = "log"
# Of a check: the certificate that its result rests on, and while it runs how far it is.
CERTIFICATE = "certificate"
PROGRESS = "progress.json"


def certificate_in(folder: Path) -> bytes | None:
    """The certificate that a check left; None if it left none."""
    with contextlib.suppress(OSError):
        return (folder / CERTIFICATE).read_bytes()
    return None
