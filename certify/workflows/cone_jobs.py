"""What the process of a pack of cones does: grow the subtrees on them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import torch

from certify.audits.job_folder import LEFT
from certify.bounds.rows.cones.cone_packs import refined


def be_ready(folder: Path) -> dict[str, Any]:
    """Show that the modules are imported and processes start."""
    return {}


def refine_file(folder: Path, path: str) -> dict[str, Any]:
    """Leave the result of the pack in a file in the folder of this process alone."""
    return _refine(folder, Path(path).read_bytes())


def refine_text(folder: Path, text: str) -> dict[str, Any]:
    """The same for a pack in base64."""
    return _refine(folder, base64.b64decode(text))


def _refine(folder: Path, pack: bytes) -> dict[str, Any]:
    torch.set_num_threads(1)
    (folder / LEFT).write_bytes(refined(pack))
    return {}
