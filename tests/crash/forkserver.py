"""A warm process that carries out points: `python -m tests.crash.forkserver M:F`.

Imports the operation once.  Reads one order a line on standard input, JSON of
`namespace.Order`; writes one `namespace.Report` a line on standard output, the
first of them when it is ready.  Ends at the end of its input.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.crash.namespace import Order, Report, carry_out

if TYPE_CHECKING:
    from tests.crash.namespace import Operation


def load(name: str) -> Operation:
    """Import `module:function`."""
    module, _, function = name.partition(":")
    operation: Operation = getattr(importlib.import_module(module), function)
    return operation


def _tell(channel: int, report: Report) -> None:
    data = json.dumps(asdict(report)).encode() + b"\n"
    while data:
        data = data[os.write(channel, data) :]


def serve(name: str) -> None:
    """Answer orders until there are no more."""
    # The operation's output must not mix with ours, whoever prints it.
    channel = os.dup(1)
    os.dup2(2, 1)
    operation = load(name)
    gc.freeze()
    _tell(channel, Report())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _tell(channel, carry_out(Order(**json.loads(line)), operation))
            finally:
                os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    serve(sys.argv[1])
