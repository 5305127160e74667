"""What a worker loads: no pages, no request framework, which its settings leave out."""

import os
import subprocess
import sys

import pytest

from polytrader.variables import ROOT

LOAD = """
import django
import celery_app
django.setup()
celery_app.app.loader.import_default_modules()
import trailing.management.commands.stream, sys
print("rest_framework.views" in sys.modules)
"""


@pytest.mark.parametrize("role", ["worker", "monitor", "minter", "stream"])
def test_a_worker_loads_without_what_answers_requests(role):
    environment = {
        "PATH": os.environ["PATH"],
        "POLYTRADER_ROLE": role,
        "POLYTRADER_DOTENV": "",
        "EXCHANGE": "paper",
        "DJANGO_SETTINGS_MODULE": "polytrader.settings",
        "CELERY_SKIP_CHECKS": "1",  # as the Procfile says by --skip-checks
        "DATABASE_URL": "postgres://u:p@127.0.0.1:1/d",
    }
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "False", loaded.stderr[-2000:]
