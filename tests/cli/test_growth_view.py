"""The view of a growth in a real pseudo-terminal, whose screen pyte computes, and off a terminal."""

import fcntl
import math
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte
import pytest

from certify.certificates.growth_report import GrowthRound
from certify.cli.growth_view import MOST_ROWS, growth_view, sparkline
from certify.progress import Progress

# Shows rounds of gap 2⁻ᵏ, each after a word on stdin, and says on stdout when it is ready for the next one.
SHOW = """
import math, sys
from certify.certificates.growth_report import GrowthRound
from certify.cli.growth_view import growth_view
from certify.progress import Progress

with growth_view("[b]net.pt", quiet=sys.argv[1] == "quiet", color=sys.argv[1] == "color") as view:
    for k, word in enumerate(sys.stdin):
        bound = 1 - 2.0**-k if k else -math.inf
        view.round(GrowthRound(k, 2 + k, 1.0, bound, None if k == 0 else 2.0**-k, 0.5 * k))
        view.progress(Progress("bounding", objective=1.0, lower_bound=bound, method="cones"))
        print("shown", k, flush=True)
"""
PATIENCE_SECONDS = 60.0


def _without_sizes():
    """The environment without the sizes that a parent's terminal may have left in it."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """A process whose stderr is a terminal of the given size."""

    def __init__(self, mode, columns=90, lines=30, **environment):
        self.screen = pyte.Screen(columns, lines)
        self.stream, self.raw = pyte.ByteStream(self.screen), b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.child = subprocess.Popen(
            [sys.executable, "-c", SHOW, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**_without_sizes(), "TERM": "xterm-256color", **environment},
        )
        os.close(slave)

    def rounds(self, count):
        """Have so many rounds shown."""
        self.child.stdin.write(b"next\n" * count)
        self.child.stdin.flush()

    def until(self, shown):
        """Read the terminal until `shown(text)` holds of its screen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not shown("\n".join(self.screen.display)):
            ready, _, _ = select.select([self.master], [], [], max(deadline - time.monotonic(), 0))
            going_on = bool(ready) and self._read() != b""
            assert going_on, f"never shown; the screen is\n{chr(10).join(self.screen.display)}"

    def end(self):
        """Close stdin, wait, and read what is left; returns exit code and stdout."""
        out, _ = self.child.communicate(timeout=PATIENCE_SECONDS)
        while select.select([self.master], [], [], 0)[0] and self._read():
            pass
        return self.child.returncode, out.decode()

    def lines(self):
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def _read(self):
        try:
            found = os.read(self.master, 65536)
        except OSError:  # how Linux ends a terminal that nobody holds open
            return b""
        self.raw += found
        self.stream.feed(found)
        return found


@pytest.fixture
def terminal():
    started = []

    def start(*arguments, **settings):
        started.append(Terminal(*arguments, **settings))
        return started[-1]

    yield start
    for entry in started:
        entry.child.kill()
        entry.child.communicate()
        os.close(entry.master)


def test_the_table_shows_the_latest_rounds_and_what_is_being_done(terminal):
    shown = terminal("color")
    shown.until(lambda text: "[b]net.pt: reading the landscape" in text)
    shown.rounds(20)
    shown.until(lambda text: "0.99999809 ≤ optimum ≤ 1, gap 0.00%  (cones)" in text and "\n   19 " in text)
    lines = shown.lines()
    assert lines[0].startswith("[b]net.pt   █")
    assert lines[1].split() == ["round", "width", "objective", "lower", "bound", "gap", "violation", "elapsed"]
    rounds = [int(line.split()[0]) for line in lines[3:-1]]
    assert rounds == list(range(20 - MOST_ROWS, 20))
    assert lines[-2].split() == ["19", "21", "1.0000000", "0.99999809", "1.91e-06", "1.9e-06", "9.5", "s"]
    assert shown.screen.cursor.hidden


def test_before_there_is_a_bound_a_dash_stands_for_it(terminal):
    shown = terminal("color")
    shown.rounds(1)
    shown.until(lambda text: "bounding: best objective 1  (cones)" in text)
    assert shown.lines()[2].split() == ["0", "2", "1.0000000", "–", "–", "–", "0.0", "s"]


