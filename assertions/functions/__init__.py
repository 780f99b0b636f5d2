"""The functions of the language, by what they work on."""

from assertions.functions import addresses, encoding, extract, hashing, lists, moments, numbers, text

FUNCTIONS = (
    *addresses.FUNCTIONS, *encoding.FUNCTIONS, *extract.FUNCTIONS, *hashing.FUNCTIONS, *lists.FUNCTIONS,
    *moments.FUNCTIONS, *numbers.FUNCTIONS, *text.FUNCTIONS,
)  # fmt: skip
