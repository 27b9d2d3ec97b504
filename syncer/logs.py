"""Logging as the daemon does it: one line an event, no secret in any of them.

Modules use the standard `logging` with a constant sentence and the facts as
`extra`; structlog gives the lines their shape.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from syncer.credentials import Redactor
from syncer.errors import Interrupted
from syncer.model.runs import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from syncer.credentials import Secret
    from syncer.model.runs import SyncRun

log = logging.getLogger(__name__)

#: syslog priorities for sd-daemon(3): journald reads `<N>` at the line's start.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_NOISY = ("urllib3", "git", "apscheduler", "alembic", "sqlalchemy", "tzlocal")
#: It warns whenever a tick is left out since the last one is still at it: as meant.
_PACED = "apscheduler.scheduler"


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Shapes a line, then takes every secret out of it."""

    def __init__(self, redactor: Redactor, processors: list[Processor]) -> None:
        super().__init__(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[self.remove_processors_meta, *processors],
        )
        #: What takes them out.
        self.redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without secrets."""
        return self.redactor.clean(super().format(record))


def configure(
    environ: Mapping[str, str], secrets: Iterable[Secret], *, level: int = logging.INFO
) -> Redactor:
    """Send every log line to stderr; return what redacts them.

    Lines are logfmt; `SYNCER_LOG=json` makes each a JSON document, and under
    journald they carry their priority instead of the time.
    """
    redactor = Redactor(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(redactor, _processors(environ)))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger(_PACED).setLevel(logging.ERROR)
    return redactor


def learn_brief(secret: Secret) -> None:
    """Take a secret of an hour out of every line from here on, too."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, RedactingFormatter):
            handler.formatter.redactor.learn_brief(secret)


def _processors(environ: Mapping[str, str]) -> list[Processor]:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    trace = structlog.processors.format_exc_info
    if environ.get("SYNCER_LOG") == "json":
        return [stamp, trace, structlog.processors.JSONRenderer(default=str)]
    order = ["timestamp", "level", "event"]
    line = structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True)
    if environ.get("JOURNAL_STREAM"):
        return [trace, lambda *args: _with_priority(line, *args)]
    return [stamp, trace, line]


def _with_priority(
    line: structlog.processors.LogfmtRenderer,
    logger: WrappedLogger,
    name: str,
    event: EventDict,
) -> str:
    priority = _PRIORITIES.get(str(event.pop("level", "info")), 6)
    return f"<{priority}>{line(logger, name, event)}"


def run_ended(run: SyncRun) -> None:
    """Log how a run ended, in one line: a warning where a person should look.

    An unchanged mirror is no run.  One that we ended ourselves needs nobody.
    """
    if run.outcome is Outcome.UNCHANGED:
        return
    facts = _facts(run)
    expected = run.outcome is Outcome.CHANGED or run.exit_code == Interrupted.exit_code
    log.log(
        logging.INFO if expected else logging.WARNING, "sync run ended", extra=facts
    )
    if run.outcome in {Outcome.CHANGED, Outcome.PARTIAL}:
        for note in run.notes:
            extra = {"repo": str(run.name), "run": run.id, "note": note}
            log.warning("noted by a run", extra=extra)


def _facts(run: SyncRun) -> dict[str, object]:
    """Return what is told of a run; what it has not is left out."""
    took = run.took
    counts = {f"refs_{kind}": count for kind, count in run.counts.items()}
    facts = {
        "repo": str(run.name),
        "outcome": str(run.outcome),
        "trigger": str(run.trigger),
        "run": run.id or None,
        "machine": run.machine,
        "seconds": None if took is None else round(took.total_seconds(), 2),
        "bytes": run.received + run.lfs.received + run.releases.received,
        "refs": sum(run.counts.values()),
        **counts,
        "generation": run.generation or None,
        "missing": run.lfs.missing + run.releases.missing or None,
        "error": run.error,
        "hint": run.hint,
    }
    return {key: value for key, value in facts.items() if value is not None}
