"""`manage.py create_token NAME --scope trade`: make an API token and show it once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from polytrader import tokens
from polytrader.models import SCOPES, ApiToken


class Command(BaseCommand):
    """Make a token; only its digest is stored."""

    help = "Make an API token and print it; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name and scope."""
        parser.add_argument("name")
        parser.add_argument("--scope", choices=SCOPES, default="read")
        parser.add_argument("--replace", action="store_true", help="replace a token of that name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the token alone on a line, for scripts."""
        name = options["name"]
        if ApiToken.objects.filter(name=name).exists() and not options["replace"]:
            raise CommandError(f"there is a token {name!r} already; --replace makes a new one")
        self.stdout.write(tokens.create(name, options["scope"]))
