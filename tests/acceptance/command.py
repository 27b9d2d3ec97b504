"""The command `syncer` as a person runs it: a process of its own, in a directory."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncer.cli.main import main

if TYPE_CHECKING:
    from tests.servers.git_http import GitServer

_ROOT = Path(__file__).parents[2]
_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    def document(self) -> Any:  # noqa: ANN401  JSON may be anything
        """Return the JSON it printed."""
        return json.loads(self.out)


@dataclass(slots=True)
class Command:
    """Runs `syncer` in one directory."""

    place: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str) -> Ended:
        """Run it to its end."""
        return self._run([sys.executable, "-m", "syncer", *words])

    def python(self, code: str) -> Ended:
        """Run Python code in the same place and environment."""
        return self._run([sys.executable, "-c", code])

    def _run(self, words: list[str]) -> Ended:
        done = subprocess.run(
            words,
            cwd=self.place,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it, with its output in pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "syncer", *words],
            cwd=self.place,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.place / "repos.toml"

    def init(self, server: GitServer, *names: str) -> None:
        """Make a store for repositories of a server, these already listed."""
        host = server.url.partition("//")[2]
        text = f'[host."{host}"]\ngit = "{server.url}"\nprivate = true\n'
        listed = [f'\n[[repo]]\nname = "{name}"\n' for name in names]
        self.file.write_text("".join([text, *listed]))
        done = self("init")
        assert done.status == 0, done.err

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(_ROOT)} | self.environ


class Inside(Command):
    """Runs `syncer` within this process, where starting it is not what is tested."""

    def __call__(self, *words: str) -> Ended:
        """Run it to its end."""
        out, err = StringIO(), StringIO()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            with chdir(self.place), redirect_stdout(out), redirect_stderr(err):
                status = main(words)
        finally:
            gc.enable()  # what a process of its own need not do
            root.handlers[:] = handlers
            root.setLevel(level)
        return Ended(status, out.getvalue(), err.getvalue())


def name_on(server: GitServer, name: str) -> str:
    """Return how a repository of a server is called in `repos.toml`."""
    return f"{server.url.partition('//')[2]}/{name}"
