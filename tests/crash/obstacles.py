"""Why crash points cannot run on this machine, if they cannot."""

from __future__ import annotations

import functools
import os
import platform
import shutil
from pathlib import Path

from tests.crash.example import prepare
from tests.crash.sweep import Sweep


@functools.cache
def obstacle(*, power: bool) -> str | None:
    """Return what is missing, in words, None when nothing is.

    Tries: a machine that has it all may still forbid it, as containers do.
    """
    missing = _missing(power=power)
    if missing is not None:
        return missing
    try:
        mode = "power" if power else "kill"
        with (
            Sweep("tests.crash.example:replace", prepare) as sweep,
            sweep.point(1, mode) as point,
        ):
            hit = point.result.hit
    except (OSError, RuntimeError) as exc:
        return str(exc)
    return None if hit else "the first file-changing call was not caught"


def _missing(*, power: bool) -> str | None:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        return f"the filter is written for Linux on x86_64, not {system} on {machine}"
    if not power:
        return None
    if os.geteuid() != 0:
        return "cutting the power needs root"
    if not Path("/dev/loop-control").exists():
        return "cutting the power needs loop devices"
    if shutil.which("mkfs.ext4") is None:
        return "cutting the power needs `mkfs.ext4`"
    return None
