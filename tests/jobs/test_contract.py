"""The contract of jobs on SQLite and on PostgreSQL."""

import pytest

from modelhub.registry import Registry
from tests.jobs.job_contract import JobContract


class TestJobs(JobContract):
    @pytest.fixture
    def registry(self, database_url):
        opened = Registry.open(database_url)
        yield opened
        opened.close()
