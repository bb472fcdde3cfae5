"""What a model may be called: its name is the beginning of its files' names, and a word of the command line."""

from __future__ import annotations

import re

NAME_RULE = (
    "a model's name begins with a letter or digit, has letters, digits, '.', '_' and '-' alone, 100 at most, and does "
    "not end in -fp32 or -int8"
)


def is_model_name(name: str) -> bool:
    """Whether a model may be called so."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) and not re.search(r"-(fp32|int8)$", name))
