"""The formula for Homebrew on Linux."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .release import Release


def make(release: Release, tarball: Path, downloads: str) -> Path:
    """With the tar archive below this URL."""
    values = {
        "DESCRIPTION": release.description,
        "VERSION": release.version,
        "DOWNLOADS": downloads.rstrip("/"),
        "TARBALL": tarball.name,
        "SHA256": hashlib.sha256(tarball.read_bytes()).hexdigest(),
    }
    formula = release.text("infra/release/tasklane.rb.in").decode()
    for name, value in values.items():
        formula = formula.replace(f"@{name}@", value)
    return release.artifact(f"tasklane-{release.platform.machine}.rb", formula.encode())
