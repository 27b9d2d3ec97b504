"""`rehome`: a mirror moves to another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.session import configured
from syncer.errors import ConfigError
from syncer.model.mirrors import Activity

if TYPE_CHECKING:
    from syncer.bootstrap import App
    from syncer.cli.session import Session
    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName


@click.command("rehome", epilog=options.statuses(7, 11, 12))
@options.name()
@click.option("--to", metavar="HOST", help="The machine that keeps it from now on.")
@click.option(
    "--fresh", is_flag=True, help="Clone it there anew; its old tips stay behind."
)
@options.as_json
@click.pass_obj
def rehome_command(
    session: Session,
    names: tuple[RepoName, ...],
    *,
    to: str | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Let this machine keep a mirror that another one kept until now.

    Copy its repository here first, with its times, while it is paused:

    \b
      syncer pause NAME
      rsync -aR OLD:/var/lib/syncer/./git/HOST/OWNER/NAME.git /var/lib/syncer/
      syncer rehome NAME
      syncer resume NAME

    The copy is checked: it has to be what was last published, and whole. LFS
    objects and assets lie in the object store, where all machines find them.
    """  # noqa: D301 - click keeps lines after the very character \b
    with session.app(reconcile=False) as app:
        (name,) = configured(app.config, names)
        here = app.config.syncer.host
        if here is None:
            msg = "one machine works for this catalog; nothing was changed"
            raise ConfigError(msg, hint="several machines have [syncer] host each")
        state, target = app.catalog.state(name), to or here
        if state.home == target:
            session.output.say(f"{name} is kept by {target} already")
        else:
            _move(app, state, target, fresh=fresh or not state.generation)
    if as_json:
        body = {"repository": name.short, "from": state.home, "to": target}
        session.output.document("rehome", body)
    elif state.home != target:
        session.output.say(f"{name} is kept by {target}, not by {state.home} any more")
    paused = state.activity is Activity.PAUSED
    further = [f"syncer resume {name}"] if paused else []
    session.output.next(*further, f"syncer show {name}")


def _move(app: App, state: RepoState, target: str, *, fresh: bool) -> None:
    from syncer.schedule.placement import alive
    from syncer.sync.rehoming import Rehoming

    here = app.config.machine
    living = alive(app.operations.machines(), app.clock.now())
    if target not in {here, *living}:
        msg = f"no worker of {target} was seen lately; nothing was changed"
        raise ConfigError(msg, hint=f"start `syncer worker` on {target}")
    if fresh:
        Rehoming(app.world, here).begin_anew(state, target, app.actor(), living)
    elif target != here:
        msg = f"what lies on {target} can only be checked there; nothing was changed"
        raise ConfigError(msg, hint=f"run it on {target}, or clone anew: --fresh")
    else:
        Rehoming(app.world, here).move(state, app.actor(), living)
