"""One process of an S3 server: started, stopped, paused, ended.

It runs on a port of its own, in a directory of its own, with nothing of the
machine's configuration in its environment.
"""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers.s3_kinds import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.servers.s3_kinds import Kind

_STARTUP = 60.0  # seconds
_PATIENCE = 10.0  # seconds for a server to end
_ATTEMPTS = 3  # a port may be taken between our look and the server's


class NotStarted(Exception):
    """A server ended, or did not answer; its last words are in the message."""


class Process:
    """Listens from `with` to its end, on one port, for one pair of keys.

    To be started in the main thread: it dies with the thread that started it.
    """

    def __init__(self, kind: Kind, *, tls: bool = False) -> None:
        self.kind = kind
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start_somewhere()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._discard()

    @cached_property
    def place(self) -> Place:
        """Where it runs, and for whom."""
        directory = Path(tempfile.mkdtemp(prefix=f"syncer-{self.kind.name}-"))
        (directory / "data").mkdir()
        certificates = directory / "certificates" if self._tls else None
        if certificates is not None:
            _certify(certificates)
        keys = (secrets.token_hex(8), secrets.token_hex(16))
        return Place(directory, _free_port(), *keys, certificates)

    @property
    def endpoint(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self.place.address}"

    @property
    def access_key(self) -> str:
        """The id of the one pair of keys it knows."""
        return self.place.access_key

    @property
    def secret_key(self) -> str:
        """The secret of that pair."""
        return self.place.secret_key

    @property
    def ca(self) -> Path | None:
        """The authority that signed its certificate, PEM; None without TLS."""
        place = self.place.certificates
        return None if place is None else place / "authority.pem"

    @property
    def pid(self) -> int:
        """Its process, for those who measure it; the same until it is restarted."""
        if self._process is None:
            msg = f"{self.kind.name} does not run"
            raise RuntimeError(msg)
        return self._process.pid

    def stop(self) -> None:
        """Ask it to end, and wait until it has; its data stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does; its data stay."""
        self._end(signal.SIGKILL)

    def start(self) -> None:
        """Start it again where it was; nothing when it runs.

        Raises:
            NotStarted: it ended, or does not answer.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = self._launched()
            self._await(self._process)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have nobody listen for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have it accept connections and answer nothing for a while."""
        process = self.pid
        os.kill(process, signal.SIGSTOP)
        # Until then, some of its threads may still answer.
        os.waitid(os.P_PID, process, os.WSTOPPED)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def _start_somewhere(self) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.start()
            except NotStarted:
                self._discard()
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    def _discard(self) -> None:
        place = self.__dict__.pop("place", None)
        if place is not None:
            shutil.rmtree(place.directory)

    def _launched(self) -> subprocess.Popen[bytes]:
        place = self.place
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(place.directory),
            "TMPDIR": str(place.directory),
        }
        with (place.directory / "log").open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", *self.kind.command(place)],
                cwd=place.directory,
                env=environment | self.kind.environment(place),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _STARTUP
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                said = (self.place.directory / "log").read_text(errors="replace")
                self.kill()
                msg = f"{self.kind.name} does not answer: {said[-2000:].strip()}"
                raise NotStarted(msg)
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Whether it is ready; anything but 503, since we show no keys."""
        try:
            connection = self._connection()
            try:
                connection.request("GET", "/")
                return connection.getresponse().status != http.HTTPStatus(503)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False

    def _connection(self) -> http.client.HTTPConnection:
        port, timeout = self.place.port, 5.0
        if self.ca is None:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        context = ssl.create_default_context(cafile=self.ca)
        return http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=timeout, context=context
        )

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _certify(place: Path) -> None:
    """Make an authority and a certificate of it for loopback."""
    import trustme  # noqa: PLC0415  only servers with TLS pay for the import

    place.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(place / "authority.pem"))
    certificate.private_key_pem.write_to_path(str(place / "private.key"))
    for each in certificate.cert_chain_pems:
        each.write_to_path(str(place / "public.crt"), append=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
