"""The packages for npm: one with the program for each platform, and one that finds it. Neither runs anything when it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .archive import Entry, gz, tar
from .release import LICENSES, PLATFORMS, Release


def make(release: Release) -> list[Path]:
    names = {machine: f"@tasklane/linux-{platform.npm}" for machine, platform in PLATFORMS.items()}
    own = names[release.platform.machine]
    common = {"version": release.version, "description": release.description, "license": release.license}
    # Node.js knows the libc of its own build only, so a program for glibc is not offered to Alpine.
    libc = {} if release.libc == "musl" else {"libc": ["glibc"]}
    with_program = {"name": own, **common, "os": ["linux"], "cpu": [release.platform.npm], **libc}
    launcher = {
        "name": "tasklane",
        **common,
        "bin": {"tasklane": "tasklane.js"},
        "engines": {"node": ">=20"},
        "optionalDependencies": {name: release.version for name in sorted(names.values())},
    }
    script = release.text("infra/release/npm/tasklane.js")
    handlers = [Entry(f"package/share/tasklane/handlers/{file}", zip) for file, zip in release.handlers.items()]
    return [
        pack(release, launcher, [Entry("package/tasklane.js", script, is_program=True)]),
        pack(release, with_program, [Entry("package/bin/tasklane", release.program, is_program=True), *handlers]),
    ]


def pack(release: Release, manifest: dict[str, Any], files: list[Entry], readme: str = "README.md") -> Path:
    """A package with this manifest, these files and what every package has."""
    entries = [Entry("package/package.json", (json.dumps(manifest, indent=2) + "\n").encode()), *files]
    entries += [Entry(f"package/{file}", release.text(file)) for file in LICENSES]
    entries.append(Entry("package/README.md", release.text(readme)))
    file = f"{manifest['name'].lstrip('@').replace('/', '-')}-{release.version}.tgz"
    return release.artifact(file, gz(tar(entries, release.epoch), release.level))
