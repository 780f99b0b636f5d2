"""A folder with a tested policy, and `pol test` in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from asked import POLICY, TESTS, TIME, Pol

from policylang.tools.main import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.pol").write_text(POLICY)
    (tmp_path / "orders_test.pol").write_text(TESTS)
    return tmp_path


@pytest.fixture
def pol(capsys: pytest.CaptureFixture[str]) -> Pol:
    """Runs `pol test`; gives its code, and what it wrote, without times."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = run(["test", *arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        said = capsys.readouterr()
        return code, TIME.sub(r"0.00 \1", said.out), said.err

    return call
