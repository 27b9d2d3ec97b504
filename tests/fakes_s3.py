"""What an S3 store needs beside a server: a log of uploads, and the right time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncer.credentials import Secret
from syncer.limits import Room
from syncer.store.s3 import S3Address, S3Store

if TYPE_CHECKING:
    from syncer.model.blobs import Upload
    from tests.servers.s3 import S3Server

#: The smallest part that S3 takes, and from where on uploads are continued.
PART, RESUMABLE = 5 << 20, 11 << 20


class RealClock:
    """The machine's time: servers compare it with theirs."""

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class FakeUploadLog:
    """An `UploadLog` in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Upload] = {}
        #: Every key that was ever noted, in order.
        self.noted: list[str] = []

    def begin_upload(self, upload: Upload) -> None:
        """Note an upload."""
        self.rows[upload.key] = upload
        self.noted.append(upload.key)

    def end_upload(self, key: str) -> None:
        """Forget an upload."""
        self.rows.pop(key, None)

    def uploads(self) -> list[Upload]:
        """Return what was not forgotten, oldest first."""
        return sorted(self.rows.values(), key=lambda upload: upload.started)


class S3Rig:
    """A bucket of a server, and stores on it as processes open them."""

    def __init__(self, server: S3Server, prefix: str = "blobs/") -> None:
        self.server = server
        self.address = S3Address(
            bucket=server.bucket(),
            prefix=prefix,
            endpoint=server.endpoint,
            ca=server.ca,
            keys=(Secret(server.access_key), Secret(server.secret_key)),
        )
        self.log = FakeUploadLog()
        self.room = Room(1 << 30)
        self.stop = threading.Event()
        self._opened: list[S3Store] = []

    def open(self, address: S3Address | None = None) -> S3Store:
        """Open the store as another process does."""
        store = S3Store(
            address or self.address,
            uploads=self.log,
            clock=RealClock(),
            room=self.room,
            stop=self.stop,
            part=PART,
            resumable=RESUMABLE,
        )
        self._opened.append(store)
        return store

    def plant(self, key: str, body: bytes) -> None:
        """Put an object there as another program does."""
        self.server.client().put_object(
            Bucket=self.address.bucket, Key=f"{self.address.prefix}{key}", Body=body
        )

    def listed(self) -> list[str]:
        """Return every key of the bucket."""
        listed = self.server.client().list_objects_v2(Bucket=self.address.bucket)
        return [each["Key"] for each in listed.get("Contents", [])]

    def close(self) -> None:
        """Close what was opened."""
        for store in self._opened:
            store.close()
