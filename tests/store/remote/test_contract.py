"""The contract of every store, on objects: in memory, on moto's server, and on one without conditions."""

import pytest

from modelhub.store import layout
from modelhub.store.testing import StoreContract


class OnObjects(StoreContract):
    kind = ""

    @pytest.fixture
    def site(self, sites):
        return sites(self.kind)

    @pytest.fixture
    def store(self, site):
        self.site = site
        return site.host()

    def raw(self, store, digest):
        return self.site.road.get(layout.blob_path(digest))

    def visible(self, store):
        listed = self.site.road.listed()
        return {key.rpartition("/")[2] for key in listed if key.startswith(layout.BLOBS + "/")}

    def spoil(self, store, digest):
        """The bucket's bytes, as a host sees them that has no copy."""
        key = layout.blob_path(digest)
        data = bytearray(self.site.road.get(key))
        data[len(data) // 2] ^= 1
        self.site.road.put(key, bytes(data))
        self.forget(store, digest)

    def remove(self, store, digest):
        self.site.road.delete(layout.blob_path(digest))
        self.forget(store, digest)

    def forget(self, store, digest):
        store.path(digest).unlink(missing_ok=True)


class TestMemory(OnObjects):
    kind = "memory"


class TestMoto(OnObjects):
    kind = "moto"


class TestS3rver(OnObjects):
    kind = "s3rver"


class BehindFaults(OnObjects):
    """All of it, while every third call fails."""

    @pytest.fixture
    def site(self, sites, faulty):
        address, faults = faulty(self.kind)
        faults.every(3, "500", "reset", "503", "truncate", "answer lost")
        yield sites(self.kind, address)
        assert len(faults.injected) >= faults.seen // 3


class TestMotoBehindFaults(BehindFaults):
    kind = "moto"


class TestS3rverBehindFaults(BehindFaults):
    kind = "s3rver"
