"""Runs checks side by side, each within its time, and lets none end the others."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TYPE_CHECKING, TypeAlias

from syncer.doctor.findings import Finding, unseen, wrong
from syncer.errors import SyncerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from syncer.doctor.site import Site

    Look: TypeAlias = Callable[[Site], Iterable[Finding]]

#: Seconds that a check may take; a server that hangs must not hang the others.
DEADLINE = 10.0


class Needs(Flag):
    """What a check cannot do without."""

    NOTHING = 0
    CONFIG = auto()
    CATALOG = auto()
    #: Asks hosts other than this one and the catalog's.
    OUTSIDE = auto()


@dataclass(frozen=True, slots=True)
class Check:
    """One question about an installation; its code never changes its meaning."""

    code: str
    title: str
    look: Look
    needs: Needs = Needs.CONFIG
    #: Root, who runs it, sees more than the store's owner.
    as_root: bool = False
    #: What helps where an error itself does not say.
    remedy: str = "see what the runbook says of it"

    @property
    def docs(self) -> str:
        """Where its causes and fixes are explained."""
        return f"runbook.md#{self.code.lower()}"


@dataclass
class Result:
    """What a check found, and the seconds that it took."""

    check: Check
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    #: The check that tells why this one was not looked at.
    cause: str | None = None


def examine(
    checks: Iterable[Check],
    site: Site,
    *,
    deadline: float | None = None,
) -> list[Result]:
    """Run checks, all at once, and return what each found, in their order."""
    began = time.monotonic()
    deadline = DEADLINE if deadline is None else deadline
    works = [_Work(check, site) for check in checks]
    for work in works:
        work.thread.start()
    for work in works:
        work.thread.join(max(0.0, began + deadline - time.monotonic()))
    return [work.result(deadline) for work in works]


class _Work:
    """One check in a thread, which nobody waits for at the end of the process."""

    def __init__(self, check: Check, site: Site) -> None:
        self.check = check
        self._site = site
        self._done: Result | None = None
        self._cause: str | None = None
        self.thread = threading.Thread(
            target=self._run, name=f"doctor {check.code}", daemon=True
        )

    def result(self, deadline: float) -> Result:
        """Return what it found until now."""
        if self._done is not None:
            return self._done
        text = f"{self.check.title}: no answer within {deadline:.0f} s"
        fix = "look at what it asks: a server that hangs, a disk that does"
        return Result(self.check, [wrong(text, fix)], deadline)

    def _run(self) -> None:
        began = time.monotonic()
        findings = list(self._looked())
        took = time.monotonic() - began
        self._done = Result(self.check, findings, took, self._cause)

    def _looked(self) -> Iterable[Finding]:
        missing = self._missing()
        if missing is not None:
            return [missing]
        try:
            # A list: what a check raises comes while it is gone through.
            return list(self.check.look(self._site))
        except SyncerError as exc:
            problems = "; ".join(getattr(exc, "problems", ()))
            text = f"{exc}: {problems}" if problems else str(exc)
            return [wrong(text, exc.hint or self.check.remedy)]
        except OSError as exc:
            where = f" ({exc.filename})" if exc.filename else ""
            text = f"it cannot be looked at: {exc.strerror or exc}{where}"
            return [wrong(text, "run it as root, or as the store's owner")]
        except Exception as exc:  # noqa: BLE001 - one broken check must not hide the others
            text = f"a defect in this check: {type(exc).__name__}: {exc}"
            return [wrong(text, "please report it")]

    def _missing(self) -> Finding | None:
        """Return why it cannot be looked at, if something is not there."""
        needs = self.check.needs
        if needs and self._site.settings is None:
            self._cause = "D03"
            return unseen("not looked at: the configuration cannot be read, see D03")
        if Needs.OUTSIDE in needs and self._site.offline:
            return unseen("not looked at: --offline")
        if Needs.CATALOG in needs:
            try:
                self._site.ledger()
            except SyncerError:
                self._cause = "D04"
                return unseen("not looked at: the catalog cannot be read, see D04")
        return None
