"""The functions of the language, by what they work on."""

from assertions.functions import addresses, arithmetic, encoding, extract, hashing, lists, moments, text

FUNCTIONS = (
    *addresses.FUNCTIONS, *encoding.FUNCTIONS, *extract.FUNCTIONS, *hashing.FUNCTIONS, *lists.FUNCTIONS,
    *arithmetic.FUNCTIONS, *moments.FUNCTIONS, *text.FUNCTIONS,
)  # fmt: skip
