"""What holds unless the caller says otherwise; apart, so that `--help` can tell it without loading anything."""

from __future__ import annotations

MAX_PIXELS = 100_000_000
"""Width times height of a picture: a phone's has 12 to 50 million."""
MIN_CONFIDENCE = 0.35
"""Below this even the likeliest digit is a guess; above it a digit left out would make a number a wrong one …"""
MIN_CONFIDENCE_UNSCORED = 0.5
"""… but where the model does not tell what is no digit, being unsure is all that does."""
MAX_DIGITS = 1000
"""No more regions of a picture are classified, unless more are asked for."""
STABLE = 0.4
"""Seconds that a reading must hold before it is told."""
