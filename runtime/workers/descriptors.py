"""How many files a process may open: shells give 1,024, and the hard limit is there to be used."""

from __future__ import annotations

import resource

MOST = 1 << 20
"""Asked for where there is no hard limit."""
OWN = 160
"""Of the supervisor besides its workers: files, logs, and what the admin listener's connections may take."""
PER_WORKER = 4
"""A channel, and what starting a process takes for a moment."""


def raise_limit() -> int:
    """Take what the hard limit allows; gives how many it is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def too_few(limit: int, workers: int, listeners: int) -> str | None:
    """One sentence for the operator, when the supervisor of so many workers could not work."""
    needed = OWN + workers * (PER_WORKER + 2 * listeners)
    if limit >= needed:
        return None
    return f"this process may open {limit} files, and needs {needed} to begin with: raise `ulimit -Hn`"
