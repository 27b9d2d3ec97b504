"""`make demo`, as somebody sees it who tries the tool for the first time."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE = 60.0


def alive(process: int) -> bool:
    """Return whether a process is there and not yet a zombie."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_the_demonstration_mirrors_and_stops_on_ctrl_c() -> None:
    """Changes upstream arrive, all is OK, and nothing is left running."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.servers.demo", "--seconds", "120"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        late = threading.Timer(PATIENCE, demo.send_signal, [signal.SIGINT])
        late.start()
        seen = ""
        # Two changes, so that one has been through the mirror.
        while (line := demo.stdout.readline()) and seen.count("> upstream:") < 2:
            seen += line
        late.cancel()
        demo.send_signal(signal.SIGINT)
        rest, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, errors
    assert "3 OK" in seen
    assert "Stopping ..." in rest
    found = re.search(r"daemon running \(process (\d+)\)", seen)
    place = re.search(r"the mirror is in (\S+)/mirror", seen)
    assert found is not None
    assert place is not None
    assert not alive(int(found[1]))
    assert not Path(place[1]).exists()
