"""What the packages of one release have in common."""

from __future__ import annotations

import os
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .elf import Elf, NotElf

SHELLS = {"bash": "tasklane.bash", "zsh": "_tasklane", "fish": "tasklane.fish"}
LICENSES = ("LICENSE-APACHE", "LICENSE-MIT")


class Refused(Exception):
    """Something cannot be packaged. The text says why, and what to do."""


@dataclass(frozen=True)
class Platform:
    """One platform by the names that each ecosystem has for it."""

    machine: str
    debian: str
    npm: str
    oci: str


PLATFORMS = {
    "x86_64": Platform("x86_64", "amd64", "x64", "amd64"),
    "aarch64": Platform("aarch64", "arm64", "arm64", "arm64"),
}


HANDLERS = ("api", "dispatcher", "ticker")
ARCHITECTURES = ("arm64", "x86_64")


def _handlers(folder: Path) -> dict[str, bytes]:
    """The zips of the handlers, by their paths below the folder in which the program looks for them."""
    names = [f"{architecture}/{handler}.zip" for architecture in ARCHITECTURES for handler in HANDLERS]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise Refused(f"{folder} has no {missing[0]}: infra/release/handlers makes it")
    return {name: (folder / name).read_bytes() for name in names}


class Release:
    """The program, and what is said about it."""

    def __init__(
        self, repository: Path, binary: Path, out: Path, level: int, handlers: Path | None = None
    ) -> None:
        if not binary.is_file():
            raise Refused(f"there is no program {binary}: build it first, or leave out --binary")
        self.repository, self.binary, self.out, self.level = repository, binary.resolve(), out, level
        self.handlers = _handlers(handlers) if handlers else {}
        try:
            self.elf = Elf(self.binary)
        except NotElf as error:
            raise Refused(str(error)) from None
        self.platform = PLATFORMS[self.elf.machine]
        manifest = tomllib.loads((repository / "Cargo.toml").read_text(encoding="utf-8"))
        self.version: str = manifest["workspace"]["package"]["version"]
        self.license: str = manifest["workspace"]["package"]["license"]
        self.description: str = manifest["package"]["description"]
        says = self._output("--version").split()
        if says[-1:] != [self.version]:
            raise Refused(f"{binary} is version {' '.join(says[1:])}, and Cargo.toml has {self.version}: build it again")
        out.mkdir(parents=True, exist_ok=True)

    @property
    def libc(self) -> str:
        return "gnu" if self.elf.is_dynamic else "musl"

    @property
    def target(self) -> str:
        """The platform as Rust names it."""
        return f"{self.platform.machine}-unknown-linux-{self.libc}"

    @cached_property
    def epoch(self) -> int:
        """The time stamp of every file."""
        if given := os.environ.get("SOURCE_DATE_EPOCH"):
            return int(given)
        command = ["git", "log", "-1", "--format=%ct"]
        found = subprocess.run(command, cwd=self.repository, capture_output=True, text=True, check=False)
        if found.returncode != 0:
            raise Refused("this is no Git repository: set SOURCE_DATE_EPOCH to the time stamp that the files get")
        return int(found.stdout)

    @cached_property
    def program(self) -> bytes:
        return self.binary.read_bytes()

    @cached_property
    def completions(self) -> dict[str, bytes]:
        """The script of each shell, by its file name."""
        return {name: self._output("completions", shell).encode() for shell, name in SHELLS.items()}

    @cached_property
    def man_pages(self) -> dict[str, bytes]:
        """The manual pages, by their file names."""
        with tempfile.TemporaryDirectory() as folder:
            self._output("man-pages", folder)
            return {page.name: page.read_bytes() for page in sorted(Path(folder).iterdir())}

    def text(self, name: str) -> bytes:
        """A file of the repository."""
        return (self.repository / name).read_bytes()

    def artifact(self, name: str, content: bytes) -> Path:
        """Writes an artifact."""
        path = self.out / name
        path.write_bytes(content)
        return path

    def _output(self, *arguments: str) -> str:
        try:
            ran = subprocess.run([self.binary, *arguments], capture_output=True, text=True, check=False)
        except OSError as error:
            raise Refused(f"{self.binary} does not run on this machine: {error}") from None
        if ran.returncode != 0:
            raise Refused(f"`tasklane {' '.join(arguments)}` failed: {ran.stderr.strip()}")
        return ran.stdout
