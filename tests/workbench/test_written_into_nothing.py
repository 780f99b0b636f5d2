"""What `pol` does where nobody reads on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_reader_that_leaves_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "long.pol").write_text("".join(f'service s{n} "/{n}" {{ nothing{n} }}\n' for n in range(2000)))
    pol = Path(sys.executable).parent / "pol"
    with subprocess.Popen([pol, "check", "long.pol"], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(20) in (0, 1)
