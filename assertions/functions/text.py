"""Text."""

from __future__ import annotations

from assertions.functions.arithmetic import whole
from policylang.sdk import function, wrong_type

_T = {"text": "The text."}


@function(docs=_T)
def lower(text: str) -> str:
    """Lower-case letters.

        lower("AbC") == "abc"
    """
    return text.lower()


@function(docs=_T)
def upper(text: str) -> str:
    """Upper-case letters.

        upper("AbC") == "ABC"
    """
    return text.upper()


@function(docs=_T)
def trim(text: str) -> str:
    """Without white space at both ends.

        trim("  a b ") == "a b"
    """
    return text.strip()


@function(docs=_T | {"old": "What goes.", "new": "What comes instead."})
def replace(text: str, old: str, new: str) -> str:
    """Every occurrence of a piece of text replaced.

        replace("a-b-c", "-", ".") == "a.b.c"
    """
    return text.replace(old, new) if old else text


@function(docs=_T | {"by": "What stands between the parts."})
def split(text: str, by: str) -> list[str]:
    """The parts between separators.

        split("a,b,,c", ",") == ["a", "b", "", "c"]
    """
    return text.split(by) if by else list(text)


@function(docs={"parts": "A list of text.", "by": "What comes between the parts."}, defaults={"by": '""'})
def join(parts: list[str], by: str) -> str:
    """The texts of a list as one.

        join(["a", "b"], ", ") == "a, b"
    """
    try:
        return by.join(parts)
    except TypeError:
        raise wrong_type("`join` takes a list of text") from None


@function(docs=_T | {"start": "From 0; below 0 from the end.", "end": "Where to stop; left out: at the end."})
def substring(text: str, start: int, end: int | None) -> str:
    """The characters from `start` up to, but not including, `end`.

        substring("abcdef", 1, 3) == "bc"
    """
    return text[whole(start) : None if end is None else whole(end)]


@function(docs=_T | {"prefix": "What may stand at the beginning."})
def remove_prefix(text: str, prefix: str) -> str:
    """Without a beginning, where it has that one.

        remove_prefix("urn:x", "urn:") == "x"
    """
    return text.removeprefix(prefix)


@function(docs=_T | {"suffix": "What may stand at the end."})
def remove_suffix(text: str, suffix: str) -> str:
    """Without an ending, where it has that one.

        remove_suffix("a.json", ".json") == "a"
    """
    return text.removesuffix(suffix)


@function(docs=_T | {"keep": "How many at the end stay readable."},
          defaults={"keep": "4"})  # fmt: skip
def mask_text(text: str, keep: int) -> str:
    """Every character but the last few as `*`.

        mask_text("4111111111111111", 4) == "************1111"
    """
    kept = max(0, min(whole(keep), len(text)))
    return "*" * (len(text) - kept) + text[len(text) - kept :]


FUNCTIONS = (join, lower, mask_text, remove_prefix, remove_suffix, replace, split, substring, trim, upper)
