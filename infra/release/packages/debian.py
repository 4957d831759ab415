"""The package for Debian and Ubuntu. It is an `ar` archive of two tar archives, which needs no tool of Debian."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .archive import Entry, gz, tar
from .release import LICENSES, Release


def make(release: Release, maintainer: str) -> Path:
    doc = "usr/share/doc/tasklane"
    files = [Entry("usr/bin/tasklane", release.program, is_program=True)]
    files += [Entry(f"{doc}/{name}", release.text(name)) for name in (*LICENSES, "README.md")]
    files.append(Entry(f"{doc}/copyright", _copyright(release).encode()))
    files += [
        Entry("usr/share/bash-completion/completions/tasklane", release.completions["tasklane.bash"]),
        Entry("usr/share/zsh/vendor-completions/_tasklane", release.completions["_tasklane"]),
        Entry("usr/share/fish/vendor_completions.d/tasklane.fish", release.completions["tasklane.fish"]),
    ]
    files += [Entry(f"usr/share/man/man1/{name}.gz", gz(page, 9)) for name, page in release.man_pages.items()]
    files += [Entry(f"usr/share/tasklane/handlers/{file}", zip) for file, zip in release.handlers.items()]
    files.sort(key=lambda file: file.path)
    sums = "".join(f"{hashlib.md5(file.content).hexdigest()}  {file.path}\n" for file in files)
    control = [Entry("control", _control(release, files, maintainer).encode()), Entry("md5sums", sums.encode())]
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", gz(tar(control, release.epoch, dot=True), 9)),
        ("data.tar.gz", gz(tar(files, release.epoch, dot=True), release.level)),
    ]
    name = f"tasklane_{release.version}_{release.platform.debian}.deb"
    return release.artifact(name, _ar(members, release.epoch))


def _control(release: Release, files: list[Entry], maintainer: str) -> str:
    glibc = release.elf.glibc()
    depends = "" if glibc is None else f"Depends: libc6 (>= {glibc[0]}.{glibc[1]}), libgcc-s1 | libgcc1\n"
    kilobytes = sum(-(-len(file.content) // 1024) for file in files)
    return (
        "Package: tasklane\n"
        f"Version: {release.version}\n"
        f"Architecture: {release.platform.debian}\n"
        f"Maintainer: {maintainer}\n"
        f"Installed-Size: {kilobytes}\n"
        f"{depends}"
        # Each kind of Function needs its own interpreter, and a jail that is missing is only a warning.
        "Recommends: bubblewrap\n"
        "Suggests: nodejs, python3\n"
        "Section: devel\n"
        "Priority: optional\n"
        f"Description: {release.description}\n"
    )


def _copyright(release: Release) -> str:
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: tasklane\n\n"
        "Files: *\n"
        "Copyright: 2025 The tasklane developers\n"
        f"License: {release.license.replace(' OR ', ' or ')}\n"
        " The texts of both licenses are beside this file.\n"
    )


def _ar(members: list[tuple[str, bytes]], epoch: int) -> bytes:
    archive = b"!<arch>\n"
    for name, content in members:
        archive += f"{name:<16}{epoch:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        archive += content + b"\n" * (len(content) % 2)
    return archive
