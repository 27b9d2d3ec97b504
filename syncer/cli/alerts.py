"""`alert`: whom the program tells of trouble, what it told, and whether it can."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from syncer.cli import options
from syncer.cli.render import printable, stamp, table
from syncer.errors import ConfigError, SyncerError
from syncer.model.incidents import Kind
from syncer.units import span

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.alerting import Alert
    from syncer.cli.records import Records
    from syncer.cli.session import Session
    from syncer.config import Config
    from syncer.model.incidents import Incident

_LATELY = timedelta(days=7)
_LINE = 110  # where a detail is cut; `--json` has it whole


@click.group("alert", epilog=options.statuses())
def alert_command() -> None:
    """Show and try the channels that tell people of trouble."""


@alert_command.command("list", epilog=options.statuses())
@options.newest
@options.as_json
@click.pass_obj
def list_(session: Session, *, limit: int, as_json: bool) -> None:
    """List the channels, and what happened in the last week and was told.

    Where a channel leads is never shown, only which service it is.
    """
    with session.records() as records:
        lately = _lately(records)[:limit]
        if as_json:
            body = {
                "channels": [_channel(each) for each in records.config.alert],
                "incidents": [_incident(each) for each in lately],
            }
            session.output.document("alerts", body)
            return
        _print(session, records, lately)


@alert_command.command("test", epilog=options.statuses(5))
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every channel.")
@click.pass_obj
def test_(session: Session, names: tuple[str, ...], *, every: bool) -> int:
    """Send a test message, and tell whether it was taken."""
    from syncer.notify.channels import opened
    from syncer.notify.words import Sender, trial

    config, out = session.config(), session.output
    chosen = _chosen(config, names, every=every)
    web, failed = config.syncer.web, 0
    for channel in opened(chosen):
        try:
            channel.send(trial(channel.name, Sender(web.name, web.url)))
        except SyncerError as exc:
            out.error(str(exc))
            failed = exc.exit_code
        else:
            out.say(f"{channel.name}: {channel.service} took it")
    out.next("syncer config show --origin" if failed else "syncer alert list")
    return failed


def _chosen(config: Config, names: tuple[str, ...], *, every: bool) -> list[Alert]:
    """Return the channels that were named.

    Raises:
        ConfigError: there are none, or one is not configured.
    """
    known = {alert.name: alert for alert in config.alert}
    if not known:
        msg = "no channel is configured; nothing was sent"
        raise ConfigError(msg, hint="write an [[alert]] into repos.toml")
    if every:
        return list(known.values())
    if not names:
        msg = "which channel? nothing was sent"
        raise ConfigError(msg, hint=f"syncer alert test {next(iter(known))}")
    for name in names:
        if name not in known:
            msg = f"there is no channel {printable(name)!r}; nothing was sent"
            raise ConfigError(msg, hint=f"known: {', '.join(sorted(known))}")
    return [known[name] for name in dict.fromkeys(names)]


def _lately(records: Records) -> list[Incident]:
    """Return what lasts, or ended in the last week, the newest first."""
    found = records.operations().incidents(records.now - _LATELY)
    return sorted(found, key=lambda each: (each.began, each.id), reverse=True)


def _print(session: Session, records: Records, lately: list[Incident]) -> None:
    out = session.output
    rows = [
        (
            alert.name,
            _service(alert),
            "all" if set(alert.on) == set(Kind) else ", ".join(alert.on),
            ", ".join(alert.tiers) or "all",
            "once" if alert.repeat is None else f"every {span(alert.repeat)}",
        )
        for alert in records.config.alert
    ]
    if not rows:
        out.say("no channel is configured: write an [[alert]] into repos.toml")
    else:
        for line in table(("CHANNEL", "SERVICE", "ON", "TIERS", "TELLS"), rows):
            out.data(line)
    if lately:
        out.data()
        headers = ("BEGAN", "ENDED", "TOLD", "WHAT", "OF", "DETAIL")
        for line in table(headers, list(map(_row, lately)), width=_LINE):
            out.data(line)
    else:
        out.say("nothing went wrong in the last week")
    out.next("syncer alert test --all" if rows else "syncer status")


def _row(each: Incident) -> tuple[str, ...]:
    ended = "" if each.is_event else (_short(each.ended) or "lasts")
    told = _short(each.told) or "no"
    return _short(each.began), ended, told, each.kind, each.subject, each.detail


def _short(at: datetime | None) -> str:
    return "" if at is None else f"{at:%m-%d %H:%M}"


def _service(alert: Alert) -> str:
    from syncer.notify.channels import service_of

    return service_of(alert)


def _channel(alert: Alert) -> dict[str, object]:
    repeat = alert.repeat
    return {
        "name": alert.name,
        "service": _service(alert),
        "on": [kind.value for kind in alert.on],
        "tiers": list(alert.tiers),
        "repeat_seconds": None if repeat is None else repeat.total_seconds(),
        "recovery": alert.recovery,
    }


def _incident(each: Incident) -> dict[str, object]:
    return {
        "kind": each.kind.value,
        "subject": printable(each.subject),
        "detail": printable(each.detail),
        "began": stamp(each.began),
        "ended": stamp(each.ended),
        "event": each.is_event,
        "told": stamp(each.told),
        "recovery_told": stamp(each.recovery_told),
    }
