"""Our command and rclone, both into a MinIO: what measurements of blobs share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.harness import ROOT, Spent, spent
from tests.servers import programs

if TYPE_CHECKING:
    import resource
    from collections.abc import Mapping

    from tests.servers.s3 import S3Server


class Ours(NamedTuple):
    """What one command of ours cost: time, memory in bytes, bytes written."""

    spent: Spent
    resident: int
    written: int
    server: float  # seconds of MinIO's processor time


def measured(
    verb: str,
    config: Path,
    minio: S3Server,
    environ: Mapping[str, str] | None = None,
) -> Ours:
    """Run a command of ours, start-up included, and return what it cost."""
    before = _cpu_of(minio.pid)
    usage: list[resource.struct_rusage] = []
    cost = spent(lambda: usage.append(run(verb, config, minio, environ)))
    server = _cpu_of(minio.pid) - before
    return Ours(cost, usage[0].ru_maxrss << 10, usage[0].ru_oublock * 512, server)


def run(
    verb: str,
    config: Path,
    minio: S3Server | None,
    environ: Mapping[str, str] | None = None,
) -> resource.struct_rusage:
    """Run a command of ours and return what it used; end unless it succeeds."""
    keys = {}
    if minio is not None:
        keys["SYNCER_S3_ACCESS_KEY"] = minio.access_key
        keys["SYNCER_S3_SECRET_KEY"] = minio.secret_key
    process = subprocess.Popen(
        [sys.executable, "-m", "syncer", "--config", str(config), verb],
        cwd=ROOT,
        env={**os.environ, **keys, **(environ or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    words = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"syncer {verb} ended with {process.returncode}:\n{words}")
    return usage


def rclone(source: Path, minio: S3Server, bucket: str) -> None:
    """Upload a directory with the stock tool, as it is without options."""
    settings = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Minio",
        "RCLONE_S3_ENDPOINT": minio.endpoint,
        "RCLONE_S3_ACCESS_KEY_ID": minio.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": minio.secret_key,
    }
    if minio.ca is not None:
        settings["RCLONE_CA_CERT"] = str(minio.ca)
    subprocess.run(
        [str(programs.rclone()), "copy", str(source), f":s3:{bucket}/blobs"],
        env={**os.environ, **settings},
        check=True,
    )


def _cpu_of(pid: int) -> float:
    """Return the seconds of processor time a process has used (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
