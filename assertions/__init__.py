"""The catalog: what a policy can say, one assertion a class, one class a file."""

from assertions.routing.route import Route
from assertions.traffic.rate_limit import RateLimit

CATALOG = (RateLimit, Route)
