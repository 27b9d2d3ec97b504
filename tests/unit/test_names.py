"""What is a repository's name, what is a ref's, and what is said of the others."""

from __future__ import annotations

import re

import pytest

from syncer.errors import InvalidName
from syncer.model import names
from syncer.model.names import MAX_REF_BYTES, RepoName, check_ref, check_refs, shown

QWEN = RepoName("github.com", "QwenLM", "Qwen-Image")


@pytest.mark.parametrize(
    "text",
    [
        "QwenLM/Qwen-Image",
        "QwenLM/Qwen-Image.git",
        "github.com/QwenLM/Qwen-Image",
        "GitHub.com/QwenLM/Qwen-Image/",
        "https://github.com/QwenLM/Qwen-Image",
        "https://github.com/QwenLM/Qwen-Image.git",
        "https://github.com:443/QwenLM/Qwen-Image.git/",
        "HTTP://GITHUB.COM/QwenLM/Qwen-Image",
        "ssh://git@github.com/QwenLM/Qwen-Image.git",
        "ssh://git@github.com:22/QwenLM/Qwen-Image.git",
        "git+ssh://git@github.com/QwenLM/Qwen-Image",
        "git@github.com:QwenLM/Qwen-Image.git",
    ],
)
def test_every_spelling_is_one_name(text: str) -> None:
    """People paste what they have at hand."""
    assert RepoName.parse(text) == QWEN


@pytest.mark.parametrize(
    ("text", "host", "owner", "name"),
    [
        ("huggingface.co/Qwen/Qwen-Image", "huggingface.co", "Qwen", "Qwen-Image"),
        ("git.corp/group/sub/name", "git.corp", "group/sub", "name"),
        ("localhost/a/b", "localhost", "a", "b"),
        ("127.0.0.1:8080/a/b", "127.0.0.1:8080", "a", "b"),
        ("https://git.corp:8443/a/b", "git.corp:8443", "a", "b"),
        ("git@git.corp:group/sub/name.git", "git.corp", "group/sub", "name"),
        ("owner/.github", "github.com", "owner", ".github"),
        ("owner/yarn.lock", "github.com", "owner", "yarn.lock"),
    ],
)
def test_other_hosts_and_groups_are_named_in_full(
    text: str, host: str, owner: str, name: str
) -> None:
    """A host has a dot, a port, or is localhost; groups nest below it."""
    assert RepoName.parse(text) == RepoName(host, owner, name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a repository: write OWNER/NAME"),
        ("name", "is not a repository: write OWNER/NAME"),
        ("/name", "is not a repository: write OWNER/NAME"),
        ("../name", "the owner `..` has characters no owner has"),
        ("owner/..", "`..` has characters no repository has"),
        ("owner/.", "`.` has characters no repository has"),
        ("owner/.git", "has characters no repository has"),
        ("git.corp/a/../b", "the owner `..` has characters no owner has"),
        ("git.corp/a//b", "the owner `` has characters no owner has"),
        ("--upload-pack=x/name", "has characters no owner has"),
        ("owner/--exec", "`--exec` has characters no repository has"),
        ("-host.corp/a/b", "`-host.corp` is not a host name"),
        ("owner/na me", "has characters no repository has"),
        ("owner/na\nme", "it has control characters"),
        ("owner/\x1b[2Jname", "it has control characters"),
        ("owner/n\N{RIGHT-TO-LEFT OVERRIDE}ame", "it has control characters"),
        ("öwner/name", "has characters no owner has"),
        ("owner/name.git.git", "still ends in `.git`"),
        ("owner/name.GIT", "still ends in `.git`"),
        ("git.corp/name.git/b", "ends as our own files do"),
        ("git.corp/a.Incoming/b", "ends as our own files do"),
        ("git.corp/name", "an owner on github.com has no dot"),
        ("github.com/a/b/c", "OWNER/NAME and nothing more"),
        ("https://github.com/a/b/tree/main", "OWNER/NAME and nothing more"),
        ("group/sub/name", "has no host"),
        ("https://token@github.com/a/b", "user or password in it is refused"),
        ("https://u:p@github.com/a/b", "user or password in it is refused"),
        ("ssh://git:p@github.com/a/b", "user or password in it is refused"),
        ("https://github.com/a/b?x=1", "a query or a fragment"),
        ("https://github.com/a/b#readme", "a query or a fragment"),
        ("file:///srv/git/a/b", "only https and ssh addresses are"),
        ("git://github.com/a/b", "only https and ssh addresses are"),
        ("ext::sh -c x/y", "has characters no owner has"),
        ("https:///a/b", "`` is not a host name"),
        ("https://[::1]/a/b", "is not a host name"),
        (f"{'x' * 101}/name", "longer than 100 characters"),
        (f"owner/{'x' * 101}", "longer than 100 characters"),
        (f"{'x' * 250}.corp/a/b", "is not a host name"),
        ("git.corp/" + "a/" * 21 + "b", "more than 20 parts"),
    ],
)
def test_what_is_no_name_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    """The message says which part is wrong."""
    with pytest.raises(InvalidName) as caught:
        RepoName.parse(text)
    assert sentence in str(caught.value)


