"""Whether this process lives, and whether it is ready to do its work.

`/healthz` is answered by the event loop alone: it asks neither the catalog nor a
disk, so that a slow database gets nobody restarted.  `/readyz` does ask: it is 503
while the catalog does not answer or its schema is not ours, while no scheduler has
ended a tick lately, and while the store is below its floor of free space.  What is
wrong is said in sentences that name nothing; the log has the details.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from syncer.errors import NotInitialised, SchemaOutdated, SyncerError
from syncer.model.machines import Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.model.machines import Machine
    from syncer.web.view import View

log = logging.getLogger(__name__)

#: A machine that was not heard of for longer does not work.
PATIENCE = timedelta(seconds=60)

CATALOG = "the catalog does not answer"
SCHEMA = "the catalog's schema does not fit this version"
SCHEDULER = "no scheduler has ended a tick in the last minute"
SPACE = "the store is below its floor of free space"
STORE = "the store cannot be looked at"


def problems(view: View, before: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what keeps this process from its work; empty when nothing does.

    A difference to what it was before is logged, with the details.
    """
    found = {**_catalog(view), **_store(view)}
    sentences = tuple(found)
    if sentences and sentences != before:
        log.warning("not ready", extra={"reasons": list(found.values())})
    elif before and not sentences:
        log.info("ready again")
    return sentences


def _catalog(view: View) -> dict[str, str]:
    try:
        view.check_schema()
        machines = view.operations.machines()
    except (NotInitialised, SchemaOutdated) as exc:
        return {SCHEMA: str(exc)}
    except SyncerError as exc:
        return {CATALOG: str(exc)}
    if is_scheduled(machines, view.config.machine, view.clock.now()):
        return {}
    return {SCHEDULER: SCHEDULER}


def is_scheduled(machines: Iterable[Machine], own: str, now: datetime) -> bool:
    """Return whether somebody decides who is due: we, or the elected one."""
    return any(
        now - each.seen <= PATIENCE and (each.leader or _is(each, own))
        for each in machines
        if Role.SCHEDULER in each.roles
    )


def _is(machine: Machine, name: str) -> bool:
    return machine.name.partition("/")[0] == name


def _store(view: View) -> dict[str, str]:
    try:
        view.store.check_space()
    except SyncerError as exc:
        return {SPACE: str(exc)}
    except OSError as exc:
        return {STORE: str(exc)}
    return {}


def spoken(found: Iterable[str]) -> str:
    """Return one line for each problem, or that there is none."""
    return "".join(f"{each}\n" for each in found) or "ready\n"


def as_json(found: Iterable[str]) -> str:
    """Return the same for programs."""
    lines = list(found)
    document = {"schema": "syncer.ready/v1", "ready": not lines, "problems": lines}
    return json.dumps(document) + "\n"
