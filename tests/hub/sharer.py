"""One host of several on a bucket: it pulls, purges and collects at random for some seconds.

`python -m tests.hub.sharer HOME DATABASE ENDPOINT STORE S3 SEED SECONDS REPO=FOLDER…`; every file that it is given
is compared with the folder that the server has it from. At the end it says what it did, as JSON.
"""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from modelhub import Hub
from modelhub.errors import RepositoryNotFound
from modelhub.settings import Settings

from .survivor import Survivor


def run(survivor: Survivor, seconds: float) -> Counter[str]:
    some, done = [survivor.pull] * 5 + [survivor.purge, survivor.collect, survivor.collect], Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        act = survivor.dice.choice(some)
        try:
            act()
        except RepositoryNotFound:
            done["purged meanwhile"] += 1  # by the other host: a pull says so
        else:
            done[act.__name__] += 1
    return done


def main(home: str, database: str, *given: str) -> None:
    endpoint, store, s3, seed, seconds, *pairs = given
    settings = Settings.from_env(
        {}, home=home, database=database, hf_endpoint=endpoint, hf_token="", store=store, s3_endpoint=s3
    )
    origins = {repo: Path(folder) for repo, _, folder in (pair.partition("=") for pair in pairs)}
    with Hub(settings, progress=False) as hub:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        done = run(Survivor(hub, origins, random.Random(seed)), float(seconds))
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
