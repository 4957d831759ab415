"""Archives that depend on their content only: no names, no times and no order of this machine."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Entry:
    """A file, or a link if it has a target."""

    path: str
    content: bytes = b""
    is_program: bool = False
    target: str | None = None


def tar(entries: Iterable[Entry], epoch: int, *, dot: bool = False) -> bytes:
    """A tar archive with these files and their folders. With `dot`, its paths begin with `./`, as Debian has them."""
    prefix = "./" if dot else ""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        folders: set[str] = set()
        if dot:
            archive.addfile(_folder("./", epoch))
        for entry in sorted(entries, key=lambda entry: entry.path):
            for parent in reversed(PurePosixPath(entry.path).parents[:-1]):
                if str(parent) not in folders:
                    folders.add(str(parent))
                    archive.addfile(_folder(f"{prefix}{parent}", epoch))
            info = tarfile.TarInfo(prefix + entry.path)
            info.mtime, info.mode, info.size = epoch, 0o755 if entry.is_program else 0o644, len(entry.content)
            if entry.target is not None:
                info.type, info.linkname, info.mode, info.size = tarfile.SYMTYPE, entry.target, 0o777, 0
            archive.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def gz(content: bytes, level: int) -> bytes:
    """Compressed, without a name or a time."""
    return gzip.compress(content, level, mtime=0)


def _folder(path: str, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, epoch
    return info
