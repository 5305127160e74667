"""Was this version released into this database already? A later start then skips the release.

The stamp lies beside the embedded database, so that it goes when the database goes;
a database of the user's own is released at every start.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from polytrader.configuration import Configuration
from polytrader.variables import ROOT


def fingerprint(configuration: Configuration) -> str:
    """Digest all that a release depends on: migrations, locked dependencies, first login and token."""
    digest = hashlib.sha256()
    files = [ROOT / "requirements.txt", *sorted(ROOT.glob("*/migrations/*.py"))]
    files += sorted(ROOT.glob("operations/management/commands/release.py"))
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    for told in (configuration.token, configuration.admin_password):
        digest.update(b"\0" + (told or "").encode())
    return digest.hexdigest()


def is_released(directory: Path, configuration: Configuration) -> bool:
    """Whether the database below `directory` had this very release."""
    try:
        return (directory / "released").read_text() == fingerprint(configuration)
    except OSError:
        return False


def note(directory: Path, configuration: Configuration) -> None:
    """Remember this release; one that cannot be noted is simply done again."""
    try:
        (directory / "released").write_text(fingerprint(configuration))
    except OSError:
        return
