"""What damaged bytes raise while they are parsed, as one error."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import final

from certify.errors import RefusedError

# Found by truncating and flipping files.
DAMAGE = (zlib.error, struct.error, EOFError, OSError, ValueError, LookupError, RuntimeError)


@final
@dataclass(frozen=True, slots=True)
class DamageAsRefusal:
    """Context in which damage becomes a RefusedError.

    Attributes:
        where: the file, or a part of it, for the message.
        kind: what is damaged, where that is to be said.
        errors: what counts as damage.
    """

    where: str
    kind: str = ""
    errors: tuple[type[Exception], ...] = DAMAGE

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, self.errors):
            reason = " ".join(str(error).split())[:120]
            damage = f"truncated or corrupt {self.kind}".strip()
            raise RefusedError(f"{self.where}: {damage} ({reason})", code="corrupt-file") from error
