"""The terminals by number, what users call them, and the words that beginners bring from elsewhere."""

from __future__ import annotations

from policylang.syntax import table_data

NUMBER_OF: dict[str, int] = {name: i for i, name in enumerate(table_data.TERMINALS + table_data.NONTERMINALS)}
TERMINAL_COUNT = len(table_data.TERMINALS)

KEYWORDS: dict[str, int] = {word: NUMBER_OF[name] for word, name in table_data.WORDS.items()}
SIGNS: dict[str, int] = {sign: NUMBER_OF[name] for sign, name in table_data.SIGNS.items()}

# Kept for later versions: reading them as names today would break policies tomorrow.
KEPT_WORDS = frozenset({"function", "every", "within", "finally", "guarantee"})
KEPT_PARAMETERS = frozenset({"tags", "when"})

END = NUMBER_OF["$END"]
AFTER = NUMBER_OF["AFTER"]
ALL = NUMBER_OF["ALL"]
AND = NUMBER_OF["AND"]
ANY = NUMBER_OF["ANY"]
ARROW = NUMBER_OF["ARROW"]
ASSERTION = NUMBER_OF["ASSERTION"]
ASSIGN = NUMBER_OF["ASSIGN"]
BAD = NUMBER_OF["BAD"]
BAD_EXPR = NUMBER_OF["BAD_EXPR"]
BEFORE = NUMBER_OF["BEFORE"]
CATCH = NUMBER_OF["CATCH"]
COLON = NUMBER_OF["COLON"]
COMMA = NUMBER_OF["COMMA"]
DOT = NUMBER_OF["DOT"]
DURATION = NUMBER_OF["DURATION"]
ELSE = NUMBER_OF["ELSE"]
EQ = NUMBER_OF["EQ"]
FAIL = NUMBER_OF["FAIL"]
FAILURE = NUMBER_OF["FAILURE"]
FALSE = NUMBER_OF["FALSE"]
FOR = NUMBER_OF["FOR"]
GATEWAY = NUMBER_OF["GATEWAY"]
GE = NUMBER_OF["GE"]
GLOBAL = NUMBER_OF["GLOBAL"]
IF = NUMBER_OF["IF"]
IMPORT = NUMBER_OF["IMPORT"]
IN = NUMBER_OF["IN"]
KEY = NUMBER_OF["KEY"]
LET = NUMBER_OF["LET"]
LBRACE = NUMBER_OF["_LBRACE"]
LMAP = NUMBER_OF["_LMAP"]
LPAR = NUMBER_OF["LPAR"]
LSQB = NUMBER_OF["LSQB"]
MAP = NUMBER_OF["MAP"]
MATCH = NUMBER_OF["MATCH"]
MEMBER = NUMBER_OF["MEMBER"]
MINUS = NUMBER_OF["MINUS"]
NAME = NUMBER_OF["NAME"]
NE = NUMBER_OF["NE"]
NL = NUMBER_OF["_NL"]
NONE = NUMBER_OF["NONE"]
NOT = NUMBER_OF["NOT"]
NUMBER = NUMBER_OF["NUMBER"]
ON = NUMBER_OF["ON"]
OPTIONAL = NUMBER_OF["OPTIONAL"]
OR = NUMBER_OF["OR"]
PARALLEL = NUMBER_OF["PARALLEL"]
PERCENT = NUMBER_OF["PERCENT"]
PLUS = NUMBER_OF["PLUS"]
PRIVATE = NUMBER_OF["PRIVATE"]
RANGE = NUMBER_OF["RANGE"]
RATE = NUMBER_OF["RATE"]
RAW = NUMBER_OF["RAW"]
RBRACE = NUMBER_OF["_RBRACE"]
REQUIRE = NUMBER_OF["REQUIRE"]
RESPOND = NUMBER_OF["RESPOND"]
RMAP = NUMBER_OF["_RMAP"]
RPAR = NUMBER_OF["RPAR"]
RSQB = NUMBER_OF["RSQB"]
SERVICE = NUMBER_OF["SERVICE"]
SET = NUMBER_OF["SET"]
SIZE = NUMBER_OF["SIZE"]
SLASH = NUMBER_OF["SLASH"]
SPLIT = NUMBER_OF["SPLIT"]
STAR = NUMBER_OF["STAR"]
STRING = NUMBER_OF["STRING"]
STRING_HEAD = NUMBER_OF["STRING_HEAD"]
STRING_MID = NUMBER_OF["STRING_MID"]
STRING_TAIL = NUMBER_OF["STRING_TAIL"]
TEST = NUMBER_OF["TEST"]
THEN = NUMBER_OF["THEN"]
TRIPLE = NUMBER_OF["TRIPLE"]
TRIPLE_HEAD = NUMBER_OF["TRIPLE_HEAD"]
TRIPLE_MID = NUMBER_OF["TRIPLE_MID"]
TRIPLE_TAIL = NUMBER_OF["TRIPLE_TAIL"]
TRUE = NUMBER_OF["TRUE"]
TRY = NUMBER_OF["TRY"]
UPSTREAM = NUMBER_OF["UPSTREAM"]

