"""What each construct becomes: the tree in a short form, and the places of a few nodes."""

from __future__ import annotations

import pytest

from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse


def short(node: object) -> str:
    """A node as `Class(field field…)`, spans and defaults left out."""
    if isinstance(node, n.Name):
        return node.name
    if isinstance(node, n.Number | n.Bool):
        return repr(node.value)
    if isinstance(node, n.Text):
        return node.style[0] + "".join(p if isinstance(p, str) else "{" + short(p) + "}" for p in node.parts) + '"'
    if isinstance(node, n.Binary):
        return f"({short(node.left)} {node.op} {short(node.right)})"
    if isinstance(node, n.Argument):
        return (f"{node.name}:" if node.name else "") + short(node.value)
    if isinstance(node, tuple):
        return "[" + " ".join(map(short, node)) + "]"
    if isinstance(node, n.Block):
        return "{" + " ".join(map(short, node.statements)) + "}" if node.braced else short(node.statements[0])
    if isinstance(node, n.Node):
        names = [f for f in node.__match_args__ if "span" not in f]  # type: ignore[attr-defined]
        values = [getattr(node, f) for f in names]
        shown = [short(v) for v in values if v not in ("", None, False, ())]
        return f"{type(node).__name__}({' '.join(shown)})"
    return str(node)


def declarations(text: str) -> tuple[n.Declaration, ...]:
    file, found = parse(Source("x.pol", text))
    assert not found, found
    return file.declarations


def statement(text: str) -> n.Statement:
    (service,) = declarations('service s "/" {\n' + text + "\n}\n")
    assert isinstance(service, n.Service)
    (only,) = service.body.statements
    return only


def expression(text: str) -> n.Expr:
    (constant,) = declarations(f"let x = {text}\n")
    assert isinstance(constant, n.Constant)
    return constant.value


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a.b.c", "Member(Member(a b) c)"),
        ('a["b-c"][0]', 'Index(Index(a "b-c") 0)'),
        ("request.in", "Member(request in)"),
        ("service.name", "Member(service name)"),
        ("-a ?? b", "(Unary(- a) ?? b)"),
        ("a ?? -b * c", "((a ?? Unary(- b)) * c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a + b * c % d / e", "(a + (((b * c) % d) / e))"),
        ("a + 1..b * 2", "((a + 1) .. (b * 2))"),
        ("200..299", "(200 .. 299)"),
        ("a in 1..5", "(a in (1 .. 5))"),
        ("not a == b and c or d", "((Unary(not (a == b)) and c) or d)"),
        ("a or b and c", "(a or (b and c))"),
        ("not not a", "Unary(not Unary(not a))"),
        ("(a or b) and c", "((a or b) and c)"),
        ("a starts_with b", "(a starts_with b)"),
        ("a matches b", "(a matches b)"),
        ("if a then b else if c then d else e", "Conditional(a b Conditional(c d e))"),
        ("jsonpath(\"$.id\", in: request, all: true,)", 'CallExpr(jsonpath ["$.id" in:request all:True])'),
        ("acme.f(1).g", "Member(CallExpr(acme.f [1]) g)"),
        ('map("x")', 'CallExpr(map ["x"])'),
        ("all(a)", "CallExpr(all [a])"),
        ("[]", "ListValue()"),
        ("[1, 2,]", "ListValue([1 2])"),
        ("{}", "MapValue()"),
        ('{ Key: 1, "o-k": [2], in: 3, }', "MapValue([MapEntry(Key 1) MapEntry(o-k ListValue([2])) MapEntry(in 3)])"),
        ("[\n1,\n\n2\n]", "ListValue([1 2])"),
        ("(a\n+ b)", "(a + b)"),
        ("if a then { k: 1 } else { k: 2 }", "Conditional(a MapValue([MapEntry(k 1)]) MapValue([MapEntry(k 2)]))"),
        ("none", "NoneValue()"),
        ("true", "True"),
        ("1_000_000", "1000000"),
        ("0.5", "0.5"),
        ("250ms", "DurationValue(250 ms)"),
        ("1.5h", "DurationValue(1.5 h)"),
        ("64KiB", "SizeValue(64 KiB)"),
        ("1_000_000/month", "RateValue(1000000 month)"),
        ("10/2", "(10 / 2)"),
        ("count/s.x", "(count / Member(s x))"),
    ],
)
def test_expressions(text: str, tree: str) -> None:
    assert short(expression(text)) == tree


