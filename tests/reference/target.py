"""`path:` of `route`, and paths that a policy writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference import values as v
from reference.values import Failing

from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
IN_PATH = UNRESERVED + "/:@!$&'()*+,;=%"


def target_text(expr: n.Expr, at: Evaluation) -> str:
    """`path:`: what is interpolated becomes one encoded segment, `request.path` stays a path."""
    if not isinstance(expr, n.Text):
        path = str(v.check_fit(at.value(expr).value, ("string",), False, "path"))
        if is_request_path(expr):
            return path
        path, mark, query = path.partition("?")
        return written_path(path) + mark + encoded(query, IN_PATH + "?")
    text = ""
    for part in expr.parts:
        if isinstance(part, str):
            text += encoded(part, IN_PATH + "?")
        elif is_request_path(part) and "?" not in text:
            text = text.removesuffix("/") + at.value(part).value
        else:
            segment = v.as_text(at.value(part).value)
            if not segment and "?" not in text:
                raise unsafe()
            text += encoded(segment, UNRESERVED)
    return safe(text if text.startswith("/") else "/" + text)


def written_path(path: str) -> str:
    """A path that the policy gives as a whole."""
    if not path.startswith("/") or any(hidden in path.lower() for hidden in ("%2f", "%5c", "%00")):
        raise unsafe()
    return safe(encoded(path, IN_PATH))


def is_request_path(expr: n.Expr) -> bool:
    return (
        isinstance(expr, n.Member) and expr.name == "path"
        and isinstance(expr.base, n.Name) and expr.base.name == "request"
    )  # fmt: skip


def encoded(text: str, kept: str) -> str:
    return "".join(c if c in kept else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text)


def safe(target: str) -> str:
    """No value leads to a path that the author did not write."""
    if any(segment in (".", "..") for segment in target.partition("?")[0].split("/")):
        raise unsafe()
    return target


def unsafe() -> Failing:
    failing = Failing("unsafe-path", 400, kind="error")
    failing.blames_expression = True
    return failing
