"""`pin` and `unpin`: tags that no retention rule touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from syncer.cli import options
from syncer.cli.render import printable
from syncer.cli.session import configured, event
from syncer.errors import InvalidName, PermanentError
from syncer.model.names import RepoName, check_ref, shown
from syncer.model.releases import Pin

if TYPE_CHECKING:
    from syncer.bootstrap import App
    from syncer.cli.session import Session
    from syncer.model.mirrors import RepoState

_TAGS = "refs/tags/"


class Pinnable(NamedTuple):
    """A tag of a repository."""

    name: RepoName
    tag: str


def parse_pinnable(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001 - click's signature
    value: tuple[str, ...],
) -> tuple[Pinnable, ...]:
    """Return the tags that were named, each as `OWNER/NAME@TAG`.

    A tag may have an `@` of its own, a repository has none.

    Raises:
        InvalidName: one is no such tag.
    """
    found = []
    for text in value:
        name, at, tag = text.partition("@")
        if not at or not tag:
            msg = f"{shown(text)} names no tag; nothing was changed"
            raise InvalidName(msg, hint="for example: syncer pin QwenLM/Qwen@v1.0")
        check_ref(f"{_TAGS}{tag}")
        found.append(Pinnable(RepoName.parse(name), tag))
    return tuple(found)


_tags = click.argument(
    "tags", metavar="NAME@TAG...", nargs=-1, required=True, callback=parse_pinnable
)


@click.command("pin", epilog=options.statuses(12))
@_tags
@click.pass_obj
def pin_command(session: Session, tags: tuple[Pinnable, ...]) -> None:
    """Keep tags for good: their LFS objects and their assets never expire.

    What upstream deletes or replaces is otherwise kept for as long as `keep`
    says. `syncer show NAME` lists the pins.
    """
    out = session.output
    with session.app() as app:
        wanted = [(_state(app, each), each.tag) for each in tags]
        for state, tag in wanted:
            _check_known(app, state, tag)
        for state, tag in wanted:
            releases, now = app.world.releases, app.clock.now()
            told = event(app, "pin", state.name, tag)
            if any(pin.tag == tag for pin in releases.pins(state.id)):
                out.say(f"{printable(tag)} of {state.name} is pinned already")
                continue
            releases.pin(state.id, Pin(tag, now, app.actor()), told)
            out.say(f"{printable(tag)} of {state.name} is pinned")
    out.next(f"syncer show {wanted[0][0].name}")


@click.command("unpin", epilog=options.statuses(12))
@_tags
@click.pass_obj
def unpin_command(session: Session, tags: tuple[Pinnable, ...]) -> None:
    """Take pins back: retention applies to the tags again."""
    out = session.output
    with session.app() as app:
        wanted = [(_state(app, each), each.tag) for each in tags]
        for state, tag in wanted:
            told = event(app, "unpin", state.name, tag)
            if not app.world.releases.unpin(state.id, tag, told):
                msg = f"{printable(tag)} of {state.name} is not pinned"
                raise PermanentError(msg, hint=f"`syncer show {state.name}` lists pins")
            out.say(f"{printable(tag)} of {state.name} is not pinned any more")
    out.next(f"syncer show {wanted[0][0].name}")


def _state(app: App, wanted: Pinnable) -> RepoState:
    (name,) = configured(app.config, [wanted.name])
    return app.catalog.state(name)


def _check_known(app: App, state: RepoState, tag: str) -> None:
    """Raise unless a published ref or a release has the tag: a slip pins nothing."""
    if any(r.release.tag == tag for r in app.world.releases.releases(state.id)):
        return
    from syncer.git import packed_refs

    if f"{_TAGS}{tag}" in packed_refs.read(app.store.path(state.path)).refs:
        return
    msg = f"{state.name} has no tag {printable(tag)} here; nothing was pinned"
    raise PermanentError(msg, hint=f"syncer sync {state.name}")
