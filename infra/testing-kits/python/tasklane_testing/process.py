"""A `tasklane dev` process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from queue import Empty, Queue
from time import monotonic
from typing import Any

_KEPT_LINES = 400

# How long to wait for what a program that has ended said, in seconds. A process that it started may still hold its stderr.
_LAST_WORDS = 5


class Process:
    """It ends when this process does, because its stdin ends then."""

    def __init__(self, binary: str, args: list[str], env: dict[str, str], echo: bool) -> None:
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._echo = echo
        # None after the last one.
        self._events: Queue[dict[str, Any] | str | None] = Queue()
        pipe = subprocess.PIPE
        try:
            self._child = subprocess.Popen(
                [binary, *args], stdin=pipe, stdout=pipe, stderr=pipe, env=env, text=True, encoding="utf-8"
            )
        except FileNotFoundError:
            raise RuntimeError(
                f"tasklane is not there ({binary}): install it, or say where it is with the option `binary` or the "
                "environment variable TASKLANE_BIN"
            ) from None
        self._readers = [
            threading.Thread(target=read, daemon=True) for read in (self._read_events, self._read_what_it_says)
        ]
        for reader in self._readers:
            reader.start()

    def events(self, names: set[str], patience: float) -> dict[str, dict[str, Any]]:
        """Waits for these events, which it prints as lines of JSON."""
        found: dict[str, dict[str, Any]] = {}
        deadline = monotonic() + patience
        while not names <= found.keys():
            try:
                event = self._events.get(timeout=max(0.0, deadline - monotonic()))
            except Empty:
                raise self._failed(f"was not ready after {patience:g} s") from None
            if event is None:
                status = self._child.wait()
                # What it said last may still be on its way.
                self._readers[1].join(_LAST_WORDS)
                raise self._failed(f"ended with status {status}")
            if isinstance(event, str):
                raise self._failed(f"printed a line that is not JSON: {event}")
            found[event.get("event", "")] = event
        return found

    def stop(self, patience: float) -> None:
        """Ends it by ending its stdin, and kills it if that does not help in time."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass
        try:
            status = self._child.wait(patience)
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = self._child.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()
        if status != 0:
            raise self._failed(f"ended with status {status}")

    def _read_events(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            try:
                self._events.put(json.loads(line))
            except ValueError:
                self._events.put(line)
        self._events.put(None)

    def _read_what_it_says(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            self._said.append(line)
            if self._echo:
                sys.stderr.write(line)

    def _failed(self, what: str) -> RuntimeError:
        return RuntimeError(f"tasklane {what}\n--- what it said\n{''.join(self._said) or '(nothing)'}")
