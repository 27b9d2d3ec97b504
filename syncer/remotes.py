"""How git reaches each repository: pinned address, scoped header, own authority."""

from __future__ import annotations

from shlex import join
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from syncer import __version__
from syncer.git.remote import Remote
from syncer.upstream.egress import PORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.config import Config
    from syncer.credentials import Secret
    from syncer.endpoints import Host
    from syncer.model.names import RepoName
    from syncer.upstream.egress import Egress, Target


class Remotes:
    """Tells git where each repository is, without a secret in the address.

    `authorize` gives the Authorization header of a host.
    """

    def __init__(
        self,
        config: Config,
        egress: Egress,
        authorize: Callable[[Host], Secret | None],
    ) -> None:
        self._config = config
        self._egress = egress
        self._authorize = authorize

    def remote(self, name: RepoName) -> Remote:
        host = self._config.target_host(name.host)
        if host.protocol == "ssh":
            target = self._egress.target(host)
            return Remote(host.url(name), env=_ssh(host, target))
        parts = urlsplit(host.base)
        origin = f"{parts.scheme}://{parts.netloc}/"
        pairs = [("http.userAgent", f"syncer/{__version__}")]
        token = self._authorize(host)
        if token is not None:
            pairs.append(
                (f"http.{origin}.extraHeader", f"Authorization: {token.reveal()}")
            )
        if host.ca is not None:
            pairs.append((f"http.{origin}.sslCAInfo", str(host.ca)))
        if self._config.syncer.proxy is not None:
            pairs.append(("http.proxy", self._config.syncer.proxy))
        pinned = self._egress.target(host).curlopt_resolve
        if pinned is not None:
            pairs.append(("http.curloptResolve", pinned))
        return Remote(host.url(name), config=tuple(pairs))


def _ssh(host: Host, target: Target) -> tuple[tuple[str, str], ...]:
    """Return how git calls ssh: nobody's configuration, the address we checked."""
    port = "" if target.port == PORTS["ssh"] else f":{target.port}"
    alias = f"[{target.host}]{port}" if port else target.host
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
        "UserKnownHostsFile": str(host.known_hosts),
        "HostKeyAlias": alias,
    }
    if target.address is not None:
        options["HostName"] = target.address
    words = ["ssh", "-F", "/dev/null", "-i", str(host.ssh_key)]
    words += [part for k, v in options.items() for part in ("-o", f"{k}={v}")]
    return (("GIT_SSH_COMMAND", join(words)),)
