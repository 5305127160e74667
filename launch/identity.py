"""As whom Postgres runs: it refuses root, and the usual ways around change the system.

No user is made and no directory of others is opened here. As root there are two ways: drop to
`nobody`, or, where `nobody` cannot enter (a project below a 0700 home), stay and look like
`nobody` in a user namespace of one's own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from launch.errors import LaunchError

_UNSHARE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


@dataclass(frozen=True)
class Identity:
    """Who runs the server: words before its command, or a user to drop to; and who owns files."""

    prefix: tuple[str, ...] = ()
    user: str | None = None
    owner: int = 0
    group: int = 0


def choose(directory: Path, binary: Path) -> Identity:
    """Decide as whom `binary` serves the data below `directory`. Raises LaunchError."""
    if os.geteuid() != 0:
        return Identity(owner=os.geteuid(), group=os.getegid())
    nobody = _nobody()
    if nobody is not None and _enters(directory.parent) and _enters(binary):
        return nobody
    if _can_unshare():
        return Identity(prefix=_UNSHARE)
    if nobody is not None and _enters(binary):
        directory.parent.chmod(directory.parent.stat().st_mode | 0o011)  # ours: POLYTRADER_HOME
        if _enters(directory.parent):
            return nobody
    raise LaunchError(
        f"Postgres does not run as root, 'nobody' cannot enter {directory.parent} or "
        f"{binary.parent}, and `unshare --user` is not allowed here; run as another user, move "
        "the project to where all may enter, or set DATABASE_URL"
    )


def own(identity: Identity, directory: Path) -> None:
    """Give the tree to who will serve it, after a change of the way (or of the user)."""
    if os.geteuid() != 0 or directory.stat().st_uid == identity.owner:
        return
    for parent, _, files in os.walk(directory):
        for name in files:
            os.lchown(os.path.join(parent, name), identity.owner, identity.group)
        os.lchown(parent, identity.owner, identity.group)


def _nobody() -> Identity | None:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return None
    return Identity(user=entry.pw_name, owner=entry.pw_uid, group=entry.pw_gid)


def _enters(path: Path) -> bool:
    """Ask the kernel instead of reading modes: there are ACLs, mounts and capabilities."""
    entry = pwd.getpwnam("nobody")
    asked = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", 'test -x "$0"', str(path)],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return asked.returncode == 0


def _can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    asked = subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False)  # noqa: S603
    return asked.returncode == 0
