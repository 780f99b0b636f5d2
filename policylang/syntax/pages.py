"""The page of every syntax diagnostic, as Markdown: what is wrong, a bad and a good example.

An example that begins with no declaration stands inside a service.
"""

from __future__ import annotations

_SOURCE = """\
argument-order
Arguments without a name come first, in the order of the assertion's page; those with one follow.
    rate_limit per: user.id, 10/s
==
    rate_limit 10/s, per: user.id

bad-target
`set` and `remove` take a name, a member or an element: a value that was computed has no place to write to.
    set json(user) = 1
==
    set response.header["X-User"] = user.id

bare-path
A path is a string.
    service orders /orders/** { route orders }
==
    service orders "/orders/**" { route orders }

broken-line
A statement ends with its line. Lines may break after a comma and anywhere inside `( )`, `[ ]` and a map.
    require user.active and
        user.age >= 18
==
    require (user.active and
        user.age >= 18)

chained-comparison
A comparison gives true or false, which no comparison takes.
    require 8 <= now.hour <= 18
==
    require 8 <= now.hour and now.hour <= 18

colon-after-name
The values of a statement or a setting follow its name without a colon.
    gateway {
        workers: 2
    }
==
    gateway {
        workers 2
    }

colon-for-equals
A colon names an argument or a map's entry. `let` and `set` give a value with `=`.
    let limit: 5
==
    let limit = 5

computed-key
A map's keys are known when the policy is read.
    log "x", fields: { "${user.id}": 1 }
==
    log "x", fields: { user: user.id }

default-case
The case of a `match` that takes whatever is left is `else`.
    match user.contract {
        "gold"  -> rate_limit 500/s
        default -> rate_limit 100/s
    }
==
    match user.contract {
        "gold" -> rate_limit 500/s
        else   -> rate_limit 100/s
    }

double-equals
`==` compares; a value is given with `=`.
    let tier == "gold"
==
    let tier = "gold"

else-if
A further branch begins with `else if`.
    if user.age < 18 {
        fail 403
    } elif user.age < 21 {
        log "young"
    }
==
    if user.age < 18 {
        fail 403
    } else if user.age < 21 {
        log "young"
    }

equals-for-colon
An argument's name is followed by a colon.
    rate_limit 10/s, per = user.id
==
    rate_limit 10/s, per: user.id

extra-brace
A `}` that closes nothing: one too many, or a `{` is missing further up.
    service orders "/orders" {
        route orders
        }
    }
==
    service orders "/orders" {
        route orders
    }

extra-comma
A comma separates two arguments; the statement goes on after it, on the next line too.
    rate_limit, 10/s
==
    rate_limit 10/s

foreign-comment
A comment begins with `#` and ends with its line.
    // only for partners
    api_key request.header["X-Key"], in: map("partners")
==
    # only for partners
    api_key request.header["X-Key"], in: map("partners")

foreign-literal
The absent value is `none`; the truth values are `true` and `false`.
    require user != null
==
    require user != none

foreign-operator
Operators are words where words read better: `and`, `or`, `not`; comparisons are `==` and `!=`.
    require user.active && !user.locked
==
    require user.active and not user.locked

format-defect
`pol fmt` reads what it has printed and compares. This file would have come out with another meaning, so it
was left alone; the fault is the formatter's. Please report the file.

fractional-rate
A rate counts whole messages. For fewer than one in a second take a longer time.
    rate_limit 0.5/s
==
    rate_limit 30/min

hyphen-in-name
A `-` is a minus; words in a name are joined by `_`.
    let user-name = user.id
==
    let user_name = user.id

kept-word
Some words are kept for later versions of the language, so that policies of today keep their meaning.
    let every = 5
==
    let interval = 5

let-for-set
`let` makes a new name. What is there already, such as a part of a message, is changed with `set`.
    let response.header["X-Tier"] = "gold"
==
    set response.header["X-Tier"] = "gold"

malformed-number
Numbers are decimal, and written out; `_` may stand between two digits.
    require request.size < 1e6
==
    require request.size < 1_000_000

map-as-block
A `{` right after a statement's name opens a block, so a map is never the first argument.
    annotate { tier: "gold" }
==
    annotate fields: { tier: "gold" }

misplaced-branch
`else` belongs to the statement before it, and `catch` to a `try`. What has branches of its own (`if`, `match`),
`for`, `none`, and what never comes back (`respond`, `fail`) take no `else`.
    respond 200 else fail 500
==
    route orders else fail 500

misplaced-declaration
Declarations stand at the top of a file, outside of every block.
    service orders "/orders" {
        upstream orders {
            server "http://10.0.0.1"
        }
        route orders
    }
==
    service orders "/orders" {
        route orders
    }
    upstream orders {
        server "http://10.0.0.1"
    }

misplaced-on-failure
`on failure` is the last block of a service, and of services only.
    service orders "/orders" {
        on failure { respond 500 }
        route orders
    }
==
    service orders "/orders" {
        route orders
        on failure { respond 500 }
    }

misplaced-statement
Statements stand inside a service, an assertion, a `global` block or a test.
    rate_limit 10/s
    service orders "/orders" { route orders }
==
    global before { rate_limit 10/s }
    service orders "/orders" { route orders }

missing-brace
A block begins with `{` on the line of the statement that it belongs to.
    if user.locked
        fail 403
    }
==
    if user.locked {
        fail 403
    }

missing-colon
The name of an argument is followed by a colon.
    rate_limit 10/s, per user.id
==
    rate_limit 10/s, per: user.id

missing-comma
Arguments, items and entries are separated by commas.
    rate_limit 10/s per: user.id
==
    rate_limit 10/s, per: user.id

missing-let
A new name begins with `let`.
    tier = "gold"
==
    let tier = "gold"

missing-match
Cases, a pattern and `->`, stand in a `match`.
    user.tier {
        "gold" -> rate_limit 500/s
        else   -> rate_limit 100/s
    }
==
    match user.tier {
        "gold" -> rate_limit 500/s
        else   -> rate_limit 100/s
    }

missing-name
A name is missing, or stands where none can be.
    let = 5
==
    let limit = 5

missing-set
A value that is there already is changed with `set`.
    response.status = 404
==
    set response.status = 404

missing-sign
A sign or a word between two things that are there.
    for role user.roles { log role }
==
    for role in user.roles { log role }

missing-value
A value must follow an operator, `=`, `(` and the name of an argument.
    require user.age >=
==
    require user.age >= 18

misspelt-word
A word that fits nowhere, and nearly is one that would.
    servce orders "/orders" { route orders }
==
    service orders "/orders" { route orders }

not-a-function
A function is called by its name: `name(…)` or `plugin.name(…)`.
    let x = user.roles[0](1)
==
    let x = user.roles[0]

not-in
`not` stands before a whole comparison.
    require client.ip not in ["10.0.0.0/8"]
==
    require not client.ip in ["10.0.0.0/8"]

parenthesised-arguments
The arguments of a statement take no parentheses; those of a function inside an expression do.
    rate_limit(10/s, per: user.id)
==
    rate_limit 10/s, per: user.id

quoted-name
Names are written without quotes; paths and texts with them.
    service "orders" "/orders" { route orders }
==
    service orders "/orders" { route orders }

reserved-word
A word of the language cannot be the name of something. After a dot and before a colon it can.
    let match = 5
==
    let matched = 5

several-statements
A line holds one statement.
    limit_size request, 1MB rate_limit 10/s
==
    limit_size request, 1MB
    rate_limit 10/s

single-equals
`=` gives a value; `==` compares.
    require user.tier = "gold"
==
    require user.tier == "gold"

single-quotes
Strings stand in double quotes.
    require user.tier == 'gold'
==
    require user.tier == "gold"

semicolon
A statement ends with its line.
    limit_size request, 1MB;
==
    limit_size request, 1MB

strange-character
A character that has no meaning outside of strings and comments.
    require $user.active
==
    require user.active

too-deep
Expressions and blocks may stand inside one another, but not without end.
==
    require user.tier in ["gold", "platinum"]

too-many-errors
A file with so many errors is not read to its end.

typographic-quotes
Strings stand in straight double quotes; text programs like to write others.
    require user.tier == “gold”
==
    require user.tier == "gold"

unclosed-brace
A `{` without its `}`. The place shown is where the lines after it stop being indented deeper.
    service orders "/orders" {
        any {
            allow_ip "10.0.0.0/8"
            api_key request.header["X-Key"], in: map("partners")
        route orders
    }
==
    service orders "/orders" {
        any {
            allow_ip "10.0.0.0/8"
            api_key request.header["X-Key"], in: map("partners")
        }
        route orders
    }

unclosed-bracket
A `(`, `[` or the `{` of a map without its partner.
    require (user.active and user.age >= 18
==
    require (user.active and user.age >= 18)

unclosed-interpolation
A `${` without its `}`. A dollar before a brace is written `\\$`.
    log "caller ${user.id"
==
    log "caller ${user.id}"

unclosed-string
A string ends on its line. For several lines there is `\"\"\"`.
    log "caller
==
    log "caller"

unexpected-text
Something stands where it has no meaning; the message says what could stand there.
    global later { log "x" }
==
    global after { log "x" }

unknown-escape
After a backslash only `n`, `r`, `t`, `"`, `\\`, `$` and `u` with four digits have a meaning. Regular
expressions and paths are written `r"…"`.
    require path.id matches "\\d+"
==
    require path.id matches r"\\d+"

unknown-unit
Durations end in `ms`, `s`, `m`, `h` or `d`; sizes in `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`; a rate is `/s`,
`/min`, `/hour`, `/day` or `/month`.
    rate_limit 10/sec, burst: 2 seconds
==
    rate_limit 10/s, burst: 2s

unmatched-bracket
A closing bracket without an opening one, or of another kind.
    require user.age >= 18)
==
    require user.age >= 18

upper-case-name
Names are written in lower case, their words joined by `_`. Members, captures and keys of maps are free.
    let userName = user.id
==
    let user_name = user.id

wrong-arrow
Outputs and cases are written with `->`.
    match user.tier {
        "gold" => rate_limit 500/s
    }
==
    match user.tier {
        "gold" -> rate_limit 500/s
    }
"""


def _page(entry: str) -> tuple[str, str]:
    name, _, rest = entry.partition("\n")
    parts = [f"# {name}", ""]
    words: list[str] = []
    code: list[str] = []
    info = "pol bad"
    for line in [*rest.split("\n"), "=="]:
        if line.startswith("    "):
            code.append(line[4:])
        elif line == "==":
            if words:
                parts += [" ".join(words), ""]
                words = []
            if code:
                parts += [f"```{info}", *code, "```", ""]
                code = []
            info = "pol"
        elif line:
            words.append(line)
    return name, "\n".join(parts)


PAGES: dict[str, str] = dict(_page(entry) for entry in _SOURCE.strip("\n").split("\n\n"))
