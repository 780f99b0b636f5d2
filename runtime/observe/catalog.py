"""Every metric: its name, what it counts, and its labels. Names and buckets of `http_*` are those of OpenTelemetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MOST_SERIES: Final = 2_000
"""Of one metric; what comes beyond is counted with OTHER for every label."""
OTHER: Final = "_other"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""Any other method is `_OTHER`, as OpenTelemetry has it: clients may write what they like."""
SAMPLED: Final = 100
"""Of so many exchanges one has the time of its assertions taken."""

_NS: Final = 1_000_000_000


def _bounds(*seconds: float) -> tuple[int, ...]:
    return tuple(round(one * _NS) for one in seconds)


REQUEST_BOUNDS: Final = _bounds(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Nanoseconds; OpenTelemetry's advice for http.server.request.duration."""
OWN_BOUNDS: Final = _bounds(
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5
)
"""The gateway itself takes a fraction of a millisecond, which the buckets above would not tell apart."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`bounds`: of a histogram, in ns; its series has a cell for each, one for what is above, and the sum in ns.

    A summary's series has two cells, count and sum in ns. `combine`: how a gauge's values of several workers make one.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[int, ...] = ()
    combine: Literal["sum", "least"] = "sum"

    @property
    def cells(self) -> int:
        """How many of a series."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 2 if self.kind == "summary" else 1


SERVER: Final = Metric(
    "http_server_request_duration_seconds", "histogram",
    "From the request's head to the last byte of the answer. error_type: the failure's name, or a status from 500 on.",
    ("http_request_method", "http_response_status_code", "http_route", "error_type", "network_protocol_version"),
    REQUEST_BOUNDS,
)  # fmt: skip
CLIENT: Final = Metric(
    "http_client_request_duration_seconds", "histogram",
    "Waiting for the heads of an upstream's answers, with all attempts of an exchange, by the server asked last.",
    ("upstream", "server_address", "server_port", "http_request_method", "http_response_status_code", "error_type"),
    REQUEST_BOUNDS,
)  # fmt: skip
OWN: Final = Metric(
    "polgate_request_own_duration_seconds", "histogram",
    "The time of exchanges without the waiting for upstreams.", ("service",), OWN_BOUNDS,
)  # fmt: skip
ASSERTION: Final = Metric(
    "polgate_assertion_total", "counter",
    "How statements ended. outcome: `passed`, the failure's name, `responded` or `cancelled`. line: with the file "
    "before it where that is not the policy's first.",
    ("service", "assertion", "line", "outcome"),
)  # fmt: skip
ASSERTION_TIME: Final = Metric(
    "polgate_assertion_sampled_duration_seconds", "summary",
    f"From the end of the statement before to the end of this one, with waiting, in one of {SAMPLED} exchanges (not "
    "scaled up: sum by count is the mean). What runs in `parallel` is not timed.",
    ("service", "assertion", "line"),
)  # fmt: skip
RETRIES: Final = Metric(
    "polgate_upstream_retries_total", "counter", "Attempts after the first one of an exchange.", ("upstream",)
)
REFUSED: Final = Metric(
    "polgate_wire_refused_total", "counter", "What was refused before there was an exchange.",
    ("failure", "http_response_status_code"),
)  # fmt: skip
LIMITS: Final = Metric(
    "polgate_limit_unusual_total", "counter",
    "Decisions of limits that are not the usual ones. outcome: `exceeded` and let through by `log_only`; as the store "
    "was away, `alone` by this worker's share or `uncounted`.",
    ("service", "limit", "outcome"),
)  # fmt: skip
STORE_CALLS: Final = Metric("polgate_store_calls_total", "counter", "Calls of the store.")
STORE_ERRORS: Final = Metric("polgate_store_errors_total", "counter", "Calls that the store could not answer.")
STORE_USED: Final = Metric(
    "polgate_store_used_bytes", "gauge", "What this machine's store has taken of its room, by what is kept there.",
    ("part",), combine="least",
)  # fmt: skip
STORE_ROOM: Final = Metric(
    "polgate_store_room_bytes", "gauge",
    "How much it takes: then `rates`, `passing` and `lasting` refuse what is new, and of `cache` the oldest gives way.",
    ("part",), combine="least",
)  # fmt: skip
CACHE: Final = Metric(
    "polgate_cache_total", "counter",
    "What became of requests that came to a `cache`. outcome: `hit`, `collapsed` (waited for another one's fetch), "
    "`stored`, `miss` (fetched, and not kept), `bypass`, `method`.", ("outcome",),
)  # fmt: skip
JOURNALS: Final = Metric(
    "polgate_journals_total", "counter",
    "Journals of exchanges. to: `caller` or `follower`. outcome: `told`; `left_out`, as they were too many or too long;"
    " to a caller also why its token grants none, `unknown` for one that was not issued here.",
    ("to", "outcome"),
)  # fmt: skip
CLUSTER_CONNECTED: Final = Metric(
    "polgate_cluster_workers_connected", "gauge", "How many workers are connected to the store's cluster."
)
CLUSTER_TRIPS: Final = Metric(
    "polgate_cluster_round_trips_total", "counter", "Requests to members of the store's cluster."
)
CLUSTER_WAITING: Final = Metric(
    "polgate_cluster_requests_waiting", "gauge", "Requests that wait for a member's answer."
)
LOG_LOST: Final = Metric(
    "polgate_log_lines_lost_total", "counter", "Lines that a full disk or a slow reader has cost.", ("log",)
)
CONNECTIONS: Final = Metric("polgate_connections_open", "gauge", "Connections of clients.")
IN_FLIGHT: Final = Metric("polgate_requests_in_flight", "gauge", "Requests whose answer is not complete.")
TUNNELS: Final = Metric("polgate_tunnels_open", "gauge", "Upgraded connections.")
POOL_OPEN: Final = Metric(
    "polgate_upstream_connections_open", "gauge", "Connections to an upstream, in use or kept.", ("upstream",)
)
POOL_QUEUE: Final = Metric(
    "polgate_upstream_queue", "gauge", "Requests that wait for a connection.", ("upstream",)
)
SERVER_STATE: Final = Metric(
    "polgate_upstream_server_state", "gauge", "How many workers see a server in a state.",
    ("upstream", "server", "state"),
)  # fmt: skip
CIRCUIT_STATE: Final = Metric(
    "polgate_upstream_circuit_state", "gauge",
    "How many workers have a circuit in a state. Without server: that of the whole upstream.",
    ("upstream", "server", "state"),
)  # fmt: skip
SERVER_ACTIVE: Final = Metric(
    "polgate_upstream_requests_active", "gauge", "Requests that a server is working on.", ("upstream", "server")
)
CERTIFICATES: Final = Metric(
    "polgate_certificate_expiry_timestamp_seconds", "gauge", "When a certificate of ours expires.", ("certificate",),
    combine="least",
)  # fmt: skip
NO_ROOM: Final = Metric(
    "polgate_metrics_series_lost_total", "counter", "Series that found no room: their file or its disk is full."
)

OF_WORKERS: Final = {
    metric.name: metric
    for metric in (
        SERVER, CLIENT, OWN, ASSERTION, ASSERTION_TIME, RETRIES, REFUSED, LIMITS, STORE_CALLS, STORE_ERRORS, STORE_USED,
        STORE_ROOM, CACHE, JOURNALS,
        CLUSTER_CONNECTED, CLUSTER_TRIPS, CLUSTER_WAITING, LOG_LOST,
        CONNECTIONS, IN_FLIGHT, TUNNELS, POOL_OPEN, POOL_QUEUE, SERVER_STATE, CIRCUIT_STATE, SERVER_ACTIVE,
        CERTIFICATES, NO_ROOM,
    )
}  # fmt: skip
"""What workers count; the supervisor's own are in `exposition`."""
