"""What becomes of releases as JSON, and back: an intent's row keeps it so.

Exact in both directions, whatever upstream's text holds.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def changes_values(changes: ReleaseChanges) -> dict[str, Any]:
    """Return changes as JSON describes them."""
    return _values(changes) | {
        "records": [_record_values(each) for each in changes.records],
        "pages": [_values(each) for each in changes.pages],
    }


def read_changes(value: dict[str, Any]) -> ReleaseChanges:
    """Return the changes that JSON describes."""
    return ReleaseChanges(
        tuple(map(_read_record, value["records"])),
        tuple(map(_read_page, value["pages"])),
        value["asked"],
        _instant(value["listed"]),
    )


def event_values(event: Event) -> dict[str, Any]:
    """Return an event as JSON describes it."""
    return _values(event)


def read_event(value: dict[str, Any]) -> Event:
    """Return the event that JSON describes."""
    return Event(**value)


def _values(each: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a value, instants as text; none of it is nested."""
    return {field.name: _plain(getattr(each, field.name)) for field in fields(each)}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _record_values(each: ReleaseRecord) -> dict[str, Any]:
    shown = _values(each.release)
    shown["assets"] = [_values(asset) for asset in each.release.assets]
    assets = [_values(one) | {"asset": _values(one.asset)} for one in each.assets]
    return _values(each) | {"release": shown, "assets": assets}


def _read_record(value: dict[str, Any]) -> ReleaseRecord:
    return ReleaseRecord(
        _read_release(value["release"]),
        tuple(map(_read_asset_record, value["assets"])),
        _instant(value["gone"]),
        selected=value["selected"],
    )


def _read_release(value: dict[str, Any]) -> Release:
    dates = _instants(value, "created", "published", "updated")
    assets = tuple(map(_read_asset, value["assets"]))
    author = _read_author(value["author"])
    return Release(**value | dates | {"assets": assets, "author": author})


def _read_asset(value: dict[str, Any]) -> Asset:
    dates = _instants(value, "created", "updated")
    return Asset(**value | dates | {"uploader": _read_author(value["uploader"])})


def _read_asset_record(value: dict[str, Any]) -> AssetRecord:
    proof, departure = value["proof"], value["departure"]
    words = {
        "asset": _read_asset(value["asset"]),
        "state": AssetState(value["state"]),
        "proof": None if proof is None else Proof(proof),
        "departure": None if departure is None else Departure(departure),
    }
    return AssetRecord(**value | _instants(value, "since", "retry_at", "gone") | words)


def _read_page(value: dict[str, Any]) -> Page:
    return Page(**value | {"ids": tuple(value["ids"])} | _instants(value, "read"))


def _read_author(value: list[Any] | None) -> Author | None:
    return None if value is None else Author(*value)


def _instants(value: dict[str, Any], *names: str) -> dict[str, datetime | None]:
    return {name: _instant(value[name]) for name in names}


def _instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
