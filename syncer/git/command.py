"""The one way to run git: environment, limits, process group, deadlines.

GitPython starts the process; everything that makes it safe in a daemon is
here.  The child sees none of our environment: `env -u` takes away each
inherited variable by name, since GitPython passes them all on.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.errors import GitFailed, NotInitialised, SyncerError
from syncer.git.call import Call, Completed, Holder
from syncer.git.conversation import Conversation
from syncer.git.policy import BASE, failure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Call", "Completed", "GitCommand", "Holder", "environment"]

_ENV = "/usr/bin/env"
_GRACE = 2.0  # seconds between SIGTERM and SIGKILL of a process group


class GitCommand:
    """Starts git and stays with it until the whole process group is gone."""

    def __init__(
        self,
        program: str = "git",
        *,
        max_file: int = 0,
        stop: threading.Event | None = None,
        first: Callable[[GitCommand], object] | None = None,
    ) -> None:
        """Limit files to `max_file` bytes (0: not at all), and end all on `stop`.

        `first` is called before the first command: a program that starts no
        git need not have a good one.
        """
        self._program = program
        self._max_file = max_file
        self._stop = stop or threading.Event()
        self._first = first
        self._lock = threading.RLock()  # looking first runs git itself
        self.started = 0  # processes, for those who promise to start none

    @property
    def stop(self) -> threading.Event:
        """What ends every git process and every wait when it is set."""
        return self._stop

    @property
    def program(self) -> str:
        """The absolute path of git."""
        found = shutil.which(self._program)
        if found is None:
            msg = f"there is no `{self._program}` in PATH; nothing was changed"
            raise NotInitialised(msg, hint="install git, or set `[syncer] git`")
        return found

    def run(self, call: Call) -> Completed:
        """Run git to its end.

        Raises:
            SyncerError: as `policy.failure` reads it, when `check` and not 0.
            Unavailable: the deadline passed, or nothing was heard for too long.
            Interrupted: the stop event was set.
        """
        self._look_first()
        process = self._start(call)
        try:
            if call.holder is not None:
                call.holder.note(process.pid)
            stdout, stderr = Conversation(process, call, self._stop).hold()
        finally:
            _end_group(process)
            if call.holder is not None:
                call.holder.note(None)
        if call.check and process.returncode != 0:
            what = f"git {call.args[0]}"
            raise failure(what, process.returncode, stderr, room=call.room)
        return Completed(process.returncode, stdout, stderr)

    def _look_first(self) -> None:
        with self._lock:
            first, self._first = self._first, None
            if first is None:
                return
            try:
                first(self)
            except SyncerError:
                self._first = first  # it is no better the next time
                raise

    def _start(self, call: Call) -> subprocess.Popen[bytes]:
        from git.cmd import Git  # noqa: PLC0415 - importing it starts `git version`

        env = environment(call, self.program)
        inherited = [name for name in os.environ if name not in env]
        unset = [part for name in inherited for part in ("-u", name)]
        process = Git(str(call.repository or "/")).execute(
            [_ENV, *unset, self.program, *call.args],
            as_process=True,
            istream=subprocess.PIPE,
            env=env,
            start_new_session=True,
            # Python ignores SIGXFSZ, and so shall git: a file over the limit is
            # then an error with words.  SIGPIPE git sets to its default itself.
            restore_signals=False,
            pass_fds=(call.holder.fd,) if call.holder is not None else (),
        )
        self.started += 1
        popen = process.proc
        if popen is None:  # pragma: no cover - GitPython's type says it may be
            msg = "git did not start"
            raise GitFailed(msg, status=-1)
        # The wrapper would kill the process again when it is collected.
        process.proc = None
        limits = [size for size in (self._max_file, call.room) if size]
        if limits:
            _limit_files(popen.pid, min(limits))
        return popen


def environment(call: Call, program: str) -> dict[str, str]:
    """Return all that a git process sees of the world."""
    env = {
        "PATH": f"{Path(program).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_OPTIONAL_LOCKS": "0",
        **call.env,
    }
    if call.repository is not None:
        env["GIT_DIR"] = str(call.repository)
    pairs = [*BASE, *call.config]
    env["GIT_CONFIG_COUNT"] = str(len(pairs))
    for index, (key, value) in enumerate(pairs):
        env[f"GIT_CONFIG_KEY_{index}"] = key
        env[f"GIT_CONFIG_VALUE_{index}"] = value
    return env


def _limit_files(pid: int, limit: int) -> None:
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))
    except (ProcessLookupError, PermissionError):
        # It has ended already, or this kernel has no prlimit for others; the
        # floor of free space remains.
        return


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the process group behind, whoever its parent is now."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            _signal(process.pid, signal.SIGKILL)
            process.wait()
    # Git may leave a transport helper, an index-pack or a daemon of its own.
    _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
