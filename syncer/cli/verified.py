"""What a verification found of one mirror: one word, lines, a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.cli.render import printable, styled
from syncer.model.runs import Word
from syncer.units import plural, size

if TYPE_CHECKING:
    from syncer.model.care import Damage, VerifyReport

_SHOWN = 20  # damaged blobs of one mirror
_NAMED = 3  # names of one of them


def word_of(report: VerifyReport, *, repair: bool) -> Word:
    """Return the word for what was found of a mirror."""
    if report.damaged:
        return Word.FAIL
    unlinked = 0 if repair else report.unlinked
    lacking = report.missing or unlinked or report.present < report.pointers
    assets = report.assets
    is_whole = not lacking and assets.present == assets.total
    return Word.OK if is_whole else Word.PARTIAL


def lines_of(report: VerifyReport, *, repair: bool) -> list[str]:
    """Return what a person reads of one mirror: a line, and every damaged blob."""
    word = styled(word_of(report, repair=repair))
    lines = [f"{report.name.short}  {word}  {'; '.join(_parts(report))}"]
    lines += [f"  damaged: {_words(each)}" for each in report.damaged[:_SHOWN]]
    left = len(report.damaged) - _SHOWN
    return [*lines, f"  and {left:,} more: --json has all"] if left > 0 else lines


def _parts(report: VerifyReport) -> list[str]:
    """Return what is told of LFS objects, of assets, and of the blobs of both."""
    assets = report.assets
    parts = []
    if report.lfs:
        objects = f"{plural(report.pointers, 'object')}, {report.present:,} present"
        missing = (report.missing, "missing upstream")
        unknown = (report.unlinked, "not known before")
        parts.append(", ".join([objects, *_counted(missing, unknown)]))
    if assets.total:
        here = f"{plural(assets.total, 'asset')}, {assets.present:,} present"
        parts.append(", ".join([here, *_counted((assets.missing, "missing"))]))
    found = _counted((len(report.damaged), "damaged"), (report.repaired, "repaired"))
    if report.read:
        found.append(f"{report.read:,} read ({size(report.read_bytes)})")
    parts += [", ".join(found)] if found else []
    return parts or ["nothing is here"]


def _counted(*counts: tuple[int, str]) -> list[str]:
    return [f"{count:,} {what}" for count, what in counts if count]


def _words(damage: Damage) -> str:
    """Return what is damaged: the assets by name, an LFS object by its oid."""
    named = ", ".join(map(printable, damage.names[:_NAMED])) or damage.oid
    left = len(damage.names) - _NAMED
    more = f" and {left:,} more" if left > 0 else ""
    return f"{named}{more} ({size(damage.size)}): {printable(damage.why)}"


def document(report: VerifyReport, *, repair: bool) -> dict[str, object]:
    """Return what was found of one mirror."""
    return {
        "repository": report.name.short,
        "state": word_of(report, repair=repair).value,
        "lfs": report.lfs,
        "pointers": report.pointers,
        "present": report.present,
        "missing": report.missing,
        "unlinked": report.unlinked,
        "assets": {
            "total": report.assets.total,
            "present": report.assets.present,
            "missing": report.assets.missing,
            "damaged": report.assets.damaged,
        },
        "damaged": [
            {
                "oid": each.oid,
                "size_bytes": each.size,
                "why": printable(each.why),
                "assets": [printable(name) for name in each.names],
            }
            for each in report.damaged
        ],
        "repaired": report.repaired,
        "read": report.read,
        "read_bytes": report.read_bytes,
    }
