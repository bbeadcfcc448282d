"""A Hub whose store is a bucket: every verb end to end, from two hosts."""

import itertools
import json
import random

import pytest

from modelhub.errors import RepositoryNotFound
from modelhub.refs import Digest
from modelhub.store.testing import put
from tests.store.hands import flip
from tests.store.remote.conftest import S3Road, client, login, servers  # noqa: F401
from tests.zoo.hub_server import HubServer

from .conftest import MODEL

_numbers = itertools.count()


@pytest.fixture
def road(servers, login):  # noqa: F811
    address = servers("moto")
    login("moto")
    road = S3Road(client(address, "moto"), f"hub-{next(_numbers)}")
    road.address = address
    return road


@pytest.fixture
def host(make_hub, road, tmp_path):
    """A function that makes the Hub of one host: all share a database and a bucket."""

    def make(name, **given):
        database = f"sqlite:///{tmp_path}/shared.db"
        return make_hub(
            home=tmp_path / name, database=database, store=road.uri, s3_endpoint=road.address, **given
        )

    return make


def blobs(road):
    return {key.rpartition("/")[2] for key in road.listed() if key.startswith("blobs/")}


def test_one_host_fetches_and_the_other_takes_it_from_the_bucket(host, road, server):
    first, second = host("one"), host("two")
    pulled = first.pull(f"{MODEL}:q4_0")
    assert pulled.fetched_bytes > 0
    wanted = {file.sha256 for file in pulled.files}
    assert wanted <= blobs(road)
    server.reset_counts()
    again = second.pull(f"{MODEL}:q4_0")
    assert again.fetched_bytes == 0
    assert not server.requests
    assert again.path != pulled.path
    for file in again.files:
        assert (again.path / file.path).read_bytes() == (pulled.path / file.path).read_bytes()
    assert second.plan(f"{MODEL}:q4_0").fetch_bytes == 0
    assert second.verify(MODEL).ok
    assert not second.store.gc(dry_run=True).items


def test_a_copy_that_is_damaged_is_replaced_from_the_bucket(host, road, server):
    hub = host("one")
    pulled = hub.pull(f"{MODEL}:q4_0")
    server.reset_counts()
    (weights,) = [file for file in pulled.files if file.path.endswith(".gguf")]
    flip(hub.settings.cache / next(hub.settings.cache.iterdir()).name / weights_path(weights))
    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes == 0
    assert not server.requests
    assert hub.verify(MODEL).ok


def weights_path(file):
    return f"blobs/sha256/{file.sha256[:2]}/{file.sha256}"


def test_a_bucket_that_is_damaged_is_mended_by_who_has_a_copy(host, road):
    hub = host("one")
    pulled = hub.pull(f"{MODEL}:q4_0")
    (weights,) = [file for file in pulled.files if file.path.endswith(".gguf")]
    data = bytearray(road.get(weights_path(weights)))
    data[len(data) // 2] ^= 1
    road.put(weights_path(weights), bytes(data))
    assert hub.verify(MODEL).ok
    data[len(data) // 2] ^= 1
    assert road.get(weights_path(weights)) == bytes(data)
    assert any(key.startswith("quarantine/") for key in road.listed())


def test_purging_empties_the_bucket_and_the_cache(host, road):
    hub, other = host("one"), host("two")
    hub.pull(f"{MODEL}:q4_0")
    other.pull(f"{MODEL}:q4_0")
    hub.purge(MODEL)
    assert not blobs(road)
    assert not list(hub.settings.cache.glob("*/blobs/sha256/*/*"))
    with pytest.raises(RepositoryNotFound):
        other.purge(MODEL)


def test_what_nobody_has_leaves_the_bucket_after_its_time_and_all_is_counted(host, road):
    hub, other = host("one"), host("two")
    hub.pull(f"{MODEL}:q4_0")
    other.pull(f"{MODEL}:q4_0")
    wanted = blobs(road)
    stray = put(hub.store._store, b"of nobody" * 100).digest
    data = b"named by a writer who was killed before it was written down"
    unknown = Digest.of(data)
    road.put(f"blobs/sha256/{unknown[:2]}/{unknown}", data)
    usage = other.store.usage()
    assert usage.files == len(wanted) + 1
    assert usage.bytes == 900 + sum(len(road.get(f"blobs/sha256/{one[:2]}/{one}")) for one in wanted)
    assert [one.repo for one in usage.repos] == [MODEL]
    assert other.store.gc().items == ()
    assert [one.digest for one in other.store.gc(grace=0).items] == [stray]
    assert blobs(road) == wanted | {unknown}
    assert [one.digest for one in hub.store.gc(orphans=0).items] == [unknown]
    assert blobs(road) == wanted
    assert hub.verify(MODEL).ok
    assert other.verify(MODEL).ok
    assert other.pull(f"{MODEL}:q4_0").fetched_bytes == 0


def test_a_model_answers_from_a_bucket(host):
    pytest.importorskip("xllamacpp")
    hub = host("one")
    reply = hub.chat(f"{MODEL}:q4_0", "Hello", max_tokens=4, temperature=0)
    assert reply.text
    assert reply.provenance.files


def test_doctor_says_that_the_bucket_answers(host):
    hub = host("one")
    found = [finding for finding in hub.doctor().findings if finding.subject == "store"]
    assert [finding.ok for finding in found] == [True], found
    assert "the bucket models answers" in found[0].text


# Ten fine-tunes of one model

LARGE, OWN = 600_000, 100_000


def _safetensors(seed, size):
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + random.Random(seed).randbytes(size)


@pytest.fixture
def tunes(tmp_path):
    """Pipelines with a shared encoder and VAE, and a denoiser each."""
    made = {}
    for number in range(10):
        folder = tmp_path / f"tune-{number}"
        index = {
            "_class_name": "StableDiffusionPipeline",
            "text_encoder": ["transformers", "CLIPTextModel"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        }
        files = {
            "model_index.json": json.dumps(index).encode(),
            "text_encoder/config.json": b'{"model_type": "clip_text_model"}',
            "text_encoder/model.safetensors": _safetensors("encoder", LARGE),
            "unet/config.json": b'{"_class_name": "UNet2DConditionModel"}',
            "unet/diffusion_pytorch_model.safetensors": _safetensors(number, OWN),
            "vae/config.json": b'{"_class_name": "AutoencoderKL"}',
            "vae/diffusion_pytorch_model.safetensors": _safetensors("vae", LARGE),
        }
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        made[f"zoo/tune-{number}"] = folder
    return made


def _sizes(folder):
    return sum(path.stat().st_size for path in folder.glob("blobs/sha256/*/*"))


@pytest.mark.parametrize("place", ["file", "s3"])
def test_ten_fine_tunes_take_the_bytes_of_one_and_the_differences(
    place, tunes, road, make_hub, tmp_path
):
    where = (
        {"store": road.uri, "s3_endpoint": road.address} if place == "s3" else {"store": tmp_path / "s"}
    )
    with HubServer(tunes) as hubs:
        hub = make_hub(home=tmp_path / "ten", hf_endpoint=hubs.endpoint, **where)
        held = []
        for name in tunes:
            snapshot = hub.pull(name)
            assert (snapshot.path / "vae/diffusion_pytorch_model.safetensors").stat().st_size > LARGE
            sizes = [len(road.get(key)) for key in road.listed() if key.startswith("blobs/")]
            held.append(sum(sizes) if place == "s3" else _sizes(tmp_path / "s"))
    assert held[0] > 2 * LARGE + OWN
    assert held[-1] - held[0] == 9 * len(_safetensors(0, OWN))
