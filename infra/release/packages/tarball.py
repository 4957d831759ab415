"""The tar archive: for everybody, and for Homebrew and cargo-binstall."""

from __future__ import annotations

from pathlib import Path

from .archive import Entry, gz, tar
from .release import LICENSES, Release


def make(release: Release) -> Path:
    name = f"tasklane-{release.version}-{release.target}"
    entries = [Entry(f"{name}/tasklane", release.program, is_program=True)]
    entries += [Entry(f"{name}/{file}", release.text(file)) for file in (*LICENSES, "README.md")]
    entries += [Entry(f"{name}/completions/{file}", script) for file, script in release.completions.items()]
    entries += [Entry(f"{name}/man/man1/{file}", page) for file, page in release.man_pages.items()]
    entries += [Entry(f"{name}/handlers/{file}", zip) for file, zip in release.handlers.items()]
    return release.artifact(f"{name}.tar.gz", gz(tar(entries, release.epoch), release.level))
