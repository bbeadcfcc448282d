"""Two processes on one SQLite file: nobody is ever told that the database is locked."""

import json
import subprocess
import sys
import textwrap

import pytest

WRITER = """
    import json, random, sys, time
    from modelhub.facts import JobKind, JobStatus, RepoId
    from modelhub.registry import Registry
    from tests.registry.samples import listing, RepoId

    url, me, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    registry = Registry.open(url)
    end, count, slowest = time.monotonic() + seconds, 0, 0.0
    while time.monotonic() < end:
        begun = time.monotonic()
        if count % 20 == 19:  # the last to close a database tidies its log away, and must not be in the way
            registry.close()
            registry = Registry.open(url)
        repo = RepoId(source="huggingface", vendor=me, name=f"n{count}")
        with registry.begin() as tx:
            record = tx.repos.register(repo, source_uri="x")
            tx.revisions.save(record.id, listing(repo=repo))
        with registry.begin() as tx:
            job, _ = tx.jobs.create(JobKind.REPO_SYNC, f"{me} {count}", {})
            tx.jobs.start(job.id, me, 60)
            tx.jobs.finish(job.id, me, JobStatus.SUCCEEDED)
        count += 1
        slowest = max(slowest, time.monotonic() - begun)
    registry.close()
    print(json.dumps({"count": count, "slowest": slowest}))
"""

READER = """
    import json, sys, time
    from modelhub.registry import Registry

    url, seconds = sys.argv[1], float(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    registry = Registry.open(url)
    end, count, slowest = time.monotonic() + seconds, 0, 0.0
    while time.monotonic() < end:
        begun = time.monotonic()
        with registry.read() as tx:
            for record in tx.repos.list(50):
                commit = tx.revisions.resolve(record.id, None)
                # One transaction wrote both, so no reader sees one without the other.
                assert commit is not None and len(tx.revisions.listing(record.id, commit).files) == 3
                assert tx.repos.find(record.repo.name, record.repo.vendor) == (record,)
        slowest = max(slowest, time.monotonic() - begun)
        count += 1
    registry.close()
    print(json.dumps({"count": count, "slowest": slowest}))
"""


def start(script, *args):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, args)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)


def run_together(url, seconds, *scripts):
    crowd = [start(script, url, f"p{number}", seconds) for number, script in enumerate(scripts)]
    for process in crowd:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=300) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * len(crowd), [error for _, error in ended]
    return [json.loads(output) for output, _ in ended]


@pytest.mark.soak
def test_writers_and_readers_in_several_processes(tmp_path, rounds):
    """The file does not exist when they begin: they also make it, and its schema, together."""
    url = f"sqlite:///{tmp_path}/modelhub.db"
    results = run_together(url, rounds(4, 60), WRITER, WRITER, READER, READER)
    assert all(result["count"] > 0 for result in results)

    from modelhub.registry import Registry

    registry = Registry.open(url)
    with registry.read() as tx:
        written = sum(result["count"] for result in results[:2])
        assert len(tx.repos.list(1 << 20)) == written
        assert len(tx.jobs.list(1 << 20)) == written
    registry.close()
