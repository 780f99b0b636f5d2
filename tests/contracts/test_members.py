"""The shipped configuration of members does what it says."""

from __future__ import annotations

from pathlib import Path

from members import Members


def test_members_listen_on_their_own_address_alone(one_member: Members) -> None:
    port = f":{one_member[0].port:04X}"
    tables = [Path(f"/proc/{one_member[0].pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    local = [line.split()[1] for table in tables for line in table if line.split()[3] == "0A"]
    assert [one for one in local if one.endswith(port)] in (
        [f"0100007F{port}"], [f"0000000000000000FFFF00000100007F{port}"]
    )  # fmt: skip
