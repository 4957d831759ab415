"""The wheel for PyPI, with the program as a script, as maturin's `bindings = "bin"` lays it out."""

from __future__ import annotations

import base64
import hashlib
import io
import time
import zipfile
from pathlib import Path

from .release import LICENSES, Release

#: The oldest glibc for which there is a tag.
_OLDEST = (2, 17)


def make(release: Release) -> Path:
    script = f"tasklane-{release.version}.data/scripts/tasklane"
    share = f"tasklane-{release.version}.data/data/share/tasklane/handlers"
    handlers = {f"{share}/{file}": content for file, content in release.handlers.items()}
    about = [f"Summary: {release.description}", "Classifier: Operating System :: POSIX :: Linux"]
    return write(release, "tasklane", _tags(release), {script: release.program, **handlers}, about, release.text("README.md"))


def write(
    release: Release,
    name: str,
    tags: list[str],
    files: dict[str, bytes],
    about: list[str],
    readme: bytes,
    entry_points: str | None = None,
) -> Path:
    """A wheel with these files, and lines of metadata besides those that each one has."""
    stem = f"{name.replace('-', '_')}-{release.version}"
    info = f"{stem}.dist-info"
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {release.version}"]
    lines += [f"License-Expression: {release.license}", *(f"License-File: {file}" for file in LICENSES), *about]
    lines.append("Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM")
    is_pure = "true" if tags == ["any"] else "false"
    wheel = ["Wheel-Version: 1.0", "Generator: infra/release", f"Root-Is-Purelib: {is_pure}"]
    wheel += [f"Tag: py3-none-{tag}" for tag in tags]
    files = {**files, f"{info}/METADATA": _lines(lines) + b"\n" + readme, f"{info}/WHEEL": _lines(wheel)}
    if entry_points is not None:
        files[f"{info}/entry_points.txt"] = entry_points.encode()
    files |= {f"{info}/licenses/{file}": release.text(file) for file in LICENSES}
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return release.artifact(f"{stem}-py3-none-{'.'.join(tags)}.whl", _zip(files, release))


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _tags(release: Release) -> list[str]:
    machine, glibc = release.platform.machine, release.elf.glibc()
    if glibc is None:
        # It needs nothing of the system.
        return [f"manylinux_2_17_{machine}", f"musllinux_1_1_{machine}"]
    major, minor = max(glibc, _OLDEST)
    return [f"manylinux_{major}_{minor}_{machine}"]


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _zip(files: dict[str, bytes], release: Release) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            # A zip file knows no earlier time.
            entry = zipfile.ZipInfo(path, time.gmtime(max(release.epoch, 315_532_800))[:6])
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            entry.create_system = 3
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, release.level)
    return buffer.getvalue()
