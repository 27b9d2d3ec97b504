"""One object of 20 GiB: through memory that does not grow, and past the disk."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from syncer.model.blobs import blob_key
from tests.acceptance.command import name_on
from tests.servers.pointers import pointer_file

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

    from tests.acceptance.command import Command
    from tests.servers.git_http import GitServer
    from tests.servers.repositories import Repository
    from tests.servers.s3 import S3Server

    Upstream = Callable[[str], Repository]

NAME = "acme/large"
MIB, GIB = 1 << 20, 1 << 30
SIZE = 20 * GIB
#: It is put together beside its name, and copied; the disk is not to be filled.
NEEDED = 2 * SIZE + 5 * GIB
#: Resident memory beyond the bytes in flight, which are 128 MiB.
RESIDENT = 200 * MIB
IN_FLIGHT = 128 * MIB
#: The catalog and the refs; not a part of an object.
WRITTEN = 16 * MIB


def measured(syncer: Command, *words: str) -> resource.struct_rusage:
    """Run a command to its good end, and return what it used."""
    process = syncer.start(*words)
    out, err = process.stdout, process.stderr
    if out is None or err is None:
        raise AssertionError
    with out, err:
        said = out.read() + err.read()
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return usage


@pytest.mark.long
def test_an_object_of_twenty_gibibytes_goes_through(
    syncer: Command, git_server: GitServer, upstream: Upstream, minio: S3Server
) -> None:
    """Upstream makes it up while it sends it; nobody holds it but the store."""
    free = shutil.disk_usage(minio.place.data).free
    if free < NEEDED:
        pytest.skip(f"{NEEDED / GIB:.0f} GiB are needed, {free / GIB:.0f} are free")
    pointer = git_server.lfs.generate(NAME, 1, SIZE)
    upstream(NAME).commit("main", {"large.bin": pointer_file(pointer)})
    bucket = minio.bucket()
    syncer.environ |= {
        "SYNCER_BLOBS": f"s3://{bucket}",
        "SYNCER_S3_ENDPOINT": minio.endpoint,
        "SYNCER_S3_ACCESS_KEY": minio.access_key,
        "SYNCER_S3_SECRET_KEY": minio.secret_key,
    }
    syncer.init(git_server, name_on(git_server, NAME))
    usage = measured(syncer, "sync")
    assert git_server.lfs.sent == SIZE
    assert usage.ru_maxrss * 1024 <= RESIDENT + IN_FLIGHT
    assert usage.ru_oublock * 512 <= WRITTEN
    client, key = minio.client(), f"blobs/{blob_key(pointer.oid)}"
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(each["Key"], each["Size"]) for each in listed] == [(key, SIZE)]
    hashed = sha256()
    answer = client.get_object(Bucket=bucket, Key=key)
    for block in answer["Body"].iter_chunks(MIB):
        hashed.update(block)
    assert hashed.hexdigest() == pointer.oid
