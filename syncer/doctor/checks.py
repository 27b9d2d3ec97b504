"""Every check there is, by its code; a code never gets another meaning."""

from __future__ import annotations

from syncer.doctor import (
    blobs,
    budgets,
    clock,
    exports,
    filesystem,
    hosts,
    kernel,
    plaintext,
    program,
    proxy,
    records,
    units,
)
from syncer.doctor.examination import Check, Needs

_DATABASE = "is its server there, its disk full? then: syncer db check"
_OBJECTS = "start the server, or correct [syncer] blobs and [syncer.s3]"
_STORED = Needs.CONFIG | Needs.CATALOG
_AWAY = Needs.CONFIG | Needs.OUTSIDE

CHECKS = (
    Check("D01", "programs", program.programs, Needs.NOTHING),
    Check("D02", "clock", clock.clock, Needs.NOTHING),
    Check("D03", "configuration", program.configuration, Needs.NOTHING),
    Check("D04", "catalog", records.catalog, remedy=_DATABASE),
    Check("D05", "store", filesystem.store),
    Check("D06", "space", filesystem.space),
    Check("D07", "NFS", exports.nfs, as_root=True),
    Check("D08", "blob store", blobs.reach, remedy=_OBJECTS),
    Check("D09", "unfinished transfers", blobs.leftovers, _STORED, remedy=_OBJECTS),
    Check("D10", "tokens", hosts.tokens, _AWAY),
    Check("D11", "budgets", budgets.budgets, _STORED),
    Check("D12", "upstream", hosts.reach, _AWAY),
    Check("D13", "proxy", proxy.proxy, _AWAY),
    Check("D14", "kernel", kernel.kernel, Needs.NOTHING),
    Check("D15", "plain text", plaintext.plaintext),
    Check("D16", "service", units.unit, Needs.NOTHING, as_root=True),
    Check("D17", "machines", records.machines, _STORED),
    Check("D18", "integrity", records.integrity, _STORED),
    Check("D19", "alerts", records.alerts),
)
