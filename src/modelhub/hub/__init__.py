"""The one object that users hold."""

from modelhub.hub.doctor import Checkup
from modelhub.hub.hub import Hub
from modelhub.settings import Settings

__all__ = ["Checkup", "Hub", "Settings"]
