"""The software bill of materials: what is linked into the program, in CycloneDX 1.5."""

from __future__ import annotations

import json
import subprocess
import tomllib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .release import Refused, Release


def make(release: Release) -> Path:
    metadata = _metadata(release)
    packages = {package["id"]: package for package in metadata["packages"]}
    depends_on = {
        node["id"]: sorted(
            dependency["pkg"]
            for dependency in node["deps"]
            # Of what tests and build scripts need, nothing is in the program.
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
        for node in metadata["resolve"]["nodes"]
    }
    root = next(id for id, package in packages.items() if package["name"] == "tasklane")
    linked, queue = {root}, [root]
    while queue:
        for dependency in depends_on[queue.pop()]:
            if dependency not in linked:
                linked.add(dependency)
                queue.append(dependency)
    checksums = _checksums(release)
    references = {id: _reference(packages[id]) for id in linked}
    components = [_component(packages[id], references[id], checksums) for id in sorted(linked, key=references.__getitem__)]
    created = datetime.fromtimestamp(release.epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {**_component(packages[root], references[root], checksums), "type": "application"},
        },
        "components": [component for component in components if component["bom-ref"] != references[root]],
        "dependencies": [
            {"ref": references[id], "dependsOn": sorted(references[each] for each in depends_on[id])}
            for id in sorted(linked, key=references.__getitem__)
        ],
    }
    name = f"tasklane-{release.version}-{release.target}.cdx.json"
    return release.artifact(name, (json.dumps(bill, indent=1) + "\n").encode())


def _metadata(release: Release) -> Any:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", release.target]
    # Cargo finds everything where the program was built; elsewhere it asks the registry.
    ran = subprocess.run(command, cwd=release.repository, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Refused(f"`{' '.join(command)}` failed: {ran.stderr.strip()}")
    return json.loads(ran.stdout)


def _checksums(release: Release) -> dict[tuple[str, str], str]:
    lock = tomllib.loads(release.text("Cargo.lock").decode())
    return {(each["name"], each["version"]): each["checksum"] for each in lock["package"] if "checksum" in each}


def _reference(package: dict[str, Any]) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def _component(package: dict[str, Any], reference: str, checksums: dict[tuple[str, str], str]) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "name": package["name"],
        "version": package["version"],
        "purl": reference,
    }
    if license := package.get("license"):
        # Some crates still write a slash where SPDX has OR.
        component["licenses"] = [{"expression": license.replace(" / ", " OR ").replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return component
