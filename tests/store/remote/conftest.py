"""Buckets on real servers, and what hosts with caches of their own see of them."""

import itertools
from contextlib import ExitStack

import pytest

from modelhub.store import FileLedger, StoreOptions
from modelhub.store.remote import RemoteStore

from .proxy import proxy
from .servers import BUCKET, moto, s3rver

KEYS = {"moto": ("testing", "testing"), "s3rver": ("S3RVER", "S3RVER")}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def servers():
    """A function that gives the address of a server, started when it is first asked for."""
    started = {}
    with ExitStack() as stack:

        def at(name):
            if name not in started:
                address = stack.enter_context({"moto": moto, "s3rver": s3rver}[name]())
                client(address, name).create_bucket(Bucket=BUCKET)
                started[name] = address
            return started[name]

        yield at


def client(address, name):
    """boto3's client: another road to the objects than the store's."""
    import boto3

    key, secret = KEYS[name]
    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )


@pytest.fixture
def login(monkeypatch, tmp_path):
    """A function that sets the environment for a server's credentials."""

    def set_for(name):
        key, secret = KEYS[name]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    return set_for


class MemoryRoad:
    """The objects of a `memory://` store, around it."""

    def __init__(self, uri):
        import fsspec

        self.uri = uri
        self._fs = fsspec.filesystem("memory")
        self._root = "/" + uri.removeprefix("memory://") + "/"

    def get(self, key):
        return (
            self._fs.store[self._root + key].getvalue() if self._root + key in self._fs.store else None
        )

    def put(self, key, data):
        self._fs.pipe_file(self._root + key, data)

    def delete(self, key):
        self._fs.store.pop(self._root + key, None)

    def listed(self):
        return sorted(key[len(self._root) :] for key in self._fs.store if key.startswith(self._root))


class S3Road:
    """The objects of an `s3://` store, around it."""

    def __init__(self, client, prefix):
        self.uri = f"s3://{BUCKET}/{prefix}"
        self.client = client
        self.prefix = prefix

    def get(self, key):
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/{key}")
        if not found.get("KeyCount", len(found.get("Contents", ()))):
            return None
        return self.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")["Body"].read()

    def put(self, key, data):
        self.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}", Body=data)

    def delete(self, key):
        self.client.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")

    def listed(self):
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        return sorted(each["Key"][len(self.prefix) + 1 :] for each in found.get("Contents", ()))

    def uploads(self):
        return self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])


class Site:
    """One place with objects; `host(name)` is a store on it with a cache and a ledger."""

    def __init__(self, road, tmp_path, endpoint=None):
        self.road = road
        self.endpoint = endpoint
        self.tmp_path = tmp_path
        self.ledger = FileLedger(tmp_path / "shared.jsonl")
        self.open = []

    def host(self, name="one", **given):
        options = StoreOptions(
            cache=self.tmp_path / name,
            endpoint=given.pop("endpoint", self.endpoint),
            **given.pop("options", {}),
        )
        store = RemoteStore.open(
            self.road.uri, given.pop("ledger", self.ledger), host=name, options=options, **given
        )
        self.open.append(store)
        return store

    def close(self):
        for store in self.open:
            store.close()
        self.ledger.close()


@pytest.fixture
def sites(servers, login, tmp_path):
    """A function that makes a `Site` of a kind: memory, moto or s3rver."""
    made = []

    def make(kind, through=None):
        prefix = f"models-{next(_numbers)}"
        if kind == "memory":
            site = Site(MemoryRoad(f"memory://{prefix}"), tmp_path / prefix)
        else:
            address = servers(kind)
            login(kind)
            site = Site(S3Road(client(address, kind), prefix), tmp_path / prefix, through or address)
        made.append(site)
        return site

    yield make
    for site in made:
        site.close()


@pytest.fixture
def faulty(servers):
    """A function that puts a proxy before a server: its address, and its faults."""
    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(proxy(servers(kind)))


def drop_copies(store):
    """What a host has of the bucket that never used it: nothing."""
    for path in list((store.root / "blobs").glob("*/*/*")):
        path.unlink()