# Kinds that no rule takes: what they stand for depends on where they stand.
KEPT = -1
FAT_ARROW = -2


def _numbers(names: str) -> frozenset[int]:
    return frozenset(NUMBER_OF[name] for name in names.split())


COMPARATORS = _numbers("EQ NE LT LE GT GE IN CONTAINS STARTS_WITH ENDS_WITH MATCHES")
BINARY = COMPARATORS | _numbers("OR AND RANGE PLUS MINUS STAR SLASH PERCENT COALESCE")
VALUES = _numbers(
    "NAME NUMBER DURATION SIZE RATE TRUE FALSE NONE STRING RAW TRIPLE STRING_HEAD TRIPLE_HEAD LSQB _LMAP LPAR BAD_EXPR"
)
OPERAND_STARTS = VALUES | _numbers("GATEWAY SERVICE MAP ALL TEST NOT MINUS IF")
OPERAND_ENDS = _numbers(
    "NAME MEMBER NUMBER DURATION SIZE RATE TRUE FALSE NONE STRING RAW TRIPLE STRING_TAIL TRIPLE_TAIL RSQB RPAR _RMAP"
    " GATEWAY SERVICE MAP ALL TEST BAD_EXPR"
)
# Words that can only begin a statement, and those that can only begin a declaration.
STATEMENT_STARTS = _numbers("REQUIRE LET SET REMOVE ANY PARALLEL TRY IGNORE MATCH FOR RESPOND FAIL")
DECLARATION_STARTS = _numbers("IMPORT UPSTREAM GLOBAL ASSERTION")
STRINGS = _numbers("STRING RAW TRIPLE STRING_HEAD TRIPLE_HEAD")

# After these a { is a map's: a value must follow.
MAP_CONTEXTS = (
    BINARY
    | _numbers("LPAR LSQB COMMA KEY COLON ASSIGN NOT THEN STRING_HEAD STRING_MID TRIPLE_HEAD TRIPLE_MID")
) - _numbers("_LMAP")

DESCRIPTIONS: dict[int, str] = {
    END: "the end of the file",
    NAME: "a name",
    MEMBER: "a name",
    KEY: "a parameter's name",
    NUMBER: "a number",
    DURATION: "a duration",
    SIZE: "a size",
    RATE: "a rate",
    STRING: "a string",
    STRING_HEAD: "a string",
    STRING_MID: "`}`",
    STRING_TAIL: "the end of the string",
    TRIPLE: "a string",
    TRIPLE_HEAD: "a string",
    TRIPLE_MID: "`}`",
    TRIPLE_TAIL: "the end of the string",
    RAW: "a string",
    NL: "the end of the line",
    LBRACE: "`{`",
    RBRACE: "`}`",
    LMAP: "`{`",
    RMAP: "`}`",
    **{number: f"`{word}`" for word, number in KEYWORDS.items()},
    **{number: f"`{sign}`" for sign, number in SIGNS.items()},
}

DURATION_UNITS = ("ms", "s", "m", "h", "d")
SIZE_UNITS = ("B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB")
RATE_UNITS = ("s", "min", "hour", "day", "month")

# What people write for a unit, and the unit. Where two readings are possible, none is offered.
DURATION_SLIPS: dict[str, str] = {
    **dict.fromkeys(("msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
}
SIZE_SLIPS: dict[str, str] = {
    **dict.fromkeys(("b", "byte", "bytes"), "B"),
    **dict.fromkeys(("kb", "Kb", "kB", "k", "K"), "KB"),
    **dict.fromkeys(("mb", "Mb", "mB", "M", "megabyte", "megabytes"), "MB"),
    **dict.fromkeys(("gb", "Gb", "gB", "g", "G", "gigabyte", "gigabytes"), "GB"),
    **dict.fromkeys(("tb", "Tb"), "TB"),
    **dict.fromkeys(("kib", "Kib", "KIB", "ki", "Ki"), "KiB"),
    **dict.fromkeys(("mib", "Mib", "MIB", "mi", "Mi"), "MiB"),
    **dict.fromkeys(("gib", "Gib", "GIB", "gi", "Gi"), "GiB"),
}
RATE_SLIPS: dict[str, str] = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hours"), "hour"),
    **dict.fromkeys(("d", "days"), "day"),
    **dict.fromkeys(("mo", "mon", "months"), "month"),
}
RATE_UNKNOWN = frozenset({"m", "ms", "w", "week", "weeks", "y", "yr", "year", "years"})

LITERAL_SLIPS: dict[str, str] = {
    **dict.fromkeys(("null", "nil", "None", "NULL", "Null", "undefined"), "none"),
    **dict.fromkeys(("True", "TRUE"), "true"),
    **dict.fromkeys(("False", "FALSE"), "false"),
}
ELSE_IF_SLIPS = frozenset({"elif", "elsif", "elseif"})
SIGN_SLIPS: dict[str, tuple[int, str]] = {
    "&&": (AND, "and"),
    "||": (OR, "or"),
    "!": (NOT, "not"),
    "===": (EQ, "=="),
    "!==": (NE, "!="),
    "<>": (NE, "!="),
    ":=": (ASSIGN, "="),
    "?.": (DOT, "."),
}
