"""The HTTP face of the daemon: a thread with an event loop, apart from all runs.

What can go wrong in it stays in it: a reader never waits for a run, and no run for
a reader.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web

from syncer.errors import ConfigError
from syncer.web import connections
from syncer.web.app import Desks, application

if TYPE_CHECKING:
    from syncer.listening import Web
    from syncer.web.view import View

log = logging.getLogger(__name__)

_BACKLOG = 128
_BEAT = 1.0  # seconds
#: A loop that did not turn for so long hangs.
_LOST = 15.0


class Face:
    """Listens from `start` to `stop`; shows what its view shows."""

    def __init__(self, view: View, settings: Web) -> None:
        self._view = view
        #: Where it listens; another address takes another face.
        self.settings = settings
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._patience = 0.0
        self._beat = monotonic()
        self._address: tuple[str, int] | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port that it listens at; None while it does not."""
        return self._address

    @property
    def url(self) -> str | None:
        """The address as a browser takes it; None while it does not listen."""
        if self._address is None:
            return None
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def responsive(self) -> bool:
        """Whether its loop turns; also where nobody wanted it to listen."""
        if self._thread is None:
            return True
        return self._thread.is_alive() and monotonic() - self._beat < _LOST

    def start(self) -> tuple[str, int] | None:
        """Listen; return where, None where the configuration wants it nowhere.

        The default address may be taken by another program: that is a warning.

        Raises:
            ConfigError: an address that somebody chose cannot be had.
        """
        if self.settings.address is None:
            return None
        listener = self._bound(*self.settings.address)
        if listener is None:
            return None
        host, port = listener.getsockname()[:2]
        self._address = host, port
        started = threading.Event()
        # No process outlives its work because of a reader.
        self._thread = threading.Thread(
            target=self._run, args=(listener, started), name="web", daemon=True
        )
        self._thread.start()
        started.wait(_LOST)
        log.info("the HTTP face listens", extra={"address": self.url})
        return self._address

    def use(self, view: View) -> None:
        """Show from another view from the next request on."""
        self._view = view

    def stop(self, patience: float = 2.0) -> None:
        """Listen no more; answers on their way have so many seconds to end."""
        thread, loop, ending = self._thread, self._loop, self._ending
        self._thread = self._address = None
        if thread is None or loop is None or ending is None:
            return
        self._patience = patience
        try:
            loop.call_soon_threadsafe(ending.set)
        except RuntimeError:  # it has ended
            return
        thread.join(patience + _BEAT)

    def _bound(self, host: str, port: int) -> socket.socket | None:
        try:
            return _listener(host, port)
        except OSError as exc:
            reason = _reason(exc)
            if self.settings.is_default:
                facts = {"address": f"{host}:{port}", "error": reason}
                log.warning("the HTTP face does not listen", extra=facts)
                return None
            msg = f"the HTTP face cannot listen at {host}:{port}: {reason}"
            hint = 'choose another `listen` in [syncer.web], or "off"'
            raise ConfigError(msg, hint=hint) from exc

    def _run(self, listener: socket.socket, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(listener, started))
        finally:
            listener.close()
            started.set()

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        self._ending, self._loop = asyncio.Event(), loop
        desks = Desks()
        runner = web.AppRunner(application(lambda: self._view, desks))
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - `setup` has made it
        accepted = connections.factory(runner.server)
        server = await loop.create_server(accepted, sock=listener, backlog=_BACKLOG)
        started.set()
        try:
            while not self._ending.is_set():
                self._beat = monotonic()
                await _either(self._ending, _BEAT)
        finally:
            server.close()
            runner.server.pre_shutdown()
            await runner.server.shutdown(self._patience / 2)
            await runner.cleanup()
            desks.close()


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or for a time to pass."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _reason(exc: OSError) -> str:
    """Return why an address cannot be had; asyncio's own words repeat the address."""
    known = exc.errno is not None and exc.errno > 0 and exc.errno in errno.errorcode
    return os.strerror(exc.errno) if known and exc.errno else exc.strerror or str(exc)


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens; a name is looked up, IPv4 first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, *_, address = min(found, key=lambda each: each[0] is not socket.AF_INET)
    both = family is socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(
        address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=both
    )
