"""GitHub's documents: what is taken from them, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ProtocolError
from syncer.model.names import RepoName
from syncer.model.releases import Asset, Author, Release
from syncer.upstream import github_documents as documents
from syncer.upstream.json_documents import parse

HOST = "github.test"
DIGEST = "ab" * 32
MOST = (1 << 63) - 1

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def repository(**fields: object) -> dict[str, object]:
    """Return a repository as the API writes it."""
    return {
        "id": 7,
        "node_id": "R_7",
        "name": "tool",
        "owner": {"id": 1, "login": "acme"},
    } | fields


def asset(**fields: object) -> dict[str, object]:
    """Return an asset as the API writes it."""
    return {
        "id": 31,
        "node_id": "RA_31",
        "name": "tool.whl",
        "size": 10,
        "state": "uploaded",
    } | fields


def release(**fields: object) -> dict[str, object]:
    """Return a release as the API writes it."""
    return {"id": 5, "node_id": "RE_5", "tag_name": "v1"} | fields


def read(**fields: object) -> Release:
    """Read one release."""
    (found,) = documents.read_releases([release(**fields)], "acme/tool")
    return found


def read_asset(**fields: object) -> Asset:
    """Read one asset."""
    (found,) = read(assets=[asset(**fields)]).assets
    return found


def test_a_repository_may_say_nearly_nothing() -> None:
    """Who it is must be there; all else has a value that means nothing special."""
    facts = documents.read_repository(repository(), HOST)

    assert (facts.id, facts.node_id) == (7, "R_7")
    assert facts.name == RepoName(HOST, "acme", "tool")
    assert (facts.licence, facts.language, facts.topics) == (None, None, ())
    assert (facts.size, facts.pushed, facts.private) == (0, None, False)


@pytest.mark.parametrize(
    ("fields", "private"),
    [
        ({"private": True}, True),
        ({"visibility": "internal"}, True),
        ({"visibility": "private", "private": False}, True),
        ({"visibility": "public"}, False),
    ],
)
def test_what_is_not_public_is_private(
    fields: dict[str, object],
    private: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Also what everybody of a company may see."""
    found = documents.read_repository(repository(**fields), HOST)
    assert found.private is private


def test_a_licence_that_upstream_does_not_know_is_one() -> None:
    """It has no identifier then, but it is there."""
    found = documents.read_repository(repository(license={"spdx_id": None}), HOST)
    assert found.licence == "NOASSERTION"


def test_sizes_are_counted_in_bytes() -> None:
    """Upstream counts in KiB."""
    assert documents.read_repository(repository(size=3), HOST).size == 3072


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": "7"}, "id of a repository"),
        ({"id": True}, "id of a repository"),
        ({"id": -1}, "id of a repository"),
        ({"id": MOST + 1}, "id of a repository"),
        ({"node_id": "R 7"}, "node_id of repository 7"),
        ({"node_id": "R" * 256}, "node_id of repository 7"),
        ({"name": ".."}, "is no name"),
        ({"name": "tool.git"}, "is no name"),
        ({"name": "a/b"}, "is no name"),
        ({"name": None}, "name of repository 7"),
        ({"owner": None}, "owner of repository 7"),
        ({"owner": {"login": "a?b"}}, "is no name"),
        ({"archived": "yes"}, "archived of repository 7"),
        ({"license": "MIT"}, "license of repository 7"),
        ({"topics": "ai"}, "topics of repository 7"),
        ({"topics": [1]}, "a topic"),
        ({"topics": ["x"] * 201}, "more than 200"),
        ({"size": MOST // 1024 + 1}, "size of repository 7"),
        ({"pushed_at": "yesterday"}, "pushed_at of repository 7"),
        ({"pushed_at": "2026-02-30T00:00:00Z"}, "pushed_at of repository 7"),
        ({"pushed_at": "0001-01-01T00:00:00+23:00"}, "pushed_at of repository 7"),
    ],
)
def test_a_repository_that_cannot_be_is_refused(
    fields: dict[str, object], said: str
) -> None:
    """The error says where."""
    with pytest.raises(ProtocolError, match=said):
        documents.read_repository(repository(**fields), HOST)


def test_a_branch_that_git_would_not_take_is_none() -> None:
    """Git itself tells which branch it is; this is for people."""
    found = documents.read_repository(repository(default_branch="a..b"), HOST)
    assert found.default_branch is None


def test_times_are_utc() -> None:
    """Whatever offset they are written with, and down to the microsecond."""
    found = read(
        created_at="2026-03-01T12:00:00Z", updated_at="2026-03-01T14:00:00.25+02:00"
    )
    assert found.created == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.updated == datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    assert found.updated.tzinfo is UTC


def test_a_release_without_an_author_has_none() -> None:
    """Accounts are deleted; what they published stays."""
    found = read(author=None, assets=[asset(uploader=None)])
    assert (found.author, found.assets[0].uploader) == (None, None)
    bot = {"id": 9, "login": "github-actions[bot]"}
    assert read(author=bot).author == Author(9, "github-actions[bot]")


def test_a_draft_may_have_no_tag_yet() -> None:
    """What is published has one that git takes."""
    assert read(tag_name="", draft=True).tag == "untagged-5"
    assert read(tag_name="v1 beta", draft=True).tag == "untagged-5"
    with pytest.raises(ProtocolError, match="tag_name of release 5"):
        read(tag_name="v1 beta")


def test_notes_are_never_cut() -> None:
    """They come whole, or the listing does not."""
    notes = "x" * documents.NOTES
    assert read(body=notes).body == notes
    with pytest.raises(ProtocolError, match="body of release 5"):
        read(body=notes + "x")


