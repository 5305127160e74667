"""`manage.py release`: make the database and its first token and login ready for this version."""

import os
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from polytrader import tokens


class Command(BaseCommand):
    """Migrate, then make what the first start needs; safe to run any number of times."""

    help = "Migrate; make the first admin token (POLYTRADER_TOKEN) and login (ADMIN_PASSWORD)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run each step; what exists already is left as it is, but for the token's value."""
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        token = settings.CONFIGURATION.token
        if token:
            tokens.create("installation", "admin", token)
        password = os.environ.get("ADMIN_PASSWORD") or settings.CONFIGURATION.admin_password
        users = get_user_model().objects
        if password and not users.filter(username="admin").exists():
            users.create_superuser("admin", password=password)
        self.stdout.write("release: the database is ready")
