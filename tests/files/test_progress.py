import io
import re
from contextlib import redirect_stderr

import pytest

from tfpipeline.files import progress
from tfpipeline.files.progress import BYTES, DELAY, Progress, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """To stand for stderr; `now` is the time."""
    written = Terminal()
    written.now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: written.now)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return written


def screen(text):
    """The lines that a terminal shows in the end: its cursor moves up, and lines are erased."""
    lines, row, column = [""], 0, 0
    for own in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[^\x1b]", text):
        if own == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif own == "\r":
            column = 0
        elif own == "\x1b[2K":
            lines[row] = ""
        elif own.startswith("\x1b") and own.endswith("A"):
            row -= int(own[2:-1] or 1)
            assert row >= 0
        elif not own.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + own + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_a_bar_is_drawn_after_its_time_and_goes_at_the_end(terminal):
    with redirect_stderr(terminal), Progress("decoding [red]", 10, "clips", done=3) as bar:
        bar.advance()
        terminal.now = DELAY - 0.01
        bar.advance()
        assert terminal.getvalue() == ""
        terminal.now = DELAY
        bar.advance()
        (line,) = screen(terminal.getvalue())
        assert re.match(r"decoding \[red\] .* 6/10 clips 0:00:02", line)
        drawn = terminal.getvalue()
        bar.advance()  # too soon after the last drawing
        assert terminal.getvalue() == drawn
    assert screen(terminal.getvalue()) == []
    assert "\x1b[?25h" in terminal.getvalue()[len(drawn) :]  # the cursor is back


def test_rows_are_printed_between_drawings(terminal):
    with redirect_stderr(terminal), Progress("judging", None, "files") as bar:
        for row in range(4):
            terminal.now += 1.5
            bar.clear()
            print(f"row {row}", file=terminal)
            bar.advance()
        *rows, line = screen(terminal.getvalue())
        assert rows == ["row 0", "row 1", "row 2", "row 3"]
        assert " 4/? files" in line
    assert screen(terminal.getvalue()) == ["row 0", "row 1", "row 2", "row 3"]


def test_bytes_are_told_with_their_unit(terminal):
    with redirect_stderr(terminal), Progress("weights.bin", 4_000_000, BYTES) as bar:
        terminal.now = DELAY
        bar.advance(1_000_000)
        assert " 1.0/4.0 MB " in screen(terminal.getvalue())[0]


def test_items_are_counted(terminal):
    with redirect_stderr(terminal):
        for item in track("abcd", "reading", "files"):
            terminal.now += DELAY
            if item == "d":
                assert " 3/4 files" in screen(terminal.getvalue())[0]
    assert screen(terminal.getvalue()) == []


def test_nothing_is_written_where_stderr_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(progress, "PAUSE", 0)
    assert list(track("abc", "reading", "files")) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
