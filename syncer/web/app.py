"""The addresses of the HTTP face, and what becomes of a request on its way.

    who may read (`access`) ─> route ─> document, kept for seconds (`kept`) ─> answer

Nothing here touches the catalog or a disk: that is done by the threads of a `Desk`.
Further addresses are added to `routes`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import hdrs, web

from syncer.errors import SyncerError
from syncer.web import access, health
from syncer.web.desk import Crowded, Desk
from syncer.web.front import POLICY, Front
from syncer.web.kept import Kept
from syncer.web.manifest import Manifest
from syncer.web.mirrorz import mirrorz
from syncer.web.renderings import Document, answer
from syncer.web.tunasync import tunasync

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from syncer.web.view import View

    Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

METRICS = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"
#: Seconds a document may take; what builds it goes on, for the next who asks.
_DEADLINE = 9.0
#: A probe asks often, and its own patience is short.
_READY = {"lasting": 1.0, "deadline": 3.0}
#: Seconds that a reader may take to take an answer.
_SENDING = 60.0
#: Bytes of a body: nothing is sent to us.
_MAX_BODY = 4096
_SHOWN = 200
_RETRY = "5"
#: What every answer says, unless it says otherwise itself.
_HEADERS = {
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    hdrs.CONTENT_SECURITY_POLICY: "default-src 'none'; frame-ancestors 'none'",
    hdrs.CACHE_CONTROL: "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def documents() -> tuple[Document, ...]:
    """Return what can be asked for, but for `/` and health."""
    return (
        Document("/metrics", METRICS, "Metrics for Prometheus", _metrics, lasting=1.0),
        Document(
            "/status/tunasync.json", _JSON, "The mirrors as tunasync lists", tunasync
        ),
        Document(
            "/status/mirrorz.json", _JSON, "The mirrors as MirrorZ lists", mirrorz
        ),
        Document(
            "/status/manifest.js.gz",
            "application/gzip",
            "The repositories, for grokmirror",
            Manifest(),
        ),
    )


def _metrics(view: View, now: datetime) -> bytes:
    # The library takes a tenth of a second to load: only where it is asked.
    from syncer.web.metrics import exposition  # noqa: PLC0415 - as above

    return exposition(view, now)


class Desks:
    """The threads: one for documents, two for what is asked in a hurry.

    Documents are made by one thread: each more that computes makes everybody in
    the process wait five milliseconds longer for its turn.
    """

    def __init__(self) -> None:
        self.documents = Desk("web-documents", threads=1, waiting=16)
        self.probes = Desk("web-probes", threads=2, waiting=16)

    def close(self) -> None:
        """Begin nothing more; what runs is not waited for."""
        for desk in (self.documents, self.probes):
            desk.shutdown(wait=False, cancel_futures=True)


def application(view: Callable[[], View], desks: Desks) -> web.Application:
    """Return the whole face; `view` is asked anew by every request."""
    app = web.Application(
        middlewares=[_bounded, _guarded(view)], client_max_size=_MAX_BODY
    )
    app.on_response_prepare.append(_complete)
    app.add_routes(routes(view, desks))
    return app


def routes(view: Callable[[], View], desks: Desks) -> list[web.RouteDef]:
    """Return what is answered where; HEAD comes with GET."""
    shown = documents()
    front = Document(
        "/", "text/html; charset=utf-8", "This page", Front(shown), policy=POLICY
    )
    ready: Kept[tuple[str, ...]] = Kept(desks.probes, health.problems, **_READY)
    return [
        web.get("/healthz", _healthz),
        web.get("/readyz", partial(_readyz, view, ready)),
        *(_route(view, desks, each) for each in (front, *shown)),
    ]


def _route(view: Callable[[], View], desks: Desks, document: Document) -> web.RouteDef:
    kept = Kept(
        desks.documents, document.render, lasting=document.lasting, deadline=_DEADLINE
    )

    async def show(request: web.Request) -> web.Response:
        return answer(request, document, await kept.get(view()))

    return web.get(document.path, show)


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(
    view: Callable[[], View], ready: Kept[tuple[str, ...]], request: web.Request
) -> web.Response:
    try:
        found = await ready.get(view())
    except (TimeoutError, Crowded):
        found = (health.CATALOG,)
    status = 503 if found else 200
    if _JSON in request.headers.get(hdrs.ACCEPT, ""):
        text, kind = health.as_json(found), _JSON
    else:
        text, kind = health.spoken(found), "text/plain"
    return web.Response(status=status, text=text, content_type=kind)


def _guarded(view: Callable[[], View]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return what lets through those who may read."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = access.refusal(request, view().config.syncer.web)
        return refused if refused is not None else await handler(request)

    return guarded


@web.middleware
async def _bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever happens, and give up on a reader that takes nothing."""
    began = monotonic()
    response = await _answered(request, handler)
    try:
        async with asyncio.timeout(_SENDING):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    facts = {
        "method": request.method,
        "path": request.raw_path[:_SHOWN],
        "status": response.status,
        "bytes": response.body_length,
        "seconds": round(monotonic() - began, 3),
    }
    log.debug("request answered", extra=facts)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as exc:  # of the routes: 404, 405 with Allow
        allow = {h: exc.headers[h] for h in (hdrs.ALLOW,) if h in exc.headers}
        text = f"{exc.reason}\n"
        return web.Response(status=exc.status, text=text, headers=allow)
    except (TimeoutError, Crowded):
        return _later("this takes longer than usual; ask again in some seconds\n")
    except SyncerError as exc:
        log.warning(
            "a request was not answered",
            extra={"path": request.path[:_SHOWN], "error": str(exc)},
        )
        return _later("the catalog or the store does not answer; ask again\n")
    except Exception:
        log.exception("a request failed", extra={"path": request.path[:_SHOWN]})
        return web.Response(status=500, text="this failed; the log says why\n")


def _later(text: str) -> web.Response:
    return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: _RETRY})


async def _complete(_request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer says; which program it is, is nobody's business."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.popall(hdrs.SERVER, None)
