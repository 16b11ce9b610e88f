"""Pickles read as data: the opcodes are interpreted over inert values, so that nothing is imported, called or built.

What a pickle would import becomes a `Global`, what it would call a `Call`, and what it leaves to its reader a
`Persistent`.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from dataclasses import dataclass
from typing import final

from certify.errors import RefusedError
from certify.models.readers.damage import DamageAsRefusal
from certify.models.readers.torch_files.pickle_machine import Machine
from certify.models.readers.torch_files.pickle_values import Persistent

# Most opcodes interpreted: bounds time (some seconds) and memory (some hundred MiB).
MAX_OPERATIONS = 2_000_000


@final
@dataclass(frozen=True, slots=True)
class Pickle:
    """A pickle, read.

    Attributes:
        value: made of None, bool, int, float, str, bytes, list, tuple, dict, Global, Call and Persistent.
        called: what it would call, in order, each once; `?` for what is no name.
        imported: what it would import, in order, each once.
        persistent: what it leaves to its reader, in order.
        end: position behind its last byte.
    """

    value: object
    called: tuple[str, ...]
    imported: tuple[str, ...]
    persistent: tuple[Persistent, ...]
    end: int


def read_pickle(content: bytes, where: str, start: int = 0) -> Pickle:
    """Read the pickle that starts at `start`.

    Raises:
        RefusedError: damaged, or too long.
    """
    stream = io.BytesIO(content)
    stream.seek(start)
    machine = Machine()
    with DamageAsRefusal(where, "pickle", (ValueError, LookupError, TypeError, OverflowError)):
        with warnings.catch_warnings():
            # Of escapes in text that are none.
            warnings.simplefilter("ignore")
            for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                if count >= MAX_OPERATIONS:
                    raise RefusedError(f"{where}: its pickle has over {MAX_OPERATIONS} operations", code="over-limit")
                machine.step(opcode.name, argument)
        (value,) = machine.stack
    return Pickle(value, tuple(machine.called), tuple(machine.imported), tuple(machine.left), stream.tell())
