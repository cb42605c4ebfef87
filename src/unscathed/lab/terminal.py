"""Terminal: what all commands share: options with many values, and mistakes told in one line."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from unscathed.problems import BadInputError, UnscathedError


class ManyValues(TyperCommand):
    """Lets an option that may be repeated take several values at once: ``--unlearner fisher sisa``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option's name before each further value."""
        repeatable = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        spread: list[str] = []
        current = None
        for argument in args:
            if argument.startswith("-"):
                current = argument if argument in repeatable else None
            elif current is not None and spread[-1] != current:
                spread.append(current)
            spread.append(argument)
        return super().parse_args(ctx, spread)


class Speaking(TyperGroup):
    """Says what was wrong in one clear error, without a traceback, where the library raised it on purpose."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; 2 is the exit code for bad input, 1 for anything else that went wrong."""
        try:
            return super().invoke(ctx)
        except UnscathedError as error:
            Console(stderr=True).print(Text.assemble(("error ", "bold red"), str(error)))
            raise typer.Exit(2 if isinstance(error, BadInputError) else 1) from error
