"""Who may read: the Host that a request names, and the token that it shows.

- `/healthz` and `/readyz` are everybody's: they name no mirror, and probes have no
  secrets.
- On loopback a request has to name this machine, or the host of `url`: otherwise a
  web page could have its own name lead here and read with the browser's help (DNS
  rebinding).  Behind a proxy that passes its own name on, say `url`.  Off loopback
  any name may be ours, and whoever reaches the port may read.
- With a token configured, everybody has to show it, on loopback too: as `Bearer`
  (RFC 6750), or as the password of any user by `Basic` (RFC 7617), which is what
  browsers and the `.netrc` of grokmirror can do.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.credentials import Secret
    from syncer.listening import Web

#: Asked by probes, which know no name and no secret.
OPEN = frozenset({"/healthz", "/readyz"})

_CHALLENGES = ('Bearer realm="syncer"', 'Basic realm="syncer", charset="UTF-8"')


def refusal(request: web.Request, settings: Web) -> web.Response | None:
    """Return why a request is not answered; None when it may be."""
    if request.path in OPEN:
        return None
    if settings.is_loopback and not _is_ours(request.headers, settings):
        text = (
            "this name is not ours: ask for localhost,"
            " or configure `url` in [syncer.web]\n"
        )
        return web.Response(status=421, text=text)
    if settings.token is None or _shows(request.headers, settings.token):
        return None
    response = web.Response(status=401, text="this needs the token\n")
    for challenge in _CHALLENGES:
        response.headers.add(hdrs.WWW_AUTHENTICATE, challenge)
    return response


def _is_ours(headers: Mapping[str, str], settings: Web) -> bool:
    host = headers.get(hdrs.HOST)
    if host is None:  # no browser leaves it out
        return True
    named = _name(f"//{host}")
    return named is not None and (
        named == "localhost"
        or _is_loopback(named)
        or (settings.url is not None and named == _name(settings.url))
    )


def _name(address: str) -> str | None:
    """Return the host of an address without its port; None if it has none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _shows(headers: Mapping[str, str], token: Secret) -> bool:
    scheme, _, value = headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    shown = value.strip().encode(errors="surrogateescape")
    if scheme.lower() == "basic":
        try:
            shown = b64decode(shown, validate=True).partition(b":")[2]
        except NotBase64:
            return False
    elif scheme.lower() != "bearer":
        return False
    # In a time that does not tell how much of it is right.
    return hmac.compare_digest(shown, token.reveal().encode())
