"""What the process of a pack of cones does: grow the subtrees on them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import torch

from certify.audits.job_folder import LEFT
from certify.bounds.rows.cones.cone_packs import refined


def refine_pack(folder: Path, pack: str) -> dict[str, Any]:
    """Leave the result of a pack, base64, in the folder of this process alone."""
    torch.set_num_threads(1)
    (folder / LEFT).write_bytes(refined(base64.b64decode(pack)))
    return {}
