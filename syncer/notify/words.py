"""What messages say, and when many become one (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.model.incidents import Kind
from syncer.model.notices import Mood, Notice
from syncer.notify.alerts import Phase
from syncer.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from syncer.model.incidents import Incident

#: Messages of one kind that a channel gets in `PACE` seconds; more become one.
BURST = 3
PACE = 600.0
#: Names that a message about many has.
_NAMED = 10
#: WeCom takes 2,048 bytes, the title included.
_TITLE, _BODY = 120, 1700
_DETAIL = 300

_WORDS = {
    Kind.LATE: "LATE",
    Kind.FAILING: "FAIL",
    Kind.HELD: "HELD",
    Kind.DISK: "DISK",
    Kind.INTEGRITY: "INTEGRITY",
    Kind.UPSTREAM: "UPSTREAM",
    Kind.LICENCE: "LICENCE",
    Kind.FORCE_PUSH: "FORCE-PUSH",
    Kind.SCHEDULER: "SCHEDULER",
}
_FORMS = {
    Phase.NEWS: "{word}: {what}",
    Phase.AGAIN: "still {word}: {what}",
    Phase.PAST: "was {word}, is over: {what}",
    Phase.OVER: "over: {word}: {what}",
}
#: Of one mirror is asked; of all the others, what is typed without a name.
_NEXT = {
    Kind.LATE: ("syncer show {}", "syncer lag"),
    Kind.DISK: ("syncer status", "syncer status"),
    Kind.SCHEDULER: ("syncer status", "syncer status"),
    Kind.UPSTREAM: ("syncer show {}", "syncer audit --alarms"),
    Kind.LICENCE: ("syncer show {}", "syncer audit --alarms"),
    Kind.FORCE_PUSH: ("syncer history {}", "syncer audit --alarms"),
}
_ELSE = ("syncer show {}", "syncer status")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who messages say they are from, and where more is to be seen."""

    name: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One notice, and the incidents that it tells of."""

    notice: Notice
    kind: Kind
    phase: Phase
    ids: tuple[int, ...]


def messages(
    say: Iterable[tuple[Incident, Phase]],
    hosts: Mapping[int, str],
    sent: Mapping[Kind, int],
    sender: Sender,
    now: datetime,
) -> list[Message]:
    """Return what to send now; `sent` is how much was of late, by kind.

    A host that is down is one message, not five hundred.  What does not fit waits,
    and goes out with what came meanwhile.  `hosts` are those of mirrors, by id.
    """
    groups: dict[tuple[Kind, Phase, str], list[Incident]] = {}
    for each, phase in say:
        host = hosts.get(each.mirror_id or 0, "")
        groups.setdefault((each.kind, phase, host), []).append(each)
    left = {kind: BURST - sent.get(kind, 0) for kind in Kind}
    found = []
    for (kind, phase, host), those in groups.items():
        if left[kind] <= 0:
            continue
        parts = [those] if len(those) > left[kind] else [[each] for each in those]
        left[kind] -= len(parts)
        for part in parts:
            notice = _notice(part, phase, host, sender, now)
            found.append(Message(notice, kind, phase, tuple(e.id for e in part)))
    return found


def trial(channel: str, sender: Sender) -> Notice:
    """Return what `syncer alert test` sends."""
    body = f"This is how the channel {channel} tells of trouble.  Nothing is wrong."
    return _bounded(f"{sender.name}: a test", [body], sender, Mood.TEST)


def plain(text: str, most: int = _DETAIL) -> str:
    """Return text of upstream's in one line that calls nobody and links nowhere.

    Chats read `@all`, `<!channel>` and `[text](address)` as more than text.
    """
    line = "".join(c if c.isprintable() else "\ufffd" for c in text)
    for mark, harmless in (("@", "＠"), ("<", "‹"), (">", "›"), ("](", "] (")):  # noqa: RUF001 - looks alike on purpose
        line = line.replace(mark, harmless)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _notice(
    those: Sequence[Incident], phase: Phase, host: str, sender: Sender, now: datetime
) -> Notice:
    first = those[0]
    named = plain(first.subject, 80)
    if len(those) == 1:
        what, lines = named, [plain(first.detail), *_when(first, phase, now)]
    else:
        subjects = list(dict.fromkeys(plain(each.subject, 80) for each in those))
        what = _many(subjects, host)
        lines = [*_listed(those), *_rest(len(those))]
        named = subjects[0] if len(subjects) == 1 else ""
    word = _FORMS[phase].format(word=_WORDS[first.kind], what=what)
    one, all_ = _NEXT.get(first.kind, _ELSE)
    lines.append(f"Next: {one.format(named) if named else all_}")
    mood = Mood.OVER if phase in {Phase.OVER, Phase.PAST} else Mood.ALARM
    return _bounded(f"{sender.name}: {word}", lines, sender, mood)


def _many(subjects: Sequence[str], host: str) -> str:
    if len(subjects) == 1:
        return subjects[0]
    return f"{len(subjects):,} mirrors{f' of {host}' if host else ''}"


def _when(each: Incident, phase: Phase, now: datetime) -> list[str]:
    began = f"{each.began:%Y-%m-%d %H:%M:%S} UTC"
    if each.is_event:
        return [f"Seen {began}"]
    lasted = duration(each.lasted(now))
    if phase in {Phase.OVER, Phase.PAST}:
        return [f"From {began}, for {lasted}"]
    return [f"Since {began}, for {lasted} now"]


def _listed(those: Sequence[Incident]) -> list[str]:
    """Return a line for each of the first, the reason that most share before them."""
    details = Counter(plain(each.detail) for each in those)
    detail, count = details.most_common(1)[0]
    lines = [f"{detail} ({count:,})"] if count > 1 else []
    oldest = sorted(those, key=lambda each: (each.began, each.subject))[:_NAMED]
    for each in oldest:
        own = plain(each.detail, 100)
        said = "" if plain(each.detail) == detail and count > 1 else f": {own}"
        lines.append(f"- {plain(each.subject, 80)}{said}")
    return lines


def _rest(count: int) -> list[str]:
    return [f"and {count - _NAMED:,} more"] if count > _NAMED else []


def _bounded(title: str, lines: Sequence[str], sender: Sender, mood: Mood) -> Notice:
    """Return a notice; what is too long for the smallest of services is cut."""
    end = [] if sender.url is None else [sender.url]
    room = _BODY - sum(len(line.encode()) + 1 for line in (lines[-1], *end))
    kept: list[str] = []
    for line in lines[:-1]:
        room -= len(line.encode()) + 1
        if room < 0:
            kept.append("…")
            break
        kept.append(line)
    body = "\n".join([*kept, lines[-1], *end])
    return Notice(plain(title, _TITLE), body, mood)
