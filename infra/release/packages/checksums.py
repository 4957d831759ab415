"""The checksums of all artifacts, as `sha256sum --check` reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .release import Release


def make(release: Release, artifacts: list[Path]) -> Path:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in artifacts]
    return release.artifact("SHA256SUMS", "".join(sorted(lines, key=lambda line: line.split()[1])).encode())
