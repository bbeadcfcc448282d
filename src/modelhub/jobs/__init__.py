"""Long work with a row: its status, progress, input, output and error outlive the call."""

from modelhub.jobs.context import JobContext
from modelhub.jobs.damage import Damage, damage
from modelhub.jobs.engine import Jobs
from modelhub.jobs.fetch import Fetcher
from modelhub.jobs.handlers import Handler, Payload
from modelhub.jobs.holds import Hold, Holds
from modelhub.jobs.references import References
from modelhub.jobs.sync import Syncer
from modelhub.jobs.workers import Spare, Workers

__all__ = [
    "Damage",
    "Fetcher",
    "Handler",
    "Hold",
    "Holds",
    "JobContext",
    "Jobs",
    "Payload",
    "References",
    "Spare",
    "Syncer",
    "Workers",
    "damage",
]
