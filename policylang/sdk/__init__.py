"""All that an assertion, built in or plugged in, may import."""

from policylang.record import record
from policylang.sdk.assertion import Assertion, Outcome, card_of, param
from policylang.sdk.card import Card, FunctionCard, ParamCard
from policylang.sdk.certificate import Certificate
from policylang.sdk.exchange import (
    Client,
    Clock,
    Environment,
    Exchange,
    Request,
    Response,
    UpstreamCall,
    UpstreamClient,
)  # fmt: skip
from policylang.sdk.function import function
from policylang.sdk.limits import BodyLimits
from policylang.sdk.message import BodySource, Field, Message
from policylang.sdk.outcome import Failed, Failure, Kind, Unavailable, missing_value, unreadable, wrong_type
from policylang.sdk.permits import Permit, Permits, Wish
from policylang.sdk.shared_map import SharedMap
from policylang.sdk.store import UNKNOWN, Change, Changed, Decision, Entries, Limit, Rates, Space, Store, settled
from policylang.sdk.values import (
    Duration,
    Expr,
    Ip,
    Json,
    Key,
    Known,
    Principal,
    Query,
    Rate,
    Size,
    Target,
    Time,
    UpstreamName,
)  # fmt: skip
from policylang.sdk.waiter import Waiter

__all__ = [
    "UNKNOWN",
    "Assertion",
    "BodyLimits",
    "BodySource",
    "Card",
    "Certificate",
    "Change",
    "Changed",
    "Client",
    "Clock",
    "Decision",
    "Duration",
    "Entries",
    "Environment",
    "Exchange",
    "Expr",
    "Failed",
    "Failure",
    "Field",
    "FunctionCard",
    "Ip",
    "Json",
    "Key",
    "Kind",
    "Known",
    "Limit",
    "Message",
    "Outcome",
    "ParamCard",
    "Permit",
    "Permits",
    "Principal",
    "Query",
    "Rate",
    "Rates",
    "Request",
    "Response",
    "SharedMap",
    "Size",
    "Space",
    "Store",
    "Target",
    "Time",
    "Unavailable",
    "UpstreamCall",
    "UpstreamClient",
    "UpstreamName",
    "Waiter",
    "Wish",
    "card_of",
    "function",
    "missing_value",
    "param",
    "record",
    "settled",
    "unreadable",
    "wrong_type",
]  # fmt: skip
