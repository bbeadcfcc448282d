"""Chooses what to run: facts in, a `Plan` out. Touches nothing."""

from modelhub.planner.candidates import candidates, check_runtime_name, choose_device, nearest
from modelhub.planner.making import make_plan
from modelhub.planner.wishes import Blocked, Offer, Pair, Preferences, Room, Wish

__all__ = [
    "Blocked",
    "Offer",
    "Pair",
    "Preferences",
    "Room",
    "Wish",
    "candidates",
    "check_runtime_name",
    "choose_device",
    "make_plan",
    "nearest",
]
