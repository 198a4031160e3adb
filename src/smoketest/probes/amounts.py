"""Amounts as people write them: ``"5%"``, ``"500 MB"``, ``"2 GiB"``, or a number."""

from __future__ import annotations

import re

_UNITS = {
    **{unit: 1000**power for power, unit in enumerate(("", "k", "m", "g", "t", "p"))},
    **{f"{unit}i": 1024**power for power, unit in enumerate(("", "k", "m", "g", "t", "p")) if unit},
}


def amount(text: str | float, whole: float) -> float:
    """Return how much ``text`` is; a percentage is one of the ``whole``.

    ``k``, ``M``, ``G``, ``T`` and ``P`` are powers of 1000, ``Ki`` and so on of 1024; a
    ``B`` behind them changes nothing. Raises ``ValueError`` for what is no amount.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|([kmgtp]?i?)b?)\s*", str(text), re.IGNORECASE)
    unit = _UNITS.get((match[3] or "").lower()) if match else None
    if match is None or unit is None:
        raise ValueError(
            f"{text!r} is no amount. The probe compares it with what is free."
            " Write '5%', '500 MB', '2 GiB', or a number."
        )
    number = float(match[1])
    return whole * number / 100 if match[2] == "%" else number * unit


def written(number: float) -> str:
    """Return a number of bytes for people: ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} PB"
