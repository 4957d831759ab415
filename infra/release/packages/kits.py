"""The kits for tests (infra/testing-kits), for npm and PyPI. They are the same for every platform."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from . import npm, wheel
from .archive import Entry
from .release import Refused, Release

_JAVASCRIPT, _PYTHON = "infra/testing-kits/js", "infra/testing-kits/python"


def make(release: Release) -> list[Path]:
    return [_javascript(release), _python(release)]


def _javascript(release: Release) -> Path:
    manifest = json.loads(release.text(f"{_JAVASCRIPT}/package.json"))
    _must_agree(release, manifest["version"], f"{_JAVASCRIPT}/package.json")
    files = [Entry(f"package/{name}", release.text(f"{_JAVASCRIPT}/{name}")) for name in manifest["files"]]
    return npm.pack(release, manifest, files, f"{_JAVASCRIPT}/README.md")


def _python(release: Release) -> Path:
    project = tomllib.loads(release.text(f"{_PYTHON}/pyproject.toml").decode())["project"]
    _must_agree(release, project["version"], f"{_PYTHON}/pyproject.toml")
    root = release.repository / _PYTHON
    modules = sorted(path for path in (root / "tasklane_testing").iterdir() if path.suffix == ".py" or path.name == "py.typed")
    files = {str(path.relative_to(root)): path.read_bytes() for path in modules}
    about = [f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in named.items())
        for group, named in project["entry-points"].items()
    )
    readme = release.text(f"{_PYTHON}/README.md")
    return wheel.write(release, project["name"], ["any"], files, about, readme, points)


def _must_agree(release: Release, version: str, manifest: str) -> None:
    if version != release.version:
        raise Refused(f"{manifest} has version {version}, and Cargo.toml has {release.version}: change it there, too")
