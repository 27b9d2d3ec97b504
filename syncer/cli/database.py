"""`db`: the catalog's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncer.cli import options

if TYPE_CHECKING:
    from syncer.cli.session import Session

_OUTDATED = 10


@click.group("db", epilog=options.statuses())
def db_command() -> None:
    """Look after the catalog's tables."""


@db_command.command("upgrade", epilog=options.statuses(5))
@click.option("--sql", is_flag=True, help="Print the statements, contact nothing.")
@click.pass_obj
def upgrade(session: Session, *, sql: bool) -> None:
    """Apply the migrations that are missing, one process at a time."""
    from syncer.catalog import database

    config = session.config()
    told = database.upgrade(config.catalog_url, sql=sql)
    if config.is_cluster:
        told = f"{told}\n{_upgrade_queue(config.catalog_url, sql=sql)}"
    if sql:
        session.output.data(told)
        return
    session.output.say(told)
    session.output.next("syncer status")


def _upgrade_queue(url: str, *, sql: bool) -> str:
    """Bring the tables of the queue up to date that several machines share."""
    from syncer.catalog import database
    from syncer.cli.worker import without_procrastinate

    try:
        from syncer.workers import cluster_schema
    except ModuleNotFoundError as exc:
        raise without_procrastinate(exc) from None
    if sql:
        return cluster_schema.statements()
    return cluster_schema.upgrade(database.libpq(url))


@db_command.command("current", epilog=options.statuses())
@options.as_json
@click.pass_obj
def current(session: Session, *, as_json: bool) -> int:
    """Tell which migration the catalog is at, and which one is needed."""
    from syncer.catalog import database

    engine = database.connect(session.config().catalog_url)
    present, wanted = database.current(engine), database.head()
    engine.dispose()
    if as_json:
        session.output.document("db", {"current": present, "needed": wanted})
    else:
        session.output.data(present or "none")
    if present == wanted:
        return 0
    session.output.say(f"this program needs {wanted}")
    session.output.next("syncer db upgrade")
    return _OUTDATED


@db_command.command("check", epilog=options.statuses())
@click.pass_obj
def check(session: Session) -> int:
    """Compare the catalog's tables with what this program expects of them."""
    from syncer.catalog import database

    config = session.config()
    engine = database.connect(config.catalog_url)
    database.check_schema(engine)
    engine.dispose()
    differences = database.check_models(config.catalog_url)
    for difference in differences:
        session.output.data(difference)
    if differences:
        session.output.error(
            "the tables differ from the program's; nothing was changed"
        )
        return 1
    session.output.say("the tables are as they should be")
    session.output.next("syncer status")
    return 0
