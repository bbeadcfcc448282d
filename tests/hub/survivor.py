"""A Hub that does everything at random until it is killed.

`python -m tests.hub.survivor HOME DATABASE ENDPOINT SEED REPO=FOLDER…`; every file that it is given is compared
with the folder that the server has it from. Ends by itself only when something is wrong.
"""

import random
import sys
from contextlib import suppress
from pathlib import Path

from modelhub import Hub
from modelhub.errors import InUse, RepositoryNotFound
from modelhub.settings import Settings

AT_ONCE = {"grace": 0, "orphans": 0}
VARIANTS = ("q8_0", "q4_0")


class Survivor:
    def __init__(self, hub: Hub, origins: dict[str, Path], dice: random.Random) -> None:
        self.hub = hub
        self.origins = origins
        self.dice = dice

    def act(self) -> None:
        """One thing, pulls more often than others."""
        some = [self.pull] * 5 + [self.purge, self.purge, self.collect, self.collect]
        self.dice.choice([*some, self.verify, self.sync, self.scrub, self.check])()

    def pull(self) -> None:
        model = self.dice.choice(sorted(self.origins))
        variants = [v for v in VARIANTS if list(self.origins[model].glob(f"*{v}*"))]
        pulled = self.hub.pull(f"{model}:{self.dice.choice(variants)}")
        for file in pulled.files:
            served = (pulled.path / file.path).read_bytes()
            assert served == (self.origins[model] / file.path).read_bytes(), file.path

    def purge(self) -> None:
        with suppress(RepositoryNotFound, InUse):
            self.hub.purge(self.dice.choice(sorted(self.origins)))

    def verify(self) -> None:
        with suppress(RepositoryNotFound):
            assert self.hub.verify(self.dice.choice(sorted(self.origins))).ok

    def sync(self) -> None:
        self.hub.sync(self.dice.choice(sorted(self.origins)))

    def collect(self) -> None:
        self.hub.store.gc(**AT_ONCE)

    def scrub(self) -> None:
        self.hub.store.scrub()

    def check(self) -> None:
        self.hub.store.check(repair=True)


def main(home: str, database: str, endpoint: str, seed: str, *pairs: str) -> None:
    settings = Settings.from_env({}, home=home, database=database, hf_endpoint=endpoint, hf_token="")
    origins = {repo: Path(folder) for repo, _, folder in (pair.partition("=") for pair in pairs)}
    with Hub(settings, progress=False) as hub:
        survivor = Survivor(hub, origins, random.Random(seed))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            survivor.act()


if __name__ == "__main__":
    main(*sys.argv[1:])
