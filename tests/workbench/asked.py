"""What tests of `pol test` are about: a small policy with two tests."""

from __future__ import annotations

import re
from collections.abc import Callable

Pol = Callable[..., tuple[int, str, str]]
POLICY = """\
upstream orders { server "http://127.0.0.1:9000" }

service orders "/orders/{id}" {
    require path.id != "0"
    route orders
}
"""
TESTS = """\
import "orders.pol"

test "an order is asked for" {
    stub orders
    get "/orders/7"
    expect response.status == 200
}

test "Nothing is no order" {
    get "/orders/0"
    expect response.status == 403
}
"""
TIME = re.compile(r"\d+\.\d+ (s|ms)")
