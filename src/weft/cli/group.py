"""The click group of all commands, each imported when it is called, and what their errors become."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from weft.cli.commands import COMMANDS, overview
from weft.cli.exits import BAD_DATA, INTERRUPTED, SUCCEEDED, TO_FIX
from weft.cli.output import print_error, user_traceback
from weft.cli.seam import load
from weft.errors import StoredDataError, WeftError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group that knows its commands by name from the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = load(COMMANDS[cmd_name].target)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(_unknown(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # From the table: click would import every command to learn its summary.
        item = load("click.shell_completion:CompletionItem")
        names = [(name, entry.summary) for name, entry in COMMANDS.items() if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(item(name, help=summary) for name, summary in names), *options]

    def get_help(self, ctx: click.Context) -> str:
        return overview().rstrip("\n")


def _unknown(word: str) -> str:
    close = load("difflib:get_close_matches")(word, COMMANDS, n=1)  # 6 ms that only a typing error pays
    if close:
        return f"there is no command `{word}`. Did you mean `weft {close[0]}`?"
    if word.split(":")[0].endswith(".py"):
        return f"there is no command `{word}`. To run it: `weft run {word}`."
    return f"there is no command `{word}`."


@click.group("weft", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="weft", message="weft %(version)s")
def cli() -> None:
    """Plain Python is the workflow."""


def call(words: Sequence[str]) -> int:
    """Run the command that ``words`` name and return the exit code; errors are printed, not raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ gets ?, not a traceback
    try:
        colour = False if os.environ.get("NO_COLOR") else None
        result: Any = cli.main(list(words), prog_name="weft", standalone_mode=False, color=colour)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        _print_usage(error)
        return TO_FIX
    except click.ClickException as error:
        print_error(error.format_message())
        return TO_FIX
    except StoredDataError as error:
        print_error(error.message, error.hint)
        return BAD_DATA
    except WeftError as error:
        if error.code == "broken-file" and error.__cause__ is not None:
            click.echo(user_traceback(error.__cause__), err=True, nl=False)
        print_error(error.message, error.hint)
        return TO_FIX
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) went away. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCEEDED
    return result if isinstance(result, int) else SUCCEEDED


def _print_usage(error: click.UsageError) -> None:
    context = error.ctx
    name = context.command_path if context else "weft"
    print_error(error.format_message(), f"`{name} --help` shows how it is called.")
