"""Where the recorded market data is; it is not part of the repository, and tests skip without it."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def recorded_file(name: str) -> Path:
    """A file of `RECORDED_DATA`, or of `shared/data` beside the repository."""
    path = Path(os.environ.get("RECORDED_DATA", BESIDE)) / name
    if not path.is_file():
        pytest.skip(f"the recording {name} is not here (RECORDED_DATA names its directory)")
    return path
