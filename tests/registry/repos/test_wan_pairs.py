"""Of two repositories of one family the second brings its transformer alone: byte for byte, without its bytes.

What the first one brought lies in the store as files of the right length with nothing in them, which
take no space: a plan goes by digests, and fetching is not asked for.
"""

import pytest

from modelhub import Hub
from modelhub.settings import Settings
from modelhub.store.layout import blob_path

from .case import FOLDER, load
from .rebuilt import Rebuilt

LARGE = 10_000_000
EVERYTHING = 28_928_887_859
TEXT_ENCODER, VAE, TOKENIZER, TRANSFORMER = 22_723_671_744, 507_591_892, 16_837_459, 5_676_070_648
TEXT_ENCODER_PICKLE, VAE_PICKLE, TOKENIZER_THERE = 11_361_920_418, 507_609_880, 16_837_417
TRANSFORMER_THERE = 5_676_070_424

DIFFUSERS = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
DIFFUSERS_BESIDE = "ByteDance/Bernini-R-1.3B-Diffusers"
DIFFUSERS_5B = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
ORIGINAL = "Wan-AI/Wan2.1-T2V-1.3B"
ORIGINAL_BESIDE = "Wan-AI/Wan2.1-VACE-1.3B"
ORIGINAL_5B = "Wan-AI/Wan2.2-TI2V-5B"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def own_hub(server, home):
    settings = Settings.from_env({}, home=home, hf_endpoint=server.endpoint)
    with Hub(settings, progress=False) as opened:
        yield opened


def take(hub, server, repo):
    """Its files, once the hub knows it."""
    subject = Rebuilt(load(FOLDER / f"{repo.replace('/', '__')}.yaml"))
    server.add_listed(repo, subject.case.commit, subject.files.values())
    hub.sync(repo)
    return subject.listing.files


def hold(home, files):
    """What the store would have after all these files were fetched."""
    for file in files:
        if file.sha256:
            blob = home / "store" / blob_path(file.sha256)
            blob.parent.mkdir(parents=True, exist_ok=True)
            with blob.open("wb") as empty:
                empty.truncate(file.size)


def plan_after(hub, server, home, first, second):
    """The plan of the second, where all of the first lies in the store."""
    hold(home, take(hub, server, first))
    take(hub, server, second)
    return hub.plan(second)


def by_component(plan, *, present):
    """Bytes in the store, or not, by component, without the small files that a sync brings."""
    sums = {}
    for file in plan.files:
        if file.size >= LARGE and file.present is present:
            sums[file.component] = sums.get(file.component, 0) + file.size
    return sums


def test_a_pipeline_reuses_the_encoder_and_the_vae_of_its_family(own_hub, server, home):
    plan = plan_after(own_hub, server, home, DIFFUSERS_BESIDE, DIFFUSERS)
    assert by_component(plan, present=True) == {
        "text_encoder": TEXT_ENCODER,
        "vae": VAE,
        "tokenizer": TOKENIZER,
    }
    assert by_component(plan, present=False) == {"transformer": TRANSFORMER}
    assert TEXT_ENCODER + VAE == 23_231_263_636
    assert sum(file.size for file in plan.files if file.path != "README.md") == EVERYTHING


def test_a_pipeline_without_a_relative_in_the_store_fetches_all(own_hub, server):
    take(own_hub, server, DIFFUSERS)
    plan = own_hub.plan(DIFFUSERS)
    assert by_component(plan, present=True) == {}
    assert sum(by_component(plan, present=False).values()) == (
        TEXT_ENCODER + VAE + TOKENIZER + TRANSFORMER
    )


def test_another_precision_of_an_encoder_is_another_encoder(own_hub, server, home):
    plan = plan_after(own_hub, server, home, DIFFUSERS, DIFFUSERS_5B)
    assert by_component(plan, present=True) == {"tokenizer": TOKENIZER}


@pytest.mark.parametrize(
    ("first", "vae"), [(ORIGINAL_BESIDE, {"vae": VAE_PICKLE}), (ORIGINAL_5B, {})], ids=["vace", "5b"]
)
def test_the_original_layout_reuses_what_its_family_has(own_hub, server, home, first, vae):
    plan = plan_after(own_hub, server, home, first, ORIGINAL)
    reused = {"text_encoder": TEXT_ENCODER_PICKLE, "tokenizer": TOKENIZER_THERE, **vae}
    assert by_component(plan, present=True) == reused
    rest = {} if vae else {"vae": VAE_PICKLE}
    assert by_component(plan, present=False) == {"transformer": TRANSFORMER_THERE, **rest}
    assert TEXT_ENCODER_PICKLE + VAE_PICKLE == 11_869_530_298
    assert TEXT_ENCODER_PICKLE + VAE_PICKLE + TRANSFORMER_THERE == 17_545_600_722


def test_a_report_says_which_repository_has_the_same_bytes(own_hub, server):
    take(own_hub, server, ORIGINAL_BESIDE)
    take(own_hub, server, ORIGINAL)
    (shared,) = own_hub.inspect(ORIGINAL).shared
    assert shared.repo == ORIGINAL_BESIDE
    assert {file.path: file.size for file in shared.files} == {
        "models_t5_umt5-xxl-enc-bf16.pth": TEXT_ENCODER_PICKLE,
        "Wan2.1_VAE.pth": VAE_PICKLE,
        "google/umt5-xxl/tokenizer.json": TOKENIZER_THERE,
    }
