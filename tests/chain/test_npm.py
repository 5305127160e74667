"""Without npm there is no chain: said in words on somebody's machine, a failure in CI."""

import pytest

from tests.chain import npm


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(npm, "MODULES", tmp_path / "node_modules")
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_npm_tests_are_skipped_and_say_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="npm is not installed"):
        npm.anvil()


def test_in_ci_they_fail_instead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="npm is not installed"):
        npm.anvil()


def test_the_lock_file_names_no_registry():
    text = npm.LOCK.read_text()
    assert '"resolved"' not in text
    assert "registry" not in text
