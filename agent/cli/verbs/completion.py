"""`gatepost completion`: the script that completes verbs, options, and names of the running agent in a shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gatepost.agent.cli.support.agent_access import new
from gatepost.agent.cli.support.output import say_as_is

verb = new()


class ShellName(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@verb.command("completion")
def completion(shell: Annotated[ShellName, typer.Argument(help="Of which shell.")]) -> None:
    """Print the completion script of a shell.

    Names of devices and brokers come from the running agent, if it answers at once.

    \b
    Example:
      gatepost completion bash > ~/.local/share/bash-completion/completions/gatepost
      gatepost completion zsh > "${fpath[1]}/_gatepost"
      gatepost completion fish > ~/.config/fish/completions/gatepost.fish
    """
    from typer._completion_shared import get_completion_script

    say_as_is(get_completion_script(prog_name="gatepost", complete_var="_GATEPOST_COMPLETE", shell=shell.value))
