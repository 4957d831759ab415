"""Durations as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}


def seconds(duration: int | str | timedelta) -> int:
    """The whole seconds of a number of seconds, a timedelta, or a text such as '90s', '1h' or '1h 30m'."""
    total: float | None
    match duration:
        case timedelta():
            total = duration.total_seconds()
        case str():
            total = _of_text(duration)
        case _:
            total = duration
    if total is None or total < 0 or total != int(total):
        raise ValueError(
            f"{duration!r} is no duration: give whole seconds, a timedelta, or a text of numbers with s, m, h or d, "
            "such as '1h 30m'"
        )
    return int(total)


def _of_text(text: str) -> int | None:
    if not re.fullmatch(r"\s*(\d+\s*[smhd]\s*)+", text):
        return None
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)\s*([smhd])", text))
