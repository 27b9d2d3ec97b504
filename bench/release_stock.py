"""What a person would do: list the assets, curl each, check them, upload them."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from bench.release_upstream import NAME, TOKEN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.release_upstream import ReleaseUpstream


class Stock:
    """Gets the assets of the upstream into `files`, in one of three ways."""

    def __init__(self, place: Path, upstream: ReleaseUpstream) -> None:
        self.files = place / "files"
        self._place = place
        self._upstream = upstream
        self._ca = [] if upstream.ca is None else ["--cacert", str(upstream.ca)]
        self._assets: list[dict[str, Any]] = []

    def renew(self) -> None:
        """Begin with no file."""
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()

    def each(self) -> None:
        """List the assets by one call, then get one after the other."""
        url = f"{self._upstream.url}/repos/{NAME}/releases?per_page=100"
        token = f"Authorization: Bearer {TOKEN}"
        done = subprocess.run(
            ["curl", "-sSf", *self._ca, "-H", token, url],
            check=True,
            stdout=subprocess.PIPE,
        )
        listed = json.loads(done.stdout)
        self._assets = [each for release in listed for each in release["assets"]]
        self._get(1)

    def eight(self) -> None:
        """Get what is listed, eight at a time."""
        self._get(8)

    def at_once(self) -> None:
        """Get what is listed by one process, which keeps its connections."""
        lines = [
            f'url = "{each["browser_download_url"]}"\noutput = "{each["name"]}"\n'
            for each in self._assets
        ]
        self._run(
            [
                "curl",
                "-sSfL",
                "--no-progress-meter",
                *self._ca,
                "--parallel",
                "--parallel-max",
                "8",
                "-K-",
            ],
            "".join(lines),
        )

    def check(self) -> None:
        """Hold the files against upstream's digests; find them out without any."""
        lines = [
            f"{each['digest'].removeprefix('sha256:')}  {each['name']}\n"
            for each in self._assets
            if each["digest"] is not None
        ]
        if lines:
            self._run(["sha256sum", "--check", "--quiet", "-"], "".join(lines))
        else:
            self._run(["sha256sum", *(each["name"] for each in self._assets)])

    def _get(self, processes: int) -> None:
        pairs = "".join(
            f"{each['name']} {each['browser_download_url']}\n" for each in self._assets
        )
        curl = ["curl", "-sSfL", *self._ca, "-o"]
        self._run(["xargs", f"-P{processes}", "-n2", *curl], pairs)

    def _run(self, words: Sequence[str], stdin: str = "") -> None:
        subprocess.run(
            words,
            cwd=self.files,
            input=stdin,
            text=True,
            stdout=subprocess.DEVNULL,
            check=True,
        )
