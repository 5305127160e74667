"""`make clean`: remove an installation's embedded data, after asking."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from launch.errors import LaunchError
from launch.locks import Lock
from polytrader import configuration as configurations

_OURS = ("secrets.json", "lock", "postgres", "redis", "logs")


def clean() -> int:
    """Remove POLYTRADER_HOME; without a terminal only with CONFIRM=yes. Raises LaunchError."""
    home = configurations.load().home
    if not home.exists():
        print(f"nothing to remove: there is no {home}")
        return 0
    _refuse_foreign(home)
    with Lock(home / "lock") as lock:
        if not lock.take():
            raise LaunchError(f"polytrader is running in {home}; stop it first")
        if not _is_confirmed(home):
            print("kept")
            return 1
        shutil.rmtree(home)
    print(f"removed {home}")
    return 0


def _refuse_foreign(home: Path) -> None:
    if not any((home / name).exists() for name in _OURS) or home in Path.home().parents:
        raise LaunchError(f"{home} does not look like polytrader's; remove it yourself")
    strange = {entry.name for entry in home.iterdir()} & {".git", "manage.py", ".ssh", "etc"}
    if strange or home == Path.home():
        raise LaunchError(f"{home} holds other things than polytrader's; remove it yourself")


def _is_confirmed(home: Path) -> bool:
    if os.environ.get("CONFIRM") == "yes":
        return True
    if not sys.stdin.isatty():
        raise LaunchError(f"this removes {home} with its database and keys; set CONFIRM=yes")
    answer = input(f"Remove {home} with its database, logs and generated keys? Type yes: ")
    return answer.strip().lower() == "yes"