@pytest.mark.parametrize(
    ("text", "parts", "style"),
    [
        ('""', (), '"'),
        (r'"a\n\t\"\\\$\u00e9"', ('a\n\t"\\$é',), '"'),
        ('"$ {} $x"', ("$ {} $x",), '"'),
        (r'r"\d+\"', ("\\d+\\",), "r"),
        ('"""one"""', ("one",), '"""'),
        ('"""\n    one\n      two\n\n    three\n    """', ("one\n  two\n\nthree",), '"""'),
        ('"""\n    say "hi" \\"""now\n    """', ('say "hi" """now',), '"""'),
        ('"""\n\tone\n\ttwo"""', ("one\ntwo",), '"""'),
        ('"""a\n  b"""', ("a\nb",), '"""'),
        ('"""\r\n  a\r\n  b\r\n  """', ("a\nb",), '"""'),
    ],
)
def test_strings(text: str, parts: tuple[str, ...], style: str) -> None:
    value = expression(text)
    assert isinstance(value, n.Text)
    assert (value.parts, value.style) == (parts, style)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('"${a}"', '"{a}"'),
        ('"x${t ?? "none"}y${"${b}"}"', '"x{(t ?? "none")}y{"{b}"}"'),
        ('"${ { a: 1 }.a }z"', '"{Member(MapValue([MapEntry(a 1)]) a)}z"'),
        (r'"\${a}"', '"${a}"'),
        ('"""\n   <${a}>\n     ${b}\n   """', '"<{a}>\n  {b}"'),
    ],
)
def test_interpolation(text: str, tree: str) -> None:
    assert short(expression(text)) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("rate_limit 10/s, per: user.id, burst: 2s",
         "Call(rate_limit [RateValue(10 s) per:Member(user id) burst:DurationValue(2 s)])"),
        ("acme.check", "Call(acme.check)"),
        ("verify_jwt a,\n  keys: b -> claims", "Call(verify_jwt [a keys:b] [Output(claims)])"),
        ("f -> a,\n private b", "Call(f [Output(a) Output(b True)])"),
        ("cache 5m, key: a -> hit { route b }",
         "Call(cache [DurationValue(5 m) key:a] [Output(hit)] {Call(route [b])})"),
        ("repeat 5 { get \"/\" }", 'Call(repeat [5] {Call(get ["/"])})'),
        ("foo a, { k: 1 }", "Call(foo [a MapValue([MapEntry(k 1)])])"),
        ("foo { bar }", "Call(foo {Call(bar)})"),
        ("foo (a)", "Call(foo [a])"),
        ("foo (a + b) * c, d", "Call(foo [((a + b) * c) d])"),
        ("foo -a", "Call(foo [Unary(- a)])"),
        ("foo in: a", "Call(foo [in:a])"),
        ("require a", "Require(a)"),
        ("let x = a", "Let(x a)"),
        ("let x? = a", "Let(x True a)"),
        ("let private x = a", "Let(x True a)"),
        ('set response.header["X"] = a', 'Set(Index(Member(response header) "X") a)'),
        ("remove request.cookie.x", "Remove(Member(Member(request cookie) x))"),
        ("all { a }", "Group(all {Call(a)})"),
        ("any {\n a\n\n b\n}", "Group(any {Call(a) Call(b)})"),
        ("none { a }", "Group(none {Call(a)})"),
        ("parallel { a }", "Group(parallel {Call(a)})"),
        ("if a { b } else if c { d } else { e }", "If([Arm(a {Call(b)}) Arm(c {Call(d)})] {Call(e)})"),
        ("if a {\n b\n}\n\n# why\nelse {\n c\n}", "If([Arm(a {Call(b)})] {Call(c)})"),
        ('match a {\n "x", 200..299 -> b\n  none -> { c }\n -1 -> d else e\n else -> f\n}',
         'Match(a [Case(["x" (200 .. 299)] Call(b)) Case([NoneValue()] {Call(c)})'
         " Case([Unary(- 1)] Else(Call(d) Call(e))) Case(Call(f))])"),
        ("split by: a { 95 -> b\n 5 -> { c } }", "Split([by:a] [Case([95] Call(b)) Case([5] {Call(c)})])"),
        ("if a { split {\n 1 -> split\n 2 -> let split = split(split, split.b)\n} }",
         "If([Arm(a {Split([Case([1] Call(split)) Case([2] Let(split CallExpr(split [split Member(split b)])))])})])"),
        ("for x in [a, b] { c x }", "For(x ListValue([a b]) {Call(c [x])})"),
        ("try { a } catch e { b }", "Try({Call(a)} e {Call(b)})"),
        ("try {\n a\n}\ncatch {\n b\n}", "Try({Call(a)} {Call(b)})"),
        ("a else b", "Else(Call(a) Call(b))"),
        ("a else b else { c }", "Else(Else(Call(a) Call(b)) {Call(c)})"),
        ("a\n  else fail 400", "Else(Call(a) Fail([400]))"),
        ("a else if b { c } else { d }", "Else(Call(a) If([Arm(b {Call(c)})] {Call(d)}))"),
        ("let x = if a then b else c else d", "Else(Let(x Conditional(a b c)) Call(d))"),
        ("respond 200, json: { a: 1 }", "Respond([200 json:MapValue([MapEntry(a 1)])])"),
        ('fail 400, "x"', 'Fail([400 "x"])'),
        ("ignore", "Ignore()"),
    ],
)
def test_statements(text: str, tree: str) -> None:
    assert short(statement(text)) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('import "a.pol"', 'Import("a.pol")'),
        ("gateway {\n listen \"x\", cert: \"y\"\n workers 2\n}",
         'Gateway([Setting(listen ["x" cert:"y"]) Setting(workers [2])])'),
        ("gateway { }", "Gateway()"),
        ("upstream u { balance least }", "Upstream(u [Setting(balance [least])])"),
        ('map m, file: "x"', 'MapDeclaration(m [file:"x"])'),
        ("map m", "MapDeclaration(m)"),
        ("let private x = 1", "Constant(x True 1)"),
        ("assertion a { b }", "AssertionDeclaration(a {Call(b)})"),
        ("assertion a() { b }", "AssertionDeclaration(a {Call(b)})"),
        ("assertion a(x: string, private y: list? = none,\n z: map) -> o, private p { b }",
         "AssertionDeclaration(a [Parameter(x string) Parameter(y list True True NoneValue()) Parameter(z map)]"
         " [Output(o) Output(p True)] {Call(b)})"),
        ('service s "/a/{id}", "/b", methods: ["GET"],\n host: "h" {\n route u\n}',
         'Service(s ["/a/{id}" "/b" methods:ListValue(["GET"]) host:"h"] {Call(route [u])})'),
        ('service s "/" {\n a\n\n on failure { b }\n}', 'Service(s ["/"] {Call(a)} {Call(b)})'),
        ('service s "/" { on failure { b } }', 'Service(s ["/"] {} {Call(b)})'),
        ("global before { a }", "Global(before {Call(a)})"),
        ("global after { a }", "Global(after {Call(a)})"),
        ('test "t" {\n given map("m"), entries: {\n  k1: { id: 1 }\n }\n expect orders.calls[0].path == "/"\n}',
         'Test("t" {Call(given [CallExpr(map ["m"]) entries:MapValue([MapEntry(k1 MapValue([MapEntry(id 1)]))])])'
         ' Call(expect [(Member(Index(Member(orders calls) 0) path) == "/")])})'),
        ("let before = 1\nlet after = 2\nlet failure = 3", "Constant(before 1)Constant(after 2)Constant(failure 3)"),
    ],
)
def test_declarations(text: str, tree: str) -> None:
    assert "".join(map(short, declarations(text))) == tree


