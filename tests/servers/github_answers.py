"""How GitHub's front answers: who asks, what it costs, ETags, and headers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.utils import format_datetime
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING

from tests.servers import github_graphql, github_schemas, github_web
from tests.servers.github_calls import JSON, Call, Reply, name_of, not_found
from tests.servers.github_documents import error_document, instant
from tests.servers.github_faults import wire_of
from tests.servers.github_limits import RESOURCES, Refused
from tests.servers.github_pages import Asked
from tests.servers.http_backend import Answer
from tests.servers.http_faults import Fault

if TYPE_CHECKING:
    from tests.servers.github import GitHubServer
    from tests.servers.github_faults import Failure
    from tests.servers.github_limits import Credential
    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request

_VERSIONS = {"2022-11-28", "2026-03-10"}
_MINT = re.compile(r"/app/installations/([0-9]+)/access_tokens")
_LIMITED = "rest/overview/resources-in-the-rest-api#rate-limiting"
_SECONDARY = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you "
    "try again."
)


@dataclass(slots=True)
class _Front:
    """One request on its way."""

    request: Request
    path: str
    what: str
    who: Credential
    resource: str


class Answers:
    """Answers everything that the first host is asked."""

    def __init__(self, server: GitHubServer, *, enterprise: bool) -> None:
        self._server = server
        self._base = "/api/v3" if enterprise else ""
        self._graphql = "/api/graphql" if enterprise else "/graphql"
        self._numbers = count(1)

    def answer(self, request: Request, body: Body) -> tuple[Answer, Fault, bool]:
        """Return the answer, what goes wrong with it, and if it was authorised."""
        download = github_web.answer(self._server, request)
        if download is not None:
            return (*download, False)
        sent = b"".join(iter(body.read, b""))
        front, refusal = self._enter(request)
        failure = self._server.failures.choose(front.what, _page(request))
        if refusal is None and failure is not None and failure.refuses:
            return self._failed(front, failure)
        reply = refusal or self._spent(front, sent)
        answer, fault = self._sent(front, reply)
        if failure is not None:
            fault = wire_of(failure.how)
        return answer, fault, front.who.authorised

    def _enter(self, request: Request) -> tuple[_Front, Reply | None]:
        """Find out who asks for what, or why that is refused at once."""
        limits = self._server.limits
        graphql = request.path == self._graphql
        path = request.path.removeprefix(self._base)
        what = "graphql" if graphql else name_of(path)
        resource = "graphql" if graphql else "core"
        front = _Front(request, path, what, limits.anonymous, resource)
        if not graphql and not request.path.startswith(f"{self._base}/"):
            return front, not_found()
        sent = request.headers
        if "user-agent" not in sent:
            said = "Request forbidden by administrative rules. Please make sure your"
            return front, _error(403, f"{said} request has a User-Agent header.")
        version = sent.get("x-github-api-version", "2022-11-28")
        if version not in _VERSIONS:
            return front, _error(400, f"{version!r} is not a supported API version")
        if _MINT.fullmatch(path):
            return front, None
        try:
            front.who = limits.credential(sent.get("authorization"))
        except Refused as refused:
            return front, _error(401, str(refused))
        return front, self._single_sign_on(front.who)

    def _single_sign_on(self, who: Credential) -> Reply | None:
        if who.sso is None:
            return None
        said = "Resource protected by organization SAML enforcement. You must grant"
        reply = _error(403, f"{said} your token access to this organization.")
        reply.headers["x-github-sso"] = who.sso
        return reply

    def _spent(self, front: _Front, sent: bytes) -> Reply:
        """Answer what costs nothing, else if the allowance has room for it."""
        if front.path == "/rate_limit":
            return self._rate_limit(front.who)
        minting = _MINT.fullmatch(front.path)
        if minting is not None:
            return self._minted(front.request, int(minting[1]))
        if front.resource == "graphql" and not front.who.authorised:
            return _error(401, "This endpoint requires you to be authenticated.")
        if not self._server.limits.spend(front.who, front.resource):
            return self._exhausted(front)
        return self._answered(front, sent)

    def _answered(self, front: _Front, sent: bytes) -> Reply:
        if front.resource == "graphql":
            return self._queried(front, sent)
        if front.request.method != "GET":
            return not_found()
        call = Call(front.request, front.who)
        return self._server.calls.answer(call, front.path)

    def _exhausted(self, front: _Front, status: int = 403) -> Reply:
        """Return the answer of who has nothing left; GraphQL says it with 200."""
        if front.resource == "graphql":
            said = {"type": "RATE_LIMITED", "message": "API rate limit exceeded"}
            return Reply(200, {"errors": [said]}, "graphql")
        whom = front.who.account
        said_of = f"API rate limit exceeded for {whom}."
        return Reply(status, error_document(status, said_of, _LIMITED))

    def _rate_limit(self, who: Credential) -> Reply:
        resources = {
            name: self._server.limits.document(who, name) for name in RESOURCES
        }
        said = {"resources": resources, "rate": resources["core"]}
        return Reply(200, said, "rate_limit")

    def _minted(self, request: Request, installation: int) -> Reply:
        limits = self._server.limits
        if request.method != "POST":
            return not_found()
        try:
            made = limits.mint(request.headers.get("authorization"), installation)
        except Refused as refused:
            return _error(401, str(refused))
        if made is None:
            return not_found()
        said = {
            "token": made.token,
            "expires_at": instant(made.expires),
            "permissions": {"contents": "read", "metadata": "read"},
            "repository_selection": "all",
        }
        return Reply(201, said, "installation_token")

    def _queried(self, front: _Front, sent: bytes) -> Reply:
        left = self._server.limits.document(front.who, "graphql")
        private = front.who.may_see
        with self._server.state.lock:
            said = github_graphql.answer(
                self._server.state, json.loads(sent), left, private=private
            )
        return Reply(200, said, "graphql")

    def _failed(self, front: _Front, failure: Failure) -> tuple[Answer, Fault, bool]:
        """Return the failure that a test asked for."""
        limits = self._server.limits
        limited = failure.status if failure.status in {403, 429} else 429
        if failure.how == "primary":
            limits.exhaust(front.who, front.resource)
            reply = self._exhausted(front, limited)
        elif failure.how == "secondary":
            reply = Reply(limited, error_document(limited, _SECONDARY, _LIMITED))
            reply.headers["retry-after"] = "60"
        else:
            reply = _error(failure.status, _WORDS.get(failure.status, "Server Error"))
        reply.headers |= failure.headers
        answer, _ = self._sent(front, reply)
        return answer, wire_of(failure.how), front.who.authorised

    def _sent(self, front: _Front, reply: Reply) -> tuple[Answer, Fault]:
        """Write a reply with the headers that all answers have."""
        if reply.asset is not None and reply.status == 200:
            return self._server.storage.send(reply.asset, front.request)
        if reply.asset is not None:
            url = self._server.storage.sign(reply.asset, self._server.assets_url)
            reply.headers["Location"] = url
            body = b""
        else:
            if self._server.validate:
                github_schemas.check(reply.schema, reply.document)
            body = json.dumps(reply.document).encode()
        tag = _etag(body, front)
        shown = front.request.method == "GET" and reply.status == 200
        if shown and _matches(front.request.headers.get("if-none-match"), tag):
            reply.status = 304
            if front.who.authorised and front.path != "/rate_limit":
                self._server.limits.refund(front.who, front.resource)
        if "Link" in reply.headers:
            link = reply.headers["Link"]
            reply.headers["Link"] = self._server.rewrite_link(link)
        headers = self._headers(front, reply) | ({"ETag": tag} if shown else {})
        if reply.status == 304:
            # Neither a body nor its length: RFC 9110 section 15.4.5.
            del headers["Content-Type"]
            if not self._server.links_in_304:
                headers.pop("Link", None)
            return Answer(304, list(headers.items()), iter(())), Fault(framing="length")
        headers["Content-Length"] = str(len(body))
        return Answer(reply.status, list(headers.items()), iter([body])), Fault()

    def _headers(self, front: _Front, reply: Reply) -> dict[str, str]:
        server = self._server
        number = next(self._numbers)
        return {
            "Date": format_datetime(server.state.clock.now(), usegmt=True),
            "Content-Type": JSON,
            "Cache-Control": "private, max-age=60, s-maxage=60",
            "Vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "x-github-api-version-selected": "2022-11-28",
            "x-github-request-id": f"C0DE:{number:04X}:BEEF:{number:08X}",
            **server.limits.headers(front.who, front.resource),
            **reply.headers,
        }


_WORDS = {403: "Resource not accessible by personal access token", 404: "Not Found"}


def _error(status: int, message: str) -> Reply:
    return Reply(status, error_document(status, message))


def _page(request: Request) -> int:

    return Asked.of(request.query).number


def _etag(body: bytes, front: _Front) -> str:
    """Return a validator: it counts for one document and one credential."""
    hasher = sha256(body)
    hasher.update(front.who.account.encode())
    return f'W/"{hasher.hexdigest()}"'


def _matches(sent: str | None, tag: str) -> bool:
    """Compare weakly: RFC 9110 section 13.1.2."""
    if sent is None:
        return False
    return tag.removeprefix("W/") in {
        each.strip().removeprefix("W/") for each in sent.split(",")
    }
