"""Taking parts out of messages and text: `jsonpath`, `xpath`, `regex`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from policylang.sdk import Failed, Failure, Json, Kind, Message, function, wrong_type
from policylang.sdk import static_types as t
from policylang.sdk.parse import parse_xml
from policylang.sdk.patterns import compile_pattern

_IN = {"in": "A message or a value."}


def _several(what: str, count: int, message: Any) -> Failed:
    status = message.fault if isinstance(message, Message) else 400
    return Failed(
        Failure("several-matches", status, f"{what} finds {count} values where one is needed", kind=Kind.ERROR)
    )


def _one_or_all(constants: Mapping[str, Any]) -> t.Type:
    return t.LIST if constants.get("all") is True else t.JSON


# --- jsonpath ---


def _jsonpath(path: str) -> Callable[[Any, bool], Any]:
    from assertions.functions.jsonpath_compile import NOTHING, compile_query, compile_singular
    from assertions.functions.jsonpath_syntax import parse_jsonpath  # 12 ms: where a policy has a JSONPath

    query = parse_jsonpath(path)
    if query.singular:
        one = compile_singular(query)

        def look_up(source: Any, all: bool) -> Any:
            value = one(source.json if isinstance(source, Message) else source)
            if all:
                return [] if value is NOTHING else [value]
            return None if value is NOTHING else value

        return look_up
    every = compile_query(query)

    def select(source: Any, all: bool) -> Any:
        found = every(source.json if isinstance(source, Message) else source)
        if all:
            return found
        if len(found) > 1:
            raise _several("the JSONPath", len(found), source)
        return found[0] if found else None

    return select


_jsonpath_cached = lru_cache(maxsize=1024)(_jsonpath)


def _prepare_jsonpath(constants: Mapping[str, Any]) -> Callable[..., Any]:
    path = constants.get("path")
    if not isinstance(path, str):
        return _call_jsonpath
    select = _jsonpath(path)
    return lambda path, in_, all: select(in_, all)


def _call_jsonpath(path: str, in_: Any, all: bool) -> Any:
    try:
        select = _jsonpath_cached(path)
    except ValueError as error:
        raise Failed(Failure("bad-jsonpath", 400, str(error), kind=Kind.ERROR)) from None
    return select(in_, all)


@function(
    docs={"path": "A JSONPath (RFC 9535).", "all": "Give a list of all matches."} | _IN,
    defaults={"all": "false"},
    prepare=_prepare_jsonpath,
    returns=t.JSON,
    returns_for=_one_or_all,
)
def jsonpath(path: str, *, in_: Message | Json, all: bool) -> Json:
    """What a JSONPath finds: the value, `none` where nothing matches, a failure on several matches.

        jsonpath("$.order.id", in: request)
    """
    return _call_jsonpath(path, in_, all)


# --- xpath ---


def _xpath(path: str, ns: tuple[tuple[str, str], ...]) -> Callable[[Any, bool], Any]:
    from lxml import etree

    try:
        # the regular expressions of EXSLT backtrack without bound
        evaluate: Any = etree.XPath(path, namespaces=dict(ns) or None, regexp=False, smart_strings=False)
        evaluate(etree.Element("probe"))
    except etree.XPathError as error:
        raise ValueError(f"not an XPath: {str(error)[:1].lower()}{str(error)[1:]}") from None

    def select(source: Any, all: bool) -> Any:
        try:
            found = evaluate(_document(source))
        except etree.XPathError as error:
            raise Failed(Failure("bad-xpath", 400, str(error), kind=Kind.ERROR)) from None
        if not isinstance(found, list):
            return [found] if all else found
        values = [_text(node) for node in found]
        if all:
            return values
        if len(values) > 1:
            raise _several("the XPath", len(values), source)
        return values[0] if values else None

    return select


def _document(source: Any) -> Any:
    if isinstance(source, Message):
        return source.xml
    if isinstance(source, str):
        return parse_xml(source.encode())
    if source is None or isinstance(source, (bool, int, float, list, dict)):
        raise wrong_type("`xpath` needs a message or XML text")
    return source


def _text(node: Any) -> Any:
    """The string-value of a node (XPath 1.0, 5)."""
    if isinstance(node, (str, int, float, bool)):
        return node
    if isinstance(node, tuple):  # a namespace node: (prefix, uri)
        return node[1]
    return "".join(node.itertext()) if isinstance(node.tag, str) else node.text or ""


_xpath_cached = lru_cache(maxsize=1024)(_xpath)


def _prepare_xpath(constants: Mapping[str, Any]) -> Callable[..., Any]:
    path, ns = constants.get("path"), constants.get("ns", {})
    if not isinstance(path, str) or not isinstance(ns, (dict, type(None))):
        return _call_xpath
    select = _xpath(path, tuple((ns or {}).items()))
    return lambda path, in_, ns, all: select(in_, all)


def _call_xpath(path: str, in_: Any, ns: dict[str, str] | None, all: bool) -> Any:
    try:
        select = _xpath_cached(path, tuple((ns or {}).items()))
    except ValueError as error:
        raise Failed(Failure("bad-xpath", 400, str(error), kind=Kind.ERROR)) from None
    return select(in_, all)


@function(
    docs={"path": "An XPath 1.0 expression.", "ns": "Prefixes and their namespaces.", "all": "Give a list."} | _IN,
    defaults={"all": "false"},
    prepare=_prepare_xpath,
    returns=t.JSON,
    returns_for=_one_or_all,
)
def xpath(path: str, *, in_: Message | Json, ns: dict[str, str] | None, all: bool) -> Json:
    """What an XPath finds, as text: `none` where nothing matches, a failure on several matches.

    An element gives the text in it; `count(…)` and the like give a number.

        xpath(r"//acc:id/text()", in: request, ns: { acc: "urn:acme:accounts" })
    """
    return _call_xpath(path, in_, ns, all)


# --- regex ---


def _regex(pattern: str) -> Callable[[str], Any]:
    compiled = compile_pattern(pattern)
    search = compiled.search

    def groups(text: str) -> Any:
        found = search(text)
        if found is None:
            return None
        return [found.group(0), *found.groups()]

    def named(text: str) -> Any:
        found = search(text)
        return None if found is None else found.groupdict()

    return named if compiled.names else groups


_regex_cached = lru_cache(maxsize=1024)(_regex)


def _prepare_regex(constants: Mapping[str, Any]) -> Callable[..., Any]:
    pattern = constants.get("pattern")
    if not isinstance(pattern, str):
        return _call_regex
    search = _regex(pattern)
    return lambda pattern, in_: search(in_)


def _call_regex(pattern: str, in_: str) -> Any:
    try:
        search = _regex_cached(pattern)
    except ValueError as error:
        raise Failed(Failure("bad-pattern", 400, str(error), kind=Kind.ERROR)) from None
    return search(in_)


def _groups(constants: Mapping[str, Any]) -> t.Type:
    pattern = constants.get("pattern")
    if not isinstance(pattern, str):
        return t.JSON
    return (t.MAP if compile_pattern(pattern).names else t.LIST).maybe()


@function(
    docs={"pattern": "A regular expression (RE2 syntax).", "in": "The text."},
    prepare=_prepare_regex,
    returns=t.JSON,
    returns_for=_groups,
)
def regex(pattern: str, *, in_: str) -> Json:
    """The groups of the first match, `none` where there is none.

    Named groups (`(?P<name>…)`) give a map; else a list, whose first element is the whole match. Searching takes time
    linear in the text, whatever the pattern.

        regex(r"^v(\\d+)$", in: "v2") == ["v2", "2"]
    """
    return _call_regex(pattern, in_)


FUNCTIONS = (jsonpath, regex, xpath)
