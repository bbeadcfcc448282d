"""One download in a process of its own: `python -m tests.jobs.download.puller '{"url": …}'`.

Prints `waiting` when somebody else has the file, and at the end how many bytes moved.
"""

import json
import socket
import sys
from types import SimpleNamespace

from modelhub.jobs.download import Measures, NoClaims, Shared
from modelhub.refs import Digest, RepoPath
from modelhub.registry import FetchClaims, Registry, StoreKey
from modelhub.store import FileLedger, Store
from modelhub.store.parts import Grain

from .conftest import BLOCK, SHORTEST, Context, Downloads, listed


def main(order):
    if host := order.get("host"):
        socket.gethostname = lambda: host
    claims = NoClaims()
    if url := order.get("database"):
        claims = FetchClaims(Registry.open(url), StoreKey("file:///shared", ""))
    with Store.open(order["store"], FileLedger(order["store"] + ".jsonl")) as store:
        store._parts.grain = Grain(block=BLOCK, checkpoint=SHORTEST)
        shared = Shared(
            store, claims, measures=Measures(shortest=SHORTEST, longest=SHORTEST, first=3, most=3)
        )
        downloads = Downloads(shared, [], read_timeout=30)
        context = Context()

        def on_progress(report):
            if report[2].startswith("waiting"):
                print(report[2], flush=True)  # noqa: T201

        context.on_progress = on_progress
        file = listed(RepoPath("a.bin"), order["size"], Digest(order["sha256"]))
        print("moved", downloads.run(SimpleNamespace(url=order["url"]), [file], context), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
