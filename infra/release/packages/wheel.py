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
    name, tags = f"tasklane-{release.version}", _tags(release)
    info = f"{name}.dist-info"
    metadata = (
        "Metadata-Version: 2.4\nName: tasklane\n"
        f"Version: {release.version}\nSummary: {release.description}\n"
        f"License-Expression: {release.license}\n"
        + "".join(f"License-File: {file}\n" for file in LICENSES)
        + "Classifier: Operating System :: POSIX :: Linux\n"
        "Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM\n\n" + release.text("README.md").decode()
    )
    wheel = "Wheel-Version: 1.0\nGenerator: infra/release\nRoot-Is-Purelib: false\n"
    files = {f"{name}.data/scripts/tasklane": release.program, f"{info}/METADATA": metadata.encode()}
    files[f"{info}/WHEEL"] = (wheel + "".join(f"Tag: py3-none-{tag}\n" for tag in tags)).encode()
    files |= {f"{info}/licenses/{file}": release.text(file) for file in LICENSES}
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return release.artifact(f"{name}-py3-none-{'.'.join(tags)}.whl", _zip(files, release))


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
