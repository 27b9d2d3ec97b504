"""What goes on beside the runs of a daemon, each in a thread of its own.

    care      packs that pile up, what has expired, blobs nobody needs
    outlook   many mirrors at once, and owners
    watch     what goes wrong, and who is told
    presence  what this process tells of itself through the catalog
    face      what others ask by HTTP

None of them keeps a run waiting, and none that fails stops another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.care import Care
from syncer.outlook import Outlook
from syncer.presence import Presence
from syncer.watch import Watch
from syncer.web.view import View

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime

    from syncer.bootstrap import App
    from syncer.model.machines import Role
    from syncer.model.mirrors import RepoState
    from syncer.presence import Duty
    from syncer.web.face import Face


class Attendants:
    """All of them, begun and ended together."""

    def __init__(self, started: datetime, roles: tuple[Role, ...]) -> None:
        self._started = started
        self.care = Care()
        self.outlook = Outlook()
        self._watch = Watch()
        self._presence = Presence(roles, started)
        self._face: Face | None = None

    @property
    def is_responsive(self) -> bool:
        """Whether the face answers, as far as there is one."""
        return self._face is None or self._face.responsive

    @property
    def threads(self) -> tuple[threading.Thread | None, ...]:
        """What may still work with the configuration that was in force."""
        return self.care.thread, self.outlook.thread, self._watch.thread

    def show(self, app: App) -> None:
        """Let the face show from this configuration on; it listens at the first call.

        Raises:
            ConfigError: the address that it is to listen at cannot be had.
        """
        settings = app.config.syncer.web
        view = self._view(app)
        if self._face is not None:
            if self._face.settings.listen == settings.listen:
                self._face.use(view)
                return
            self._face.stop()
        self._face = None
        if settings.address is not None:
            from syncer.web.face import Face  # noqa: PLC0415 - loads aiohttp, 0.2 s

            self._face = Face(view, settings)
            self._face.start()

    def attend(
        self, app: App, states: Sequence[RepoState], duty: Duty, *, idle: bool
    ) -> None:
        """Begin what is due; a process that does not lead leaves most of it."""
        self._presence.beat(app, duty)
        self._watch.begin(app, states, leads=duty.leader)
        if duty.leader:
            self.outlook.begin(app, states)
        home = app.config.syncer.host
        ours = [state for state in states if state.home == home]
        self.care.begin(app, ours, idle=idle, leads=duty.leader)

    def leave(self, app: App) -> None:
        """Stop answering, wait for what is at work, and say goodbye."""
        if self._face is not None:
            self._face.stop()
        self.care.join()
        self.outlook.join()
        self._watch.join()
        self._presence.leave(app)

    def _view(self, app: App) -> View:
        return View(
            app.config,
            app.catalog,
            app.operations,
            app.world.releases,
            app.store,
            app.clock,
            self._started,
            app.check_schema,
        )
