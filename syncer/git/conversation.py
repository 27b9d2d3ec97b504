"""Feeding a git process and hearing it, within its deadlines."""

from __future__ import annotations

import os
import selectors
import threading
import time
from typing import IO, TYPE_CHECKING

from syncer.errors import Interrupted, Unavailable

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from syncer.git.call import Call

_CHUNK = 1 << 16
_TICK = 0.25  # seconds between two looks at the deadlines and the stop event
_MAX_STDERR = 1 << 20
_FAREWELL = 5.0  # seconds for the source of a git that has ended
_UNTOUCHED = "published refs are unchanged"


class Conversation:
    """Feeds stdin and reads stdout and stderr until git has nothing more to say."""

    def __init__(
        self, process: subprocess.Popen[bytes], call: Call, stop: threading.Event
    ) -> None:
        self._process = process
        self._call = call
        self._stop = stop
        self._stdout: list[bytes] = []
        self._keep = call.on_stdout or self._stdout.append
        self._stderr = bytearray()
        self._line = bytearray()
        self._heard = call.first_word is None
        self._began = time.monotonic()
        self._feeder = (
            None if call.source is None else _Feeder(call.source, process.stdin)
        )

    def hold(self) -> tuple[bytes, str]:
        """Return stdout and stderr once git has ended."""
        with selectors.DefaultSelector() as selector:
            self._register(selector)
            pending = memoryview(self._call.stdin)
            while selector.get_map():
                events = selector.select(_TICK)
                if not events:
                    self._look_at_limits()
                    if self._process.poll() is not None:
                        break  # a grandchild holds the pipes; its group ends now
                for key, _ in events:
                    if key.data == "in":
                        pending = self._feed(selector, key.fileobj, pending)
                    else:
                        self._take(selector, key.fileobj, key.data)
        self._process.wait()
        self._flush_line()
        if self._feeder is not None:
            self._feeder.end()
        return b"".join(self._stdout), self._stderr.decode("utf-8", "replace")

    def _register(self, selector: selectors.BaseSelector) -> None:
        process = self._process
        for stream, kind in ((process.stdout, "out"), (process.stderr, "err")):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, kind)
        if self._feeder is not None:
            self._feeder.start()
        elif process.stdin is not None:
            if self._call.stdin:
                os.set_blocking(process.stdin.fileno(), False)
                selector.register(process.stdin, selectors.EVENT_WRITE, "in")
            else:
                process.stdin.close()

    def _feed(
        self, selector: selectors.BaseSelector, stream: object, pending: memoryview
    ) -> memoryview:
        pipe = self._process.stdin
        if pipe is None or stream is not pipe:
            return pending
        try:
            pending = pending[os.write(pipe.fileno(), pending[:_CHUNK]) :]
        except BrokenPipeError:
            pending = pending[:0]  # git ended early; its status tells why
        if not pending:
            selector.unregister(pipe)
            pipe.close()
        return pending

    def _take(
        self, selector: selectors.BaseSelector, stream: object, kind: str
    ) -> None:
        pipe = self._process.stdout if kind == "out" else self._process.stderr
        if pipe is None or stream is not pipe:
            return
        data = os.read(pipe.fileno(), _CHUNK)
        if not data:
            selector.unregister(pipe)
        elif kind == "out":
            self._keep(data)
        else:
            self._hear(data)
        self._look_at_limits()

    def _hear(self, data: bytes) -> None:
        self._heard = True
        for byte_line in self._split(data):
            text = byte_line.decode("utf-8", "replace")
            if self._call.on_stderr is not None:
                self._call.on_stderr(text)
            # Progress ends in a carriage return and is not worth keeping.
            if not text.endswith("\r") and len(self._stderr) < self._room(text):
                self._stderr += byte_line

    @staticmethod
    def _room(text: str) -> int:
        """Leave room for the reason behind any number of warnings."""
        loud = text.startswith(("error: ", "fatal: "))
        return 2 * _MAX_STDERR if loud else _MAX_STDERR

    def _split(self, data: bytes) -> Iterator[bytes]:
        self._line += data
        lines = self._line.replace(b"\r\n", b"\n").splitlines(keepends=True)
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            self._line = bytearray(lines.pop())
        else:
            self._line = bytearray()
        if len(self._line) > _MAX_STDERR:
            self._line.clear()
        yield from map(bytes, lines)

    def _flush_line(self) -> None:
        if self._line:
            self._hear(b"\n")

    def _look_at_limits(self) -> None:
        now = time.monotonic()
        call = self._call
        if self._stop.is_set():
            msg = f"stopped on request; {_UNTOUCHED}"
            raise Interrupted(msg)
        late = now - self._began
        if call.timeout is not None and late > call.timeout.total_seconds():
            what = f"git {call.args[0]}"
            msg = f"{what}: ended, not done after {call.timeout}; {_UNTOUCHED}"
            raise Unavailable(msg)
        quiet = call.first_word
        if not self._heard and quiet is not None and late > quiet.total_seconds():
            msg = f"git {call.args[0]}: nothing heard for {quiet}; {_UNTOUCHED}"
            raise Unavailable(msg)


class _Feeder(threading.Thread):
    """Passes what a source yields on to stdin, while others read what git says."""

    def __init__(self, source: Iterator[bytes], stdin: IO[bytes] | None) -> None:
        super().__init__(name="feeder", daemon=True)
        self._source = source
        self._stdin = stdin
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._feed()
        except BrokenPipeError:
            return  # git ended early; its status tells why
        except BaseException as exc:  # noqa: BLE001 - raised again by `end`
            self._failure = exc

    def end(self) -> None:
        """Wait for the end of the source; raise what broke it, if anything did."""
        self.join(_FAREWELL)
        if self._failure is not None:
            raise self._failure

    def _feed(self) -> None:
        if self._stdin is None:
            return
        with self._stdin:
            for block in self._source:
                self._stdin.write(block)
