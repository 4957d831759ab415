"""What a program for Linux needs from the system."""

from __future__ import annotations

import re
import struct
from pathlib import Path

_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
_DYNAMIC, _INTERPRETER = 2, 3


class NotElf(ValueError):
    """This is no 64-bit program for Linux that we know."""


class Elf:
    """The head of a program."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                raise NotElf(f"{path} is no 64-bit program for Linux")
            machine = struct.unpack_from("<H", head, 18)[0]
            if machine not in _MACHINES:
                raise NotElf(f"{path} is for a machine that nothing is published for (ELF machine {machine:#x})")
            self.machine = _MACHINES[machine]
            offset, (size, count) = struct.unpack_from("<Q", head, 32)[0], struct.unpack_from("<HH", head, 54)
            file.seek(offset)
            table = file.read(size * count)
        kinds = [struct.unpack_from("<I", table, size * index)[0] for index in range(count)]
        #: Whether the system's loader finds libraries for it when it starts.
        self.is_dynamic = _INTERPRETER in kinds
        self._path = path

    def glibc(self) -> tuple[int, int] | None:
        """The oldest glibc that it starts with; None if it needs none."""
        if not self.is_dynamic:
            return None
        # The names of the versions that it needs, between the other names of the dynamic section.
        needed = re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)", self._path.read_bytes())
        if not needed:
            raise NotElf(f"{self._path} needs libraries, but not glibc: nothing says on which systems it starts")
        return max((int(major), int(minor)) for major, minor in needed)