def test_places() -> None:
    text = '# doc\n#  of s\nservice s "/" {\n    let x? = a.b + f(c: 1)\n    on failure { b }\n}\n'
    (service,) = declarations(text)
    assert isinstance(service, n.Service)
    assert service.doc == "doc\n of s"
    assert service.span.text == text[text.index("service") : -1]
    assert service.on_failure_span is not None and service.on_failure_span.text == "on failure"
    assert service.body.span.text.startswith("{\n") and service.body.span.text.endswith("}")
    let = service.body.statements[0]
    assert isinstance(let, n.Let) and isinstance(let.value, n.Binary)
    assert let.span.text == "let x? = a.b + f(c: 1)"
    assert let.name_span.text == "x"
    assert let.value.op_span.text == "+"
    assert isinstance(let.value.left, n.Member) and let.value.left.name_span.text == "b"
    call = let.value.right
    assert isinstance(call, n.CallExpr)
    assert (call.span.text, call.name_span.text) == ("f(c: 1)", "f")
    assert call.args[0].span.text == "c: 1"
    assert call.args[0].name_span is not None and call.args[0].name_span.text == "c"
    assert str(let.value.span) == "x.pol:4:14"


def test_comments_are_kept_with_their_places() -> None:
    text = 'let a = 1  # behind\n# own\nlet b = "# none"\n'
    file, _ = parse(Source("x", text))
    assert [(c.text, c.own_line) for c in file.comments] == [("# behind", False), ("# own", True)]
    assert [d.doc for d in file.declarations] == ["", "own"]


def test_a_comment_apart_documents_nothing() -> None:
    assert declarations("# apart\n\nlet a = 1\n")[0].doc == ""


def test_lines_may_end_in_any_way() -> None:
    text = 'service s "/" {\n    any {\n        a\n        b\n    }\n    else {\n        c\n    }\n}\n'
    assert short(declarations(text.replace("\n", "\r\n"))) == short(declarations(text))


def test_what_could_not_be_read_has_a_node() -> None:
    text = 'service s "/" {\n    require a ==\n    rate_limit 10/s\n    let y = 1\n}\n'
    file, found = parse(Source("x", text))
    (service,) = file.declarations
    assert isinstance(service, n.Service)
    require, let = service.body.statements[0], service.body.statements[-1]
    assert isinstance(require, n.Require) and isinstance(require.condition, n.Binary)
    assert isinstance(require.condition.right, n.BadExpr)
    assert isinstance(let, n.Let)
    assert len(found) == 1
    file, _ = parse(Source("x", 'service s "/" {\n    1 + 2\n}\n'))
    (service,) = file.declarations
    assert isinstance(service, n.Service) and isinstance(service.body.statements[0], n.BadStatement)


def test_spans_cover_what_they_name() -> None:
    source = Source("x", "let a = 1")
    assert Span(source, 4, 5).text == "a"
