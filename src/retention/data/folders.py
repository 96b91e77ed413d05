"""Folders that hold clients' data while something is made: for their owner alone until it is
published.
"""

import os
from pathlib import Path

PRIVATE = 0o700


def private(folder: Path) -> Path:
    """The new folder, closed to everybody but its owner from its first moment. FileExistsError
    where it exists.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(PRIVATE)
    return folder


def readable(folder: Path) -> None:
    """Give a finished folder the mode that this user's new folders have (umask)."""
    mask = os.umask(0o077)  # asking is setting; what another thread makes meanwhile is private
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
