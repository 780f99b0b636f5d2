"""Where the workers' shared state lives, and what every store raises when it cannot answer."""


class StoreUnavailable(Exception):
    """The store cannot be prepared, opened or asked; the message says which, where, and the cure."""


class StoreFull(StoreUnavailable):
    """The store takes no new keys (those that it holds go on), or has no room left at all."""

    unknown = False
    """True where nothing is counted for the key that was refused."""
