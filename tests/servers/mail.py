"""A mail server on loopback: what RFC 5321 needs to take a message."""

from __future__ import annotations

import socketserver
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import EmailMessage


@dataclass(frozen=True)
class Mail:
    """One message, and its envelope."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        parsed: EmailMessage = message_from_bytes(self.raw, policy=policy.default)
        return parsed

    @property
    def text(self) -> str:
        """Its text, however it is wrapped."""
        part = self.message.get_body(("plain", "html"))
        return "" if part is None else str(part.get_content())


class MailServer(socketserver.ThreadingTCPServer):
    """One port; `start` and `stop` once."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        #: Whether it refuses every recipient.
        self.refuses = False
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """End."""
        self.shutdown()
        self.server_close()


class _Conversation(socketserver.StreamRequestHandler):
    """One connection: commands until QUIT."""

    server: MailServer
    timeout = 30

    def handle(self) -> None:
        self._say("220 mail.test")
        sender, recipients = "", list[str]()
        while line := self.rfile.readline(2000).decode().strip():
            verb = line[:4].upper()
            if verb in {"EHLO", "HELO"}:
                self._say("250-mail.test\r\n250 SMTPUTF8")
            elif verb == "MAIL":
                sender, recipients = line.partition(":")[2].split()[0], []
                self._say("250 ok")
            elif verb == "RCPT" and not self.server.refuses:
                recipients.append(line.partition(":")[2].split()[0])
                self._say("250 ok")
            elif verb == "RCPT":
                self._say("550 nobody here")
            elif verb == "DATA":
                self._say("354 go on")
                mail = Mail(sender, tuple(recipients), self._body())
                self.server.mails.append(mail)
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _body(self) -> bytes:
        lines = []
        while (line := self.rfile.readline(100_000)) != b".\r\n":
            if not line:
                break
            lines.append(line.removeprefix(b".") if line[:2] == b".." else line)
        return b"".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