def test_a_password_in_an_address_is_never_repeated() -> None:
    """The message goes to terminals and logs."""
    with pytest.raises(InvalidName) as caught:
        RepoName.parse("https://user:hunter2@github.com/a/b")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_identity_folds_case_and_spelling_stays() -> None:
    """One repository has one identity, however it is written."""
    other = RepoName.parse("qwenlm/QWEN-image")
    assert other.identity == QWEN.identity == "github.com/qwenlm/qwen-image"
    assert other != QWEN
    assert str(other) == "qwenlm/QWEN-image"


@pytest.mark.parametrize(
    ("text", "short", "path"),
    [
        ("a/b", "a/b", "github.com/a/b.git"),
        ("git.corp/g/s/b", "git.corp/g/s/b", "git.corp/g/s/b.git"),
        ("https://gitbox/a/b", "https://gitbox/a/b", "gitbox/a/b.git"),
    ],
)
def test_a_name_has_a_short_form_and_a_directory(
    text: str, short: str, path: str
) -> None:
    """The short form is read back as the same name."""
    name = RepoName.parse(text)
    assert (name.short, name.path) == (short, path)
    assert RepoName.parse(name.short) == name


def test_text_is_shown_without_what_steers_a_terminal() -> None:
    """Control characters are escaped, and long text is cut."""
    assert shown("main") == "`main`"
    assert shown("a\x1b[31mb") == r"'a\x1b[31mb'"
    assert len(shown("x" * 5000)) < 110


@pytest.mark.parametrize(
    "name",
    [
        "refs/heads/main",
        "refs/heads/a/b/c",
        "refs/heads/@",
        "refs/heads/-",
        "refs/pull/1/head",
        "refs/tags/v1.0",
        "refs/heads/\udcff",
        "refs/heads/漢字",
    ],
)
def test_a_ref_that_git_accepts_is_accepted(name: str) -> None:
    """Names may hold any bytes but those that git keeps for itself."""
    assert check_ref(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "HEAD",
        "refs/",
        "refs/heads",
        "refs/stash",
        "refs/heads/",
        "refs//heads/x",
        "refs/../../etc/passwd",
        "refs/heads/../x",
        "refs/heads/.x",
        "refs/.x/y",
        "refs/heads/x.lock",
        "refs/heads/x.lock/y",
        "refs/heads/x.",
        "refs/heads/a..b",
        "refs/heads/a@{b",
        "refs/heads/a b",
        "refs/heads/a\nb",
        "refs/heads/a\n",
        "refs/heads/a\x00b",
        "refs/heads/a\x7fb",
        "refs/heads/a~b",
        "refs/heads/a^b",
        "refs/heads/a:b",
        "refs/heads/a?b",
        "refs/heads/a*b",
        "refs/heads/a[b",
        "refs/heads/a\\b",
        "refs/heads/\ud800",
        "refs/heads/" + "x" * MAX_REF_BYTES,
        "refs/heads/" + "漢" * (MAX_REF_BYTES // 3),
    ],
)
def test_a_ref_that_git_refuses_is_refused(name: str) -> None:
    """One at a time, and among many good ones."""
    with pytest.raises(InvalidName, match="is not a ref name"):
        check_ref(name)
    with pytest.raises(InvalidName, match="is not a ref name"):
        check_refs(["refs/heads/main", name, "refs/tags/v1"])


@pytest.mark.parametrize(
    "text",
    [
        *("owner/name.git", "owner/name.GIT", "owner/name.lock", "owner/.git", "o/n."),
        *("o.git/name", "a.b/name", "_o/_n", "-o/n", "o/-n", "o/n/", "o//n", "o/n\n"),
        *("github.com/o", "GITHUB.COM/o/n", f"{'o' * 100}/n", f"{'o' * 101}/n"),
        *(f"o/{'n' * 100}", f"o/{'n' * 101}", "\u017f/name", "o/n ame", "1/2"),
    ],
)
def test_the_short_way_leads_to_the_same_name(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A usual name is read at once; what that gives is what the long way gives."""

    def read() -> object:
        try:
            return RepoName.parse(text)
        except InvalidName as exc:
            return str(exc)

    shortly = read()
    monkeypatch.setattr(names, "_USUAL", re.compile("(?!)"))  # nothing is usual
    assert read() == shortly


def test_a_usual_name_is_not_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10,000 names in a file, nearly all are OWNER/NAME."""
    monkeypatch.setattr(names, "_split_host", None)
    assert RepoName.parse("QwenLM/Qwen-Image") == QWEN
