"""What is predicted at a month's end, and how far ahead that is (METHODS 7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """What is predicted at a month's end: leaving by choice in the `horizon` months after `gap`
    more. METHODS 7.
    """

    gap: int = 1
    horizon: int = 3
    notice: int = 1  # months

    def __post_init__(self) -> None:
        if self.gap < 0 or self.horizon < 1:
            raise ValueError(
                f"gap {self.gap}, horizon {self.horizon}: predict at least one month, and none "
                "that is over"
            )

    @property
    def ahead(self) -> int:
        """Months from the month's end until the outcome is known."""
        return self.gap + self.horizon
