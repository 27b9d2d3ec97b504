"""What an intent's row keeps of releases is read as it was."""

from __future__ import annotations

import json
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from syncer.catalog.release_json import (
    changes_values,
    event_values,
    read_changes,
    read_event,
)
from syncer.model.origin import Event
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Author,
    Departure,
    Page,
    Proof,
    Release,
    ReleaseChanges,
    ReleaseRecord,
)

#: Any text: also lone surrogates, and what is no JSON without an escape.
texts = st.text(st.characters(), max_size=8)
instants = st.datetimes(timezones=st.just(UTC))
ids = st.integers(0, 2**63 - 1)
authors = st.none() | st.builds(Author, ids, texts)
assets = st.builds(
    Asset,
    id=ids,
    node_id=texts,
    name=texts,
    size=ids,
    digest=st.none() | texts,
    uploaded=st.booleans(),
    label=st.none() | texts,
    content_type=texts,
    created=st.none() | instants,
    updated=st.none() | instants,
    uploader=authors,
)
asset_records = st.builds(
    AssetRecord,
    asset=assets,
    state=st.sampled_from(AssetState),
    blob=st.none() | texts,
    proof=st.none() | st.sampled_from(Proof),
    reason=st.none() | texts,
    since=st.none() | instants,
    retry_at=st.none() | instants,
    tries=ids,
    gone=st.none() | instants,
    departure=st.none() | st.sampled_from(Departure),
    attestation=st.none() | texts,
)
releases = st.builds(
    Release,
    id=ids,
    node_id=texts,
    tag=texts,
    target=texts,
    title=st.none() | texts,
    body=st.none() | texts,
    author=authors,
    draft=st.booleans(),
    prerelease=st.booleans(),
    immutable=st.booleans(),
    created=st.none() | instants,
    published=st.none() | instants,
    updated=st.none() | instants,
    assets=st.lists(assets, max_size=1).map(tuple),
)
records = st.builds(
    ReleaseRecord,
    release=releases,
    assets=st.lists(asset_records, max_size=2).map(tuple),
    gone=st.none() | instants,
    selected=st.booleans(),
)
pages = st.builds(
    Page,
    url=texts,
    etag=st.none() | texts,
    ids=st.lists(ids, max_size=3).map(tuple),
    next=st.none() | texts,
    read=st.none() | instants,
)
changes = st.builds(
    ReleaseChanges,
    records=st.lists(records, max_size=2).map(tuple),
    pages=st.lists(pages, max_size=2).map(tuple),
    asked=texts,
    listed=st.none() | instants,
)


@given(changes)
def test_changes_survive_json(given_: ReleaseChanges) -> None:
    """Every field of every record, asset and page."""
    stored = json.dumps(changes_values(given_))

    assert read_changes(json.loads(stored)) == given_


@given(st.builds(Event, texts, texts, alarming=st.booleans()))
def test_events_survive_json(given_: Event) -> None:
    """An alarm stays one."""
    assert read_event(json.loads(json.dumps(event_values(given_)))) == given_
