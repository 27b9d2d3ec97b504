"""Connections: how many, how long they may be silent, and what nonsense is told.

A connection is closed when it has sent no whole request within the keep-alive time,
from its very beginning: one that sends a header an hour keeps no place.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.web_request import BaseRequest

log = logging.getLogger(__name__)

#: `app` tells of requests; aiohttp's own log of them stays silent.
_NOBODY = logging.getLogger(f"{__name__}.requests")
_NOBODY.disabled = True

#: Readers at the same time.
MOST = 128
_KEEPALIVE = 30.0  # seconds
_MAX_LINE = 4096  # bytes
_MAX_HEADER = 8190
_MAX_HEADERS = 64
#: Seconds for the rest of a body that nobody reads.
_LINGERING = 2.0
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Connection(web.RequestHandler):
    """One connection of a reader."""

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was sent to us
    ) -> web.StreamResponse:
        """Answer what is no HTTP in a few words, and hang up.

        Scanners are a part of the network: that is no event.
        """
        log.debug("a request could not be read", extra={"error": str(exc)[:200]})
        if request.writer.output_size > 0:
            msg = "half an answer was sent"
            raise ConnectionError(msg)
        response = web.Response(status=status, text=f"{HTTPStatus(status).phrase}\n")
        # Its name and version are nobody's business.
        response.headers[hdrs.SERVER] = "syncer"
        response.force_close()
        return response


class Refusal(asyncio.Protocol):
    """Says that there are too many connections, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything was asked."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(_FULL)
        transport.close()


def factory(server: web.Server) -> Callable[[], asyncio.Protocol]:
    """Return what makes a protocol for each connection that is accepted."""
    loop = asyncio.get_running_loop()

    def accepted() -> asyncio.Protocol:
        if len(server.connections) >= MOST:
            return Refusal()
        return Connection(
            server,
            loop=loop,
            keepalive_timeout=_KEEPALIVE,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_HEADER,
            max_headers=_MAX_HEADERS,
            lingering_time=_LINGERING,
            access_log=_NOBODY,
        )

    return accepted
