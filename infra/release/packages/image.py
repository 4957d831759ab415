"""The container image, as an OCI image layout in a tar archive. Nothing but Python makes it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .archive import Entry, gz, tar
from .release import LICENSES, Refused, Release

# What src/local/lambda/watchdog.rs calls, which ends the Functions of a service that was killed.
_NEEDED = ("sh", "grep", "rm", "rmdir", "sleep")

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def make(release: Release, programs: list[str]) -> Path:
    """With these programs of this machine besides, and the libraries that all of them need."""
    files = {f"usr/share/doc/tasklane/{name}": release.text(name) for name in LICENSES}
    files["etc/passwd"] = b"root:x:0:0:root:/root:/sbin/nologin\ntasklane:x:1000:1000::/work:/sbin/nologin\n"
    files["etc/group"] = b"root:x:0:\ntasklane:x:1000:\n"
    if _CERTIFICATES.is_file():
        files[str(_CERTIFICATES).lstrip("/")] = _CERTIFICATES.read_bytes()
    entries = [Entry(path, content) for path, content in files.items()]
    entries += [Entry("tmp/.keep"), Entry("work/.keep"), Entry("bin", target="usr/bin")]
    executables = {"usr/bin/tasklane": release.binary} | {f"usr/bin/{name}": _found(name) for name in [*_NEEDED, *programs]}
    entries += [Entry(path, file.read_bytes(), is_program=True) for path, file in executables.items()]
    libraries = sorted({library for file in executables.values() for library in _libraries(file)})
    entries += [Entry(path.lstrip("/"), Path(path).read_bytes(), is_program=True) for path in libraries]
    return release.artifact(
        f"tasklane-{release.version}-{release.platform.oci}.oci.tar", _layout(release, tar(entries, release.epoch))
    )


def _found(program: str) -> Path:
    path = shutil.which(program)
    if path is None:
        raise Refused(f"the image is to have {program}, but there is none on the PATH: install it first")
    return Path(path).resolve()


def _libraries(program: Path) -> list[str]:
    """The libraries of a program at the paths where its loader looks for them."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if listed.returncode != 0:
        # A static program has none.
        if "not a dynamic executable" in listed.stdout + listed.stderr or "statically linked" in listed.stdout:
            return []
        raise Refused(f"`ldd {program}` failed: {listed.stderr.strip()}")
    if missing := re.findall(r"(\S+) => not found", listed.stdout):
        raise Refused(f"{program} needs libraries that are not here: {', '.join(missing)}")
    return re.findall(r"(/\S+) \(0x", listed.stdout)


def _layout(release: Release, root: bytes) -> bytes:
    layer = gz(root, release.level)
    created = datetime.fromtimestamp(release.epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {
        "created": created,
        "architecture": release.platform.oci,
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/tasklane"],
            "Env": ["PATH=/usr/bin:/bin"],
            "WorkingDir": "/work",
            "Labels": {
                "org.opencontainers.image.title": "tasklane",
                "org.opencontainers.image.version": release.version,
                "org.opencontainers.image.licenses": release.license,
                "org.opencontainers.image.description": release.description,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(root).hexdigest()}"]},
        "history": [{"created": created, "created_by": "infra/release/build"}],
    }
    blobs: dict[str, bytes] = {}

    def described(kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", _json(config)),
        "layers": [described("layer.v1.tar+gzip", layer)],
    }
    listed = described("manifest.v1+json", _json(manifest))
    listed["platform"] = {"architecture": release.platform.oci, "os": "linux"}
    listed["annotations"] = {"org.opencontainers.image.ref.name": release.version}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [listed]}
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index), **blobs}
    return tar([Entry(path, content) for path, content in files.items()], release.epoch)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
