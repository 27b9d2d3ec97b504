"""How many things that each went well or not become one exit status (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED, PARTIAL = 1, 3


def exit_status(failed: Sequence[int], total: int) -> int:
    """Return the status of a command over `total` mirrors.

    `failed` holds one status for each that did not go well. If all failed in
    the same way, that is the answer; if some did not fail, it is `PARTIAL`.
    """
    if not failed:
        return 0
    if len(failed) < total:
        return PARTIAL
    return failed[0] or FAILED if len(set(failed)) == 1 else FAILED
