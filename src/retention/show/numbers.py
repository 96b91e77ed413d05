"""Numbers as charts and their titles say them: short, with their currency."""

from collections.abc import Callable
from functools import partial

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
STEPS = ((1e9, "bn"), (1e6, "m"), (1e3, "k"), (1, ""))


def short_money(value: float, currency: str = "", plus: bool = False) -> str:
    """An amount in at most three digits; the sign stands before the currency.

    >>> short_money(-63_240, "USD"), short_money(1_168, "CHF"), short_money(950, plus=True)
    ('−$63k', 'CHF 1.2k', '+950')
    """
    size = abs(value)
    step, letter = next((s for s in STEPS if round(size) >= s[0]), STEPS[-1])
    digits = 1 if step > 1 and size < 9.95 * step else 0
    number = f"{size / step:.{digits}f}".removesuffix(".0")
    sign = SIGNS.get(currency, f"{currency} " if currency else "")
    before = "−" if value < 0 and number != "0" else "+" if plus and number != "0" else ""
    return f"{before}{sign}{number}{letter}"


def in_money(currency: str) -> Callable[[float], str]:
    """What writes amounts of this currency in short."""
    return partial(short_money, currency=currency)


def signed_share(share: float) -> str:
    """A share more or less than expected.

    >>> signed_share(0.331), signed_share(-0.27), signed_share(-0.001)
    ('+33%', '−27%', '0%')
    """
    number = signed(100 * share)
    return f"{number}%"


def signed(value: float) -> str:
    """A whole number with its sign; none before zero."""
    number = round(value)
    sign = "−" if number < 0 else "+" if number else ""
    return f"{sign}{abs(number)}"