def test_at_the_end_the_table_stays_and_the_cursor_is_back(terminal):
    shown = terminal("color")
    shown.rounds(3)
    code, out = shown.end()
    assert (code, out) == (0, "shown 0\nshown 1\nshown 2\n")
    assert [line.split()[0] for line in shown.lines()] == ["[b]net.pt", "round", "0", "1", "2"]
    assert not shown.screen.cursor.hidden


def test_an_interrupt_leaves_the_table_and_gives_the_cursor_back(terminal):
    shown = terminal("color")
    shown.rounds(2)
    shown.until(lambda text: "gap 50.00%" in text)
    assert shown.screen.cursor.hidden
    shown.child.send_signal(signal.SIGINT)
    shown.end()
    assert not shown.screen.cursor.hidden
    before = shown.lines()[: shown.lines().index("Traceback (most recent call last):")]
    assert [line.split()[0] for line in before] == ["[b]net.pt", "round", "0", "1"]


def test_a_low_terminal_is_not_overrun(terminal):
    shown = terminal("color", columns=53, lines=10)
    shown.rounds(20)
    shown.until(lambda text: text.startswith("[b]net.pt") and "\n   19 " in text and "gap 0.00%" in text)
    assert shown.lines()[1].split() == ["round", "width", "objective", "lower", "bound", "gap"]
    assert re.fullmatch("[⠁-⣿] bounding: .*…", shown.lines()[-1])


def test_colors_are_shown_unless_they_are_not_wanted(terminal):
    def colors(mode, **environment):
        shown = terminal(mode, **environment)
        shown.rounds(3)
        shown.end()
        return {cell.fg for row in shown.screen.buffer.values() for cell in row.values()} - {"default"}

    assert colors("color") == {"cyan"}
    assert colors("plain") == set()
    assert colors("color", NO_COLOR="1") == set()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(terminal):
    shown = terminal("color", TERM="dumb")
    shown.rounds(2)
    shown.end()
    assert [line.split()[0] for line in shown.lines()] == ["round", "0", "1"]
    assert b"\x1b" not in shown.raw


def test_quiet_shows_nothing(terminal):
    shown = terminal("quiet")
    shown.rounds(2)
    assert shown.end() == (0, "shown 0\nshown 1\n")
    assert shown.raw == b""


def rows():
    yield GrowthRound(0, 3, 12.5, -math.inf, None, 0.25)
    yield GrowthRound(1, 1234, -1.23456789e-5, -(2.0**-15), -3.5e-9, 12345.67)


def test_off_a_terminal_there_is_a_line_of_headings_and_one_aligned_line_per_round(capsys):
    with growth_view("net.pt", quiet=False, color=True) as view:
        for row in rows():
            view.progress(Progress("bounding", objective=row.objective, lower_bound=row.lower_bound, method="cones"))
            view.round(row)
    captured = capsys.readouterr()
    assert captured.out == ""
    # Objectives are rounded up, bounds down; 2⁻¹⁵ / 1.23456789e-5 − 1 = 1.4719….
    assert captured.err == (
        "round  width      objective    lower bound       gap  violation    elapsed\n"
        "    0      3      12.500000              –         –          –      0.2 s\n"
        "    1   1234 -1.2345678e-05 -3.0517579e-05  1.47e+00   -3.5e-09  12345.7 s\n"
    )


def test_quiet_off_a_terminal_is_silent(capsys):
    with growth_view("net.pt", quiet=True, color=False) as view:
        for row in rows():
            view.round(row)
    assert capsys.readouterr() == ("", "")


def test_the_sparkline_is_logarithmic_and_leaves_room_where_there_is_no_bound():
    assert sparkline([math.inf, 1.0, 1e-1, 1e-7, 1e-7], 10) == " █▇▁▁"
    assert sparkline([1.0, 1e-7, 1e-7], 2) == "▁▁"
    assert sparkline([math.inf], 5) == ""
    assert sparkline([0.3], 5) == "▁"
    assert sparkline([1.0, 0.0], 5) == "█▁"
