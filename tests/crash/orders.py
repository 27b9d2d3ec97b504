"""What `cut_syncer` is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """One command line, and where it ends.

    `log` gets a line for each event, the last of them where the command died;
    its output goes to `output`.  `at` is the name of the event, with its turn
    when it has several: `block#17`.  `part` and `resumable` are those of the S3
    store, in bytes.
    """

    words: list[str]
    place: str
    environ: dict[str, str]
    log: str
    output: str
    part: int
    resumable: int
    at: str = ""
