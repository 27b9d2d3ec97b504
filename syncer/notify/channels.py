"""Channels through Apprise: webhooks, mail, Slack, Feishu, DingTalk, WeCom and more.

Addresses are Apprise's, https://github.com/caronc/apprise/wiki.  They are secrets:
Apprise writes parts of them into its log, so that nothing of that gets out, and why
a message was not taken is told in words of ours.  Redirects are not followed.

Importing Apprise takes 0.4 s and 45 MiB, so it waits until there is a channel.
Requests go where the environment says (HTTPS_PROXY, NO_PROXY); mail goes directly.
"""

from __future__ import annotations

import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any

from syncer.errors import ConfigError, Unavailable
from syncer.model.notices import Mood
from syncer.notify.answers import Answers, Murmur

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.alerting import Alert
    from syncer.model.notices import Notice

#: Seconds to connect, and between two words of an answer.
TIMEOUT = 8.0

_LOADING = threading.Lock()
_MURMUR = Murmur()
#: Services that say no with a status of 200 and a reason in the body.
_POLITE = frozenset({"dingtalk", "feishu", "lark", "wecombot"})
#: Services of this very machine or of a screen: nobody reads those of a daemon.
_LOCAL = frozenset({"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows"})


class AppriseChannel:
    """One address, as Apprise reaches it."""

    def __init__(self, name: str, service: str, way: Any) -> None:  # noqa: ANN401 - Apprise's plug-ins have no common type worth its name
        self._name = name
        self._service = service
        self._way = way
        self._answers = Answers.of(way) if service in _POLITE else None

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self._name

    @property
    def service(self) -> str:
        """What kind of service it is."""
        return self._service

    def send(self, notice: Notice) -> None:
        """Deliver a notice, once: whether to try again is the caller's to say."""
        import apprise  # noqa: PLC0415 - see above

        kinds = {
            Mood.ALARM: apprise.NotifyType.WARNING,
            Mood.OVER: apprise.NotifyType.SUCCESS,
            Mood.TEST: apprise.NotifyType.INFO,
        }
        _MURMUR.forget()
        if self._answers is not None:
            self._answers.forget()
        try:
            # Not by way of `Apprise.notify`, whose threads the interpreter waits for.
            taken = self._way.notify(
                body=notice.body,
                title=notice.title,
                notify_type=kinds[notice.mood],
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception:  # noqa: BLE001 - plug-ins of a hundred authors; their words may hold the address
            taken = False
        refusal = None if self._answers is None else self._answers.refusal()
        if not taken or refusal is not None:
            reason = refusal or _MURMUR.reason() or "it did not answer, or refused"
            msg = f"the channel {self._name} did not take a message: {reason}"
            raise Unavailable(msg, hint=f"try it: syncer alert test {self._name}")


def service_of(alert: Alert) -> str:
    """Return what kind of service a channel's address names; `?` for none."""
    address = "" if alert.url is None else alert.url.reveal()
    scheme, found, _ = address.partition("://")
    return scheme.lower() if found and scheme.isalnum() else "?"


def opened(alerts: Iterable[Alert]) -> list[AppriseChannel]:
    """Return the ways to all channels.

    Raises:
        ConfigError: addresses cannot be used; the problems name the channels, and
            show no address.
    """
    found: list[AppriseChannel] = []
    problems: list[str] = []
    for alert in alerts:
        channel = _opened(alert)
        if channel is None:
            service = service_of(alert)
            kind = f" ({service}://)" if service != "?" else ""
            problems.append(
                f"alert {alert.name}: its address{kind} is not one Apprise can use"
            )
        else:
            found.append(channel)
    if problems:
        msg = "alerts cannot be sent; nothing was changed"
        hint = "addresses: https://github.com/caronc/apprise/wiki"
        raise ConfigError(msg, problems=tuple(problems), hint=hint)
    return found


def _opened(alert: Alert) -> AppriseChannel | None:
    if alert.url is None:
        return None
    service = service_of(alert)
    if service in _LOCAL:
        return None
    apprise = _loaded()
    asset = apprise.AppriseAsset(
        app_id="syncer",
        app_desc="syncer",
        app_url="",
        # No chat is told to fetch a picture from anywhere.
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        http_redirects=False,
    )
    try:
        way = apprise.Apprise.instantiate(alert.url.reveal(), asset=asset)
    except Exception:  # noqa: BLE001 - whatever a plug-in makes of an address, its words may hold it
        way = None
    if way is None:
        return None
    timeout = apprise.NotifyBase.socket_connect_timeout
    if way.request_timeout == (timeout, timeout):  # nobody asked for another
        way.socket_connect_timeout = way.socket_read_timeout = TIMEOUT
    return AppriseChannel(alert.name, service, way)


def _loaded() -> Any:  # noqa: ANN401 - a module
    """Return Apprise, its log kept to ourselves."""
    with _LOADING:
        log = logging.getLogger("apprise")
        log.propagate = False
        log.setLevel(logging.WARNING)
        if _MURMUR not in log.handlers:
            log.addHandler(_MURMUR)
        # What its plug-ins import may be deprecated; that is nobody's concern here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import apprise  # noqa: PLC0415 - see above

            apprise.Apprise.instantiate("json://127.0.0.1")  # loads them all
        return apprise
