"""Names are checked once, where they enter, and are types from then on.

A `RepoName` is safe to use as a path and inside a URL; a ref that passed
`check_ref` is safe to write into `packed-refs`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from operator import methodcaller
from typing import TYPE_CHECKING

from syncer.errors import InvalidName

if TYPE_CHECKING:
    from collections.abc import Collection

GITHUB = "github.com"
MAX_HOST = 253  # RFC 1035 2.3.4, and short enough for a directory
MAX_SEGMENT = 100
MAX_SEGMENTS = 20
MAX_REF_BYTES = 4096

_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?::[0-9]{1,5})?"
)
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?P<rest>.*)", re.IGNORECASE)
_SCP = re.compile(r"(?:[A-Za-z0-9_.-]+@)(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/].*)")
# What nearly all names are: OWNER/NAME, and nothing to look at twice.
_USUAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# The port that a scheme means anyway is no part of a host's name.
_PORTS = {"https": ":443", "http": ":80", "ssh": ":22", "git+ssh": ":22"}
# A mirror's directory ends in `.git`, its lock in `.lock`, its quarantine in
# `.incoming`: an owner of that shape could be mistaken for one of them.
_OURS = (".git", ".lock", ".incoming")

# https://git-scm.com/docs/git-check-ref-format, rules 1-10.
_BAD_REF = re.compile(
    "[\x00-\x20\x7f~^:?*\\[\\\\]"  # rules 4, 5 and 10
    r"|\.\.|@\{|//|/\.|/$|\.$"  # rules 3, 8, 6, 1, 6 and 7
    r"|\.lock(?:/|$)"  # rule 1
)


@dataclass(frozen=True, order=True)
class RepoName:
    """One repository on one host.

    Equality is spelling; `identity` is what two spellings of one repository
    have in common.
    """

    host: str
    owner: str  # nested groups on some hosts: "group/subgroup"
    name: str

    @classmethod
    def parse(cls, text: str) -> RepoName:
        """Read a name as people write it.

        Accepts `OWNER/NAME` (github.com), `HOST/OWNER/NAME` with nested
        groups, https, http and ssh URLs and `git@HOST:OWNER/NAME`, each with
        or without `.git`.

        Raises:
            InvalidName: with a sentence that says which part is wrong.
        """
        if _USUAL.fullmatch(text) and not text.lower().endswith(".git"):
            owner, _, name = text.partition("/")
            return cls(GITHUB, owner, name)
        host, path = _split_host(text)
        owner, slash, name = path.removesuffix("/").rpartition("/")
        name = name.removesuffix(".git")
        if not slash or not owner:
            msg = f"{shown(text)} is not a repository: write OWNER/NAME"
            raise InvalidName(msg, hint="for example: syncer add QwenLM/Qwen-Image")
        repo = cls(host, owner, name)
        repo._check(text)
        return repo

    def _check(self, text: str) -> None:
        for problem in _problems(self):
            msg = f"{shown(text)} is not a repository name: {problem}"
            raise InvalidName(msg)

    @cached_property
    def identity(self) -> str:
        """The name with its case folded: one repository has one."""
        return f"{self.host}/{self.owner}/{self.name}".lower()

    @property
    def short(self) -> str:
        """The name as people write it: without the host when on github.com.

        `parse` reads it back; a host without a dot would look like an owner.
        """
        full = f"{self.owner}/{self.name}"
        if self.host == GITHUB:
            return full
        named = _names_host(self.host)
        return f"{self.host}/{full}" if named else f"https://{self.host}/{full}"

    @property
    def path(self) -> str:
        """The directory of the bare repository, below `DATA/git`."""
        return f"{self.host}/{self.owner}/{self.name}.git"

    def __str__(self) -> str:
        return self.short


@dataclass(frozen=True, order=True)
class OwnerName:
    """An organisation or user of one host."""

    host: str
    owner: str

    @classmethod
    def parse(cls, text: str) -> OwnerName:
        """Read `OWNER` (github.com) or `HOST/OWNER`, with or without `org:`.

        Raises:
            InvalidName: with a sentence that says which part is wrong.
        """
        plain = text.removeprefix("org:").removeprefix("user:")
        try:
            # An owner is what owns a repository of some name.
            repo = RepoName.parse(f"{plain.removesuffix('/')}/x")
        except InvalidName:
            msg = f"{shown(text)} is not an owner: write OWNER or HOST/OWNER"
            raise InvalidName(msg, hint="for example: syncer add org:QwenLM") from None
        return cls(repo.host, repo.owner)

    @property
    def identity(self) -> str:
        """The name with its case folded."""
        return f"{self.host}/{self.owner}".lower()

    def __str__(self) -> str:
        return self.owner if self.host == GITHUB else f"{self.host}/{self.owner}"


def _split_host(text: str) -> tuple[str, str]:
    """Return the host and the rest of any accepted spelling."""
    if _has_control(text):
        msg = f"{shown(text)} is not a repository name: it has control characters"
        raise InvalidName(msg)
    url = _URL.fullmatch(text)
    if url is not None:
        return _split_url(text, url["scheme"].lower(), url["rest"])
    scp = _SCP.fullmatch(text)
    if scp is not None:
        return scp["host"].lower(), scp["path"]
    first, slash, rest = text.partition("/")
    if slash and "/" in rest.rstrip("/"):
        if _names_host(first):
            return first.lower().removesuffix(_PORTS["https"]), rest
        msg = f"{shown(text)} has no host: nested groups are written HOST/GROUP/NAME"
        raise InvalidName(msg)
    return GITHUB, text


def _names_host(first: str) -> bool:
    """Return whether the first of three parts is a host, not a group."""
    return "." in first or ":" in first or first.lower() == "localhost"


def _split_url(text: str, scheme: str, rest: str) -> tuple[str, str]:
    if scheme not in _PORTS:
        msg = f"{shown(text)} is not mirrored: only https and ssh addresses are"
        raise InvalidName(msg)
    authority, _, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at and (":" in user or scheme.startswith("http")):
        msg = "an address with a user or password in it is refused"
        hint = "tokens come from a credential file or the environment, never from a URL"
        raise InvalidName(msg, hint=hint)
    if "?" in path or "#" in path:
        msg = f"{shown(text)} is not a repository: it has a query or a fragment"
        raise InvalidName(msg)
    return host.lower().removesuffix(_PORTS[scheme]), path


def _problems(repo: RepoName) -> list[str]:
    found = []
    segments = repo.owner.split("/")
    if _HOST.fullmatch(repo.host) is None or len(repo.host) > MAX_HOST:
        found.append(f"{shown(repo.host)} is not a host name")
    if repo.host == GITHUB and len(segments) > 1:
        found.append("an address on github.com is OWNER/NAME and nothing more")
    if len(segments) > MAX_SEGMENTS:
        found.append(f"it has more than {MAX_SEGMENTS} parts")
    for segment in segments:
        found.extend(_owner_problems(segment, repo.host))
    # "." and ".." satisfy the character class and would escape the root.
    if _NAME.fullmatch(repo.name) is None or repo.name in {".", ".."}:
        found.append(f"{shown(repo.name)} has characters no repository has")
    elif repo.name.lower().endswith(".git"):
        found.append("the name still ends in `.git` when `.git` is taken off")
    if max(map(len, [*segments, repo.name])) > MAX_SEGMENT:
        found.append(f"a part is longer than {MAX_SEGMENT} characters")
    return found


def _owner_problems(segment: str, host: str) -> list[str]:
    if _OWNER.fullmatch(segment) is None:
        return [f"the owner {shown(segment)} has characters no owner has"]
    if segment.lower().endswith(_OURS):
        return [f"the owner {shown(segment)} ends as our own files do"]
    if host == GITHUB and "." in segment:
        return ["an owner on github.com has no dot: write HOST/OWNER/NAME"]
    return []


def _has_control(text: str) -> bool:
    return any(not c.isprintable() for c in text)


def shown(text: str) -> str:
    """Quote upstream's or a user's text so that it cannot steer a terminal."""
    clipped = text if len(text) <= MAX_SEGMENT else text[:MAX_SEGMENT] + "…"
    return ascii(clipped) if _has_control(clipped) else f"`{clipped}`"


def check_ref(name: str) -> str:
    """Return `name` if git would accept it as a ref below `refs/`.

    Names that are not UTF-8 carry their bytes as surrogate escapes.

    Raises:
        InvalidName: it breaks a rule of git-check-ref-format, names nothing below
            `refs/<kind>/`, or is too long for a path.
    """
    if (
        not name.startswith("refs/")
        or _BAD_REF.search(name, 4) is not None
        or name.count("/") < 2  # noqa: PLR2004 - refs/<kind>/<name>
        or not _fits(name)
    ):
        msg = f"{shown(name)} is not a ref name"
        raise InvalidName(msg)
    return name


def _fits(name: str) -> bool:
    try:
        return len(name.encode("utf-8", "surrogateescape")) <= MAX_REF_BYTES
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False


# Bytes that break no rule wherever they stand, and what may break one.
_PLAIN = bytes(
    set(range(0x21, 0x7F)) - set(b"~^:?*[\\") | set(range(0x80, 0x100)) | {0x0A}
)
_SUSPECT = ("..", "@{", "//", "/.", "/\n", ".\n", ".lock")
_SLASHES = methodcaller("count", "/")


def check_refs(names: Collection[str]) -> None:
    """Check many names as `check_ref` does, at a fraction of its cost.

    Raises:
        InvalidName: for the first name that breaks a rule.
    """
    if not _plain(names):
        for name in names:
            check_ref(name)


def _plain(names: Collection[str]) -> bool:
    """Return whether all names are good at a glance; False says nothing."""
    lines = "\n".join(["", *names, ""])
    try:
        unusual = lines.encode("utf-8", "surrogateescape").translate(None, _PLAIN)
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False
    return not (
        unusual
        or any(text in lines for text in _SUSPECT)
        or lines.count("\n") != len(names) + 1
        or lines.count("\nrefs/") != len(names)
        or min(map(_SLASHES, names), default=2) < 2  # noqa: PLR2004 - as above
        or max(map(len, names), default=0) > MAX_REF_BYTES // 4
    )
