"""Terminal: what all commands share: options with many values, and mistakes told in one line."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from unscathed.problems import BadInputError, UnscathedError

NO_VERDICT = 3
"""The exit code of a command that should have ended with a verdict, and could not."""


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


class Judging(ManyValues):
    """A command that ends with a verdict: 1 and 2 are verdicts, and whatever went wrong ends with 3."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Also where the command line itself is wrong."""
        try:
            return super().make_context(*arguments, **named)
        except Exception as error:
            if hasattr(error, "exit_code") and error.exit_code == 2:
                error.exit_code = NO_VERDICT
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a bug in somebody's own task must not pass for a verdict either."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except UnscathedError as error:
            tell(error)
            raise typer.Exit(NO_VERDICT) from error
        except Exception as error:
            Console(stderr=True).print_exception()
            raise typer.Exit(NO_VERDICT) from error


class Speaking(TyperGroup):
    """Says what was wrong in one clear error, without a traceback, where the library raised it on purpose."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; 2 is the exit code for bad input, 1 for anything else that went wrong."""
        try:
            return super().invoke(ctx)
        except UnscathedError as error:
            tell(error)
            raise typer.Exit(2 if isinstance(error, BadInputError) else 1) from error


def tell(error: UnscathedError) -> None:
    """Say what was wrong, without a traceback."""
    Console(stderr=True).print(Text.assemble(("error ", "bold red"), str(error)))
