"""A process that receives blobs in ranges for ever, to be killed: python -m tests.store.receiver ROOT LEDGER SEED.

It prints how many bytes it could go on with, each time that there are any.
"""

import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from modelhub.refs import Digest
from modelhub.store import Expected, FileLedger, Store
from modelhub.store.blocks import Blocks
from modelhub.store.parts import Grain
from modelhub.store.testing import pattern

BLOCK = 32 << 10
GRAIN = Grain(block=BLOCK, checkpoint=2 * BLOCK)
SIZES = (17 * BLOCK, 5 * BLOCK + 1, BLOCK - 1, 30 * BLOCK - 1)


def blob_of(number):
    return pattern(SIZES[number % len(SIZES)], number)


def promise_of(number):
    data = blob_of(number)
    return Expected(sha256=Digest.of(data), size=len(data), name=f"{number}.gguf")


def here(part, data):
    """The blocks that a part has, each compared with what it should be."""
    blocks, missing = Blocks(len(data), BLOCK), part.missing
    count = 0
    for index in range(len(blocks)):
        start, end = blocks.span(index)
        if not any(first <= start < last for first, last in missing):
            assert os.pread(part._temp.fd, end - start, start) == data[start:end]
            count += end - start
    return count


def receive(store, number, draw, pace):
    """Receive one blob in three threads: how many bytes were here."""
    data = blob_of(number)
    with store.receive(promise_of(number)) as part:
        if part.record:
            return 0
        resumed = here(part, data)
        starts = [at for start, end in part.missing for at in range(start, end, 4 * BLOCK)]
        spans = [
            (at, min(at + 4 * BLOCK, next(e for s, e in part.missing if s <= at < e))) for at in starts
        ]
        draw.shuffle(spans)

        def fill(span):
            for at in range(span[0], span[1], 10_000):
                part.write(at, memoryview(data)[at : min(at + 10_000, span[1])])
                time.sleep(pace)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(fill, spans))
        part.finish(lambda: None)
    return resumed


def main(root, ledger, seed):
    draw = random.Random(seed)
    with Store.open(root, FileLedger(ledger)) as store:
        store._parts.grain = GRAIN
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            number = draw.randrange(8)
            if resumed := receive(store, number, draw, draw.choice([0, 0.0005, 0.005])):
                sys.stdout.write(f"{resumed}\n")
                sys.stdout.flush()
            if draw.random() < 0.5:
                store.remove(promise_of(number).sha256, lambda: True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
