"""The catalog: what a policy can say, one assertion a class, one class a file."""

from assertions.caching.cache import Cache
from assertions.caching.cache_lookup import CacheLookup
from assertions.caching.cache_remove import CacheRemove
from assertions.caching.cache_store import CacheStore
from assertions.content.compress import Compress
from assertions.content.limit_size import LimitSize
from assertions.functions import FUNCTIONS
from assertions.identity.allow_ip import AllowIp
from assertions.identity.api_key import ApiKey
from assertions.identity.deny_ip import DenyIp
from assertions.observe.log import Log
from assertions.routing.mirror import Mirror
from assertions.routing.route import Route
from assertions.state.forget import Forget
from assertions.state.increment import Increment
from assertions.state.lockout import Lockout
from assertions.state.lookup import Lookup
from assertions.state.not_replayed import NotReplayed
from assertions.state.remember import Remember
from assertions.state.store import Store
from assertions.traffic.circuit_breaker import CircuitBreaker
from assertions.traffic.concurrency_limit import ConcurrencyLimit
from assertions.traffic.quota import Quota
from assertions.traffic.quota_status import QuotaStatus
from assertions.traffic.rate_limit import RateLimit
from assertions.traffic.rate_limit_status import RateLimitStatus

CATALOG = (
    AllowIp, ApiKey, Cache, CacheLookup, CacheRemove, CacheStore, CircuitBreaker, Compress, ConcurrencyLimit,
    DenyIp, Forget, Increment, LimitSize, Lockout, Log, Lookup, Mirror, NotReplayed, Quota, QuotaStatus, RateLimit,
    RateLimitStatus, Remember, Route, Store, *FUNCTIONS,
)  # fmt: skip
