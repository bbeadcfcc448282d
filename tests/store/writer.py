"""A process that stores and links for ever, to be killed: python -m tests.store.writer ROOT LEDGER SEED."""

import random
import sys

from modelhub.refs import Digest, RepoPath
from modelhub.store import Expected, FileLedger, Store
from modelhub.store.testing import Dribble, pattern

SIZES = (10, 50_000, 70_000, 400_000, 1_500_000)
COMMIT = "a" * 40


def blob_of(number):
    return pattern(SIZES[number % len(SIZES)], number)


def main(root, ledger, seed, rounds):
    draw = random.Random(seed)
    with Store.open(root, FileLedger(ledger)) as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for _ in range(rounds):
            numbers = [draw.randrange(40) for _ in range(3)]
            files = {}
            for number in numbers:
                data = blob_of(number)
                expect = Expected(sha256=Digest.of(data), size=len(data), name=f"{number}.gguf")
                store.put(Dribble(data, 1 << draw.randrange(12, 20)), expect=expect)
                files[RepoPath(f"part/{number}.{draw.choice(['gguf', 'onnx'])}")] = Digest.of(data)
            store.link("v", f"repo{draw.randrange(3)}", COMMIT, files)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
