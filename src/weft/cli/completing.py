"""``weft completion``: the script that completes commands, options and run ids in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from weft.cli.output import json_option, print_json

_WHERE = {
    "bash": 'eval "$(weft completion bash)"  in ~/.bashrc',
    "zsh": 'eval "$(weft completion zsh)"  in ~/.zshrc',
    "fish": "weft completion fish > ~/.config/fish/completions/weft.fish",
}


@click.command(epilog='Example: eval "$(weft completion bash)"')
@click.argument("shell", type=click.Choice(list(_WHERE)))
@json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script of a shell."""
    made = get_completion_class(shell)
    assert made is not None  # the choice above lists what click has
    root = ctx.find_root().command
    # `source_template` is filled in here: `source()` would start bash only to ask for its version.
    script = made.source_template % made(root, {}, "weft", "_WEFT_COMPLETE").source_vars()
    if as_json:
        print_json({"shell": shell, "script": script, "install": _WHERE[shell]})
    else:
        click.echo(script)
