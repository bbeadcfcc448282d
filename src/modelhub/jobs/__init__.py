"""Long work with a row: its status, progress, input, output and error outlive the call."""

from modelhub.jobs.engine import JobContext, Jobs
from modelhub.jobs.fetch import Fetcher
from modelhub.jobs.holds import Hold, Holds
from modelhub.jobs.references import References
from modelhub.jobs.sync import Syncer

__all__ = ["Fetcher", "Hold", "Holds", "JobContext", "Jobs", "References", "Syncer"]