def test_text_that_no_database_stores_is_made_storable() -> None:
    """NUL and halves of characters are replaced, all else stays as it is."""
    found = read(body="a\0b\ud800c\N{GRINNING FACE}\ufeff", name="\ufefft")
    assert found.body == "a\ufffdb\ufffdc\N{GRINNING FACE}\ufeff"
    assert found.title == "\ufefft"


def test_a_digest_is_a_sha256_or_none() -> None:
    """Another kind of digest is none that we could check."""
    assert read_asset(digest=f"sha256:{DIGEST.upper()}").digest == DIGEST
    assert read_asset(digest=None).digest is None
    assert read_asset(digest=f"sha512:{DIGEST}").digest is None
    assert read_asset(digest=DIGEST).digest is None
    assert read_asset(digest=f"sha256:{DIGEST}\n").digest is None


def test_an_upload_that_has_not_ended_is_told_apart() -> None:
    """Only "uploaded" is; a state that nobody knows is not."""
    assert read_asset().uploaded
    assert not read_asset(state="open").uploaded
    assert not read_asset(state="starter").uploaded
    assert not read_asset(state=None).uploaded


def test_a_name_is_kept_as_it_is() -> None:
    """It is a value, not a path: nothing is made of it before it is checked."""
    for name in ("../../etc/passwd", "a\\b", "\x1b[2J", "\u202egpj.exe", "x" * 1024):
        assert read_asset(name=name).name == name


def test_a_content_type_that_is_none_means_bytes() -> None:
    """Whoever uploads chooses it."""
    assert read_asset(content_type="text/plain").content_type == "text/plain"
    for kind in (None, "", "a\r\nX-Evil: 1", "x" * 256, "\N{SNOWMAN}"):
        found = read_asset(content_type=kind)
        assert found.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": 1.5}, "id of an asset of release 5"),
        ({"name": ""}, "name of asset 31"),
        ({"name": "a\0b"}, "name of asset 31"),
        ({"name": "a\udc80"}, "name of asset 31"),
        ({"name": "x" * 1025}, "name of asset 31"),
        ({"size": -1}, "size of asset 31"),
        ({"size": MOST + 1}, "size of asset 31"),
        ({"size": "10"}, "size of asset 31"),
        ({"size": None}, "size of asset 31"),
        ({"digest": 5}, "digest of asset 31"),
        ({"state": True}, "state of asset 31"),
        ({"label": "x" * 4001}, "label of asset 31"),
        ({"uploader": {"id": 1, "login": ""}}, "login of uploader of asset 31"),
        ({"created_at": 1700000000}, "created_at of asset 31"),
    ],
)
def test_an_asset_that_cannot_be_spoils_the_listing(
    fields: dict[str, object], said: str
) -> None:
    """The error names the release, and no part of the listing counts."""
    with pytest.raises(ProtocolError, match=said) as caught:
        read(assets=[asset(**fields)])
    assert "release 5 (`v1`) of acme/tool" in str(caught.value)


def test_an_asset_is_there_once() -> None:
    """Two of one id are a mistake of upstream's."""
    with pytest.raises(ProtocolError, match="assets of release 5"):
        read(assets=[asset(), asset(name="other")])


@pytest.mark.parametrize("value", [None, {}, "x", [None], [[]], [1]])
def test_a_list_of_releases_is_one(value: object) -> None:
    """Another document of the API is none."""
    with pytest.raises(ProtocolError):
        documents.read_releases(value, "acme/tool")


def test_a_page_has_a_hundred_at_most() -> None:
    """More than we asked for is no answer to what we asked."""
    many = [release(id=number) for number in range(101)]
    with pytest.raises(ProtocolError, match="more than 100"):
        documents.read_releases(many, "acme/tool")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"id": 1, "name": ',
        b"[" * 100_000,
        b'{"id": NaN}',
        b'{"id": Infinity}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b"\xff\xfe\xfd",
        b"<html></html>",
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Also what Python alone would take for it."""
    with pytest.raises(ProtocolError, match="the releases of acme/tool"):
        parse(body, "the releases of acme/tool")


@given(st.dictionaries(st.sampled_from(sorted(release() | repository())), JSON))
def test_no_release_breaks_the_reader(fields: dict[str, Any]) -> None:
    """Whatever a field is, there is a value or a `ProtocolError`."""
    try:
        found = read(**fields)
    except ProtocolError:
        return
    assert 0 <= found.id <= MOST
    json.dumps(found.tag).encode()
    for text in (found.title, found.body, found.target):
        assert text is None or text == text.encode().decode()


@given(
    st.dictionaries(
        st.sampled_from(["name", "size", "digest", "label", "uploader", "updated_at"]),
        JSON,
        min_size=1,
    )
)
def test_no_asset_breaks_the_reader(fields: dict[str, Any]) -> None:
    """As for releases."""
    try:
        found = read_asset(**fields)
    except ProtocolError:
        return
    assert found.name.encode()
    assert 0 <= found.size <= MOST
    assert found.digest is None or len(found.digest) == 64


def test_attestations_are_joined_without_their_addresses() -> None:
    """A bundle is a document for ever, its address counts for some minutes."""
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}
    body = json.dumps(
        {
            "attestations": [
                {"bundle": bundle, "bundle_url": "https://x.test/?sig=s"},
                {"bundle": None, "bundle_url": "https://x.test/?sig=t"},
                "stray",
            ]
        }
    ).encode()

    found = documents.read_attestations(body, "attestations")

    assert found == [{"bundle": bundle}]
    assert json.loads(documents.write_attestations(found)) == {"attestations": found}
    with pytest.raises(ProtocolError):
        documents.read_attestations(b'{"attestations": {}}', "attestations")
