"""How much is read before bytes are used."""

from typing import Literal, get_args

from modelhub.errors import InvalidInput

Level = Literal["proof", "full", "off"]
"""`proof`: what has no proof that holds is hashed. `full`: everything is. `off`: nothing is."""

LEVELS: tuple[Level, ...] = get_args(Level)


def known_level(level: str, field: str = "level") -> None:
    """Refuse what is no `Level`.

    Raises:
        InvalidInput
    """
    if level not in LEVELS:
        raise InvalidInput(f"{field} must be one of {', '.join(LEVELS)}, not {level!r:.40}", field=field)
