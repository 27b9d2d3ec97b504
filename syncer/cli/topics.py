"""What can be asked about the program itself: `help` and `completion`."""

from __future__ import annotations

import click

from syncer.cli.options import STATUSES, statuses

_ENVIRONMENT = """\
SYNCER_CONFIG            the configuration file, instead of looking for one
SYNCER_<KEY>             a key of [syncer], for example SYNCER_DATA; wins over the file
SYNCER_GITHUB_TOKEN      the token for github.com; then GH_TOKEN, then GITHUB_TOKEN
SYNCER_TOKEN_<HOST>      the token of another host, for example SYNCER_TOKEN_GHE_CORP
SYNCER_GITHUB_APP_KEY    instead of a token, the private key of the GitHub App that
                         app_id names; for another host SYNCER_APP_KEY_<HOST>
CREDENTIALS_DIRECTORY    where systemd puts `github-token` and `token-HOST`, or
                         `github-app-key` and `app-key-HOST`; goes first
SYNCER_S3_<KEY>          a key of [syncer.s3], for example SYNCER_S3_ENDPOINT
SYNCER_S3_ACCESS_KEY     with SYNCER_S3_SECRET_KEY, the keys of the object store; after
                         the credentials `s3-access-key` and `s3-secret-key`; without
                         either, as boto3 finds them
SYNCER_LOG               `json`: log lines are JSON documents
HTTPS_PROXY              the proxy, unless [syncer] names one
NO_COLOR                 no colour; CLICOLOR_FORCE=1: colour also into pipes"""

_WORDS = """\
OK        equal to upstream within the tier's target
LATE      the lag is above the tier's target
PARTIAL   published, but LFS objects or assets are missing upstream or damaged here
FAIL      the last run failed; published refs are as they were
HELD      waits for `syncer accept`; published refs are as they were
PAUSED    taken out of the schedule by `syncer pause`
GONE      upstream removed the repository; our copy is kept
NEW       configured, never mirrored yet"""

TOPICS = {
    "exit-codes": "\n".join(f"{code:<5} {text}" for code, text in STATUSES.items()),
    "environment": _ENVIRONMENT,
    "words": _WORDS,
}


@click.command("help", epilog=statuses())
@click.argument("topic", required=False)
@click.pass_context
def help_command(ctx: click.Context, topic: str | None) -> None:
    """Explain a command, or a topic: exit-codes, environment, words."""
    root = ctx.find_root()
    if topic is None:
        ctx.obj.output.data(root.get_help())
        ctx.obj.output.next(*(f"syncer help {name}" for name in TOPICS))
    elif topic in TOPICS:
        ctx.obj.output.data(TOPICS[topic])
    elif isinstance(root.command, click.Group):
        command = root.command.get_command(root, topic)
        if command is not None:
            info = f"syncer {command.name}"
            with click.Context(command, info_name=info, color=root.color) as asked:
                ctx.obj.output.data(command.get_help(asked))


@click.command("completion", epilog=statuses())
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and names in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        ctx.fail(f"there is no completion for {shell}")
    script = found(ctx.find_root().command, {}, "syncer", "_SYNCER_COMPLETE")
    ctx.obj.output.data(script.source())
    ctx.obj.output.next(f'eval "$(syncer completion {shell})"')
