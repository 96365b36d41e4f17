"""Text of others made fit to be shown: names with line breaks in them, logs with terminal escapes."""

import re

_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\([A-Z0-9])")


def without_colours(text: str) -> str:
    """Leave out what colours a terminal and moves its cursor."""
    return _COLOUR.sub("", text)


def one_line(text: str) -> str:
    """Give text on one line: characters that cannot be printed are shown as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def count(number: int, what: str) -> str:
    """Give a number of things in words, such as "1 job" or "2 jobs"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def minutes(seconds: float) -> str:
    """Give a time in minutes, in words: "60 minutes", "0.5 minutes"."""
    number = f"{seconds / 60:g}"
    return f"{number} minute{'' if number == '1' else 's'}"
