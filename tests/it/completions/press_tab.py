"""Types a line into a new interactive shell, presses Tab, and waits until the shell shows the text that is wanted.

Usage: press_tab.py WANTED LINE SHELL [ARGUMENT…]
"""

import os
import pty
import re
import select
import sys
import time

wanted, line, *shell = sys.argv[1:]
PATIENCE = 30
SEQUENCES = re.compile(r"\x1b\[[0-9;?=>]*[A-Za-z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\\\)|\x1b[()][A-Z0-9]|\x1b[=>]|[\x07\x08\x0e\x0f]")
READY = "shell-is-ready"

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(shell[0], shell)

seen = ""


def read_until(text):
    """Reads until the text has come."""
    global seen
    until = time.monotonic() + PATIENCE
    while text not in SEQUENCES.sub("", seen):
        if not select.select([terminal], [], [], max(until - time.monotonic(), 0))[0]:
            sys.exit(f"{shell[0]} shows no {text!r}, but {seen!r}")
        try:
            seen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            sys.exit(f"{shell[0]} ended: {seen!r}")


# What is typed is shown, too: only the shell itself puts the two halves together.
os.write(terminal, b"echo shell-'is-ready'\n")
read_until(READY)
seen = ""
os.write(terminal, line.encode() + b"\t")
read_until(wanted)
os.kill(pid, 9)
