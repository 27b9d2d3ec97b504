"""Repositories, releases and assets as GitHub's REST API writes them.

The fields are those of docs.github.com/en/rest/repos/repos and
docs.github.com/en/rest/releases, version 2022-11-28.  What changes all the time and
is none of ours (`download_count`, reactions) is not read.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from syncer.errors import InvalidName
from syncer.model.names import RepoName
from syncer.model.origin import Facts
from syncer.model.releases import Asset, Author, Release
from syncer.upstream.json_documents import MOST, Fields, parse, reject, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Entries of one page of any listing.
PAGE = 100
#: Characters of release notes (GitHub takes 125,000), and of shorter texts; the
#: catalog holds as many.
NOTES, LINE = 1 << 18, 4000
#: Characters of an asset's name.
NAME = 1024
_KIB = 1024
_MOST_ASSETS = 100_000
_MOST_TOPICS = 200
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_TYPE = re.compile(r"[ -~]{1,255}")
_BYTES = "application/octet-stream"
_UPLOADED = "uploaded"


def read_repository(value: object, host: str) -> Facts:
    """Return what a document says of a repository on a host.

    Raises:
        ProtocolError: it is none, or has a field that cannot be.
    """
    fields = Fields(value, "a repository")
    id_ = fields.number("id")
    fields.what = f"repository {id_}"
    licence = fields.part("license")
    visibility = fields.prose("visibility", 20) or "public"
    branch = fields.ref("default_branch", "heads")
    return Facts(
        id=id_,
        node_id=fields.word("node_id"),
        name=_name(fields, host),
        default_branch=branch,
        private=fields.flag("private") or visibility != "public",
        archived=fields.flag("archived"),
        disabled=fields.flag("disabled"),
        fork=fields.flag("fork"),
        licence=None if licence is None else _licence(licence),
        topics=tuple(_topic(each) for each in fields.each("topics", _MOST_TOPICS)),
        language=fields.prose("language", 100),
        size=fields.number("size", most=MOST // _KIB, usual=0) * _KIB,
        pushed=fields.instant("pushed_at"),
    )


def _name(fields: Fields, host: str) -> RepoName:
    """Return the full name, as upstream spells it."""
    owner = fields.part("owner")
    if owner is None:
        reject(f"owner of {fields.what}", "is not there")
    said = RepoName(host, owner.word("login", 100), fields.word("name", 100))
    try:
        name = RepoName.parse(f"https://{host}/{said.owner}/{said.name}")
    except InvalidName:
        name = None
    if name != said:
        reject(f"full_name of {fields.what}", f"is no name: {fields.shown('name')}")
    return said


def _licence(fields: Fields) -> str:
    return fields.prose("spdx_id", 100) or "NOASSERTION"


def _topic(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100:  # noqa: PLR2004 - above
        reject("a topic", "is no word")
    return value.encode("utf-8", "replace").decode()


def read_repositories(value: object, host: str) -> list[Facts]:
    """Return the repositories on one page of a listing."""
    found = rows(value, "a list of repositories", PAGE)
    return [read_repository(each, host) for each in found]


def read_releases(value: object, repository: str) -> list[Release]:
    """Return the releases on one page of a listing, in its order.

    Raises:
        ProtocolError: the answer is none, or one of them cannot be; it is named.
    """
    found = rows(value, f"the list of releases of {repository}", PAGE)
    return [_release(each, repository) for each in found]


def _release(value: object, repository: str) -> Release:
    fields = Fields(value, f"a release of {repository}")
    id_ = fields.number("id")
    fields.what = f"release {id_} ({fields.shown('tag_name')}) of {repository}"
    draft = fields.flag("draft")
    return Release(
        id=id_,
        node_id=fields.word("node_id"),
        tag=_tag(fields, id_, draft=draft),
        target=fields.prose("target_commitish", LINE) or "",
        title=fields.prose("name", LINE),
        body=fields.prose("body", NOTES),
        author=_author(fields, "author"),
        draft=draft,
        prerelease=fields.flag("prerelease"),
        immutable=fields.flag("immutable"),
        created=fields.instant("created_at"),
        published=fields.instant("published_at"),
        updated=fields.instant("updated_at"),
        assets=_assets(fields),
    )


def _tag(fields: Fields, id_: int, *, draft: bool) -> str:
    """Return the tag; a draft may have none yet, and is named as GitHub does then."""
    tag = fields.ref("tag_name", "tags")
    if tag is not None:
        return tag
    if not draft:
        reject(f"tag_name of {fields.what}", "is no tag")
    return f"untagged-{id_}"


def _assets(fields: Fields) -> tuple[Asset, ...]:
    found = [_asset(each, fields.what) for each in fields.each("assets", _MOST_ASSETS)]
    if len({asset.id for asset in found}) < len(found):
        reject(f"assets of {fields.what}", "are not all different")
    return tuple(found)


def _asset(value: object, release: str) -> Asset:
    fields = Fields(value, f"an asset of {release}")
    id_ = fields.number("id")
    fields.what = f"asset {id_} ({fields.shown('name')}) of {release}"
    digest = _DIGEST.fullmatch(fields.prose("digest", LINE) or "")
    kind = fields.prose("content_type", LINE) or ""
    return Asset(
        id=id_,
        node_id=fields.word("node_id"),
        # A name like `../x` is kept as it is: it never becomes a path unchecked.
        name=fields.name("name", NAME),
        size=fields.number("size"),
        # Of another kind than we check is as good as none.
        digest=None if digest is None else digest[1].lower(),
        uploaded=fields.prose("state", 40) == _UPLOADED,
        label=fields.prose("label", LINE),
        content_type=kind if _TYPE.fullmatch(kind) else _BYTES,
        created=fields.instant("created_at"),
        updated=fields.instant("updated_at"),
        uploader=_author(fields, "uploader"),
    )


def _author(fields: Fields, key: str) -> Author | None:
    found = fields.part(key)
    return None if found is None else Author(found.number("id"), found.name("login"))


def read_id(value: object, what: str) -> int:
    """Return the id of a document of any kind."""
    return Fields(value, what).number("id")


def read_attestations(body: bytes, what: str) -> list[object]:
    """Return the attestations of one page of an answer, those with a bundle.

    Their `bundle_url` is an address that counts for some minutes: it is left out.
    """
    fields = Fields(parse(body, what), what)
    return [
        {key: said for key, said in each.items() if key != "bundle_url"}
        for each in fields.each("attestations", PAGE)
        if isinstance(each, dict) and isinstance(each.get("bundle"), dict)
    ]


def write_attestations(found: Sequence[object]) -> bytes:
    """Return the document that several pages of attestations make together."""
    return json.dumps({"attestations": found}, separators=(",", ":")).encode()
