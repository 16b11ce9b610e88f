"""Work with a checkpoint that is stopped as if it were killed."""

import contextlib

import pytest

from certify.workflows.checkpoint import Checkpoint


class Stop(Exception):
    """Stands for a kill."""


def refuse(message):
    """A checkpoint's complaint, where none is expected."""
    raise AssertionError(message)


@contextlib.contextmanager
def stopped_after(writes, monkeypatch):
    """What runs within is due to write at all times, and must stop after so many states."""
    written = Checkpoint.write

    def write(self, *arguments):
        nonlocal writes
        written(self, *arguments)
        writes -= 1
        if writes == 0:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "due", lambda self: True)
        patch.setattr(Checkpoint, "write", write)
        with pytest.raises(Stop):
            yield
