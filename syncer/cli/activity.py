"""`pause`, `resume` and `accept`: a person decides about a mirror."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from syncer.cli import documents, options
from syncer.cli.render import printable
from syncer.cli.session import configured, event
from syncer.errors import PermanentError
from syncer.model.mirrors import Activity

if TYPE_CHECKING:
    from syncer.cli.session import Session
    from syncer.model.mirrors import Held
    from syncer.model.names import RepoName

_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@click.command("pause", epilog=options.statuses(12))
@options.names(required=True)
@click.pass_obj
def pause_command(session: Session, names: tuple[RepoName, ...]) -> None:
    """Take mirrors out of the schedule; what they have stays published."""
    _set(session, names, paused=True)
    session.output.next(f"syncer resume {' '.join(map(str, names))}")


@click.command("resume", epilog=options.statuses(12))
@options.names(required=True)
@click.pass_obj
def resume_command(session: Session, names: tuple[RepoName, ...]) -> None:
    """Take paused mirrors back into the schedule."""
    _set(session, names, paused=False)
    session.output.next(f"syncer sync {' '.join(map(str, names))}")


def _set(session: Session, names: tuple[RepoName, ...], *, paused: bool) -> None:
    wanted = Activity.PAUSED if paused else Activity.ACTIVE
    done = "paused" if paused else "resumed"
    with session.app() as app:
        for name in configured(app.config, names):
            if app.catalog.state(name).activity is wanted:
                state = "paused" if paused else "in the schedule"
                session.output.say(f"{name} is {state} already")
                continue
            told = event(app, "pause" if paused else "resume", name)
            app.catalog.set_paused(name, told, paused=paused)
            session.output.say(f"{name} is {done}")


@click.command("accept", epilog=options.statuses(12))
@options.name()
@click.option(
    "--object", "oid", metavar="OID", help="Accept what fsck says of this object."
)
@click.option(
    "--identity", is_flag=True, help="Accept that another repository has the name."
)
@options.as_json
@click.pass_obj
def accept_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    oid: str | None,
    identity: bool,
    as_json: bool,
) -> None:
    """Let pass what a mirror is held for.

    Look first: `syncer show NAME`. What is accepted is exactly what it shows;
    old tips stay readable under refs/syncer/keep/.

    --identity mirrors another repository, which has the name now, from then on
    into the same copy: only do that if you know whose it is.
    """
    if oid is not None and _OID.fullmatch(oid) is None:
        msg = "an object id is 40 or 64 hexadecimal digits"
        raise click.BadParameter(msg, param_hint="--object")
    with session.app() as app:
        (name,) = configured(app.config, names)
        check_identity(name, app.catalog.state(name).held, asked=identity)
        told = event(app, "accept", name, "--identity" if identity else oid or "")
        held = app.catalog.accept(name, told, oid=oid)
    if as_json:
        body = {"repository": name.short, "held": documents.held(held)}
        session.output.document("accept", body)
    else:
        session.output.say(f"accepted for {name}: {printable(held.reason)}")
    session.output.next(f"syncer sync {name}")


def check_identity(name: RepoName, held: Held | None, *, asked: bool) -> None:
    """Raise `PermanentError` unless a change of identity is accepted by its name."""
    waits = held is not None and held.identity is not None
    if waits and not asked:
        msg = f"another repository has the name {name} now; nothing was changed"
        hint = f"see `syncer show {name}`; if it is right: accept {name} --identity"
        raise PermanentError(msg, hint=hint)
    if asked and not waits:
        msg = f"no other repository has the name {name}; nothing was changed"
        raise PermanentError(msg, hint=f"syncer show {name}")
