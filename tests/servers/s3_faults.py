"""What an S3 server does wrong, as values: see `S3Proxy.fault`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.servers.http_faults import Fault


@dataclass(frozen=True, slots=True)
class S3Fault(Fault):
    """A fault, and what the server learns of the request.

    Of the fields of `Fault`, an answer that stands in the server's place comes
    after the request's body was taken, as from a real server.
    """

    #: As the server's own answers are framed.
    framing: Literal["chunked", "close", "length"] | None = "length"
    #: The connection is reset after so many bytes of the request's body.
    cut: int | None = None
    #: Seconds before the answer begins.
    delay: float = 0.0
    #: The server is asked although another answer stands in its place.
    acts: bool = False


def refusal(
    code: int, name: str, *, acts: bool = False, retry_after: int | None = None
) -> S3Fault:
    """Answer with an error as S3 writes it, `name` such as `SlowDown`."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return S3Fault(
        status=code,
        headers=headers,
        body=error_document(name),
        content_type="application/xml",
        acts=acts,
    )


def error_document(name: str) -> str:
    """Return what S3 says of an error, in XML."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{name}</Code><Message>as the test asked for</Message>"
        "<Resource>/</Resource><RequestId>TEST</RequestId></Error>"
    )


def slow_down(retry_after: int | None = None) -> S3Fault:
    """Answer 503 as a server does that has too much to do."""
    return refusal(503, "SlowDown", retry_after=retry_after)


def internal_error() -> S3Fault:
    """Answer 500."""
    return refusal(500, "InternalError")


def unknown_key() -> S3Fault:
    """Answer that nobody has this pair of keys."""
    return refusal(403, "InvalidAccessKeyId")


def storage_full() -> S3Fault:
    """Answer as MinIO does when its disks are full."""
    return refusal(507, "XMinioStorageFull")


def failed_completion(*, acts: bool = False) -> S3Fault:
    """Answer 200 with an error inside, which CompleteMultipartUpload may do."""
    return refusal(200, "InternalError", acts=acts)


def lost_answer() -> S3Fault:
    """Let the server act, and the connection end before the answer."""
    return S3Fault(reset=0)
