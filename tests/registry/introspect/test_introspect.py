import pytest

from modelhub.formats import RangeReader, read_safetensors
from modelhub.registry.introspect import FAMILIES, Metadata, find_families, headers_wanted, introspect
from tests.formats.build import small_safetensors

from .build import header, listing


def warnings(**facts):
    found = introspect(listing(["m-f16.gguf"], **facts), Metadata())
    return {warning.code: warning.text for warning in found.warnings}


def test_a_repository_of_no_known_family_is_said_to_be_one():
    repo = listing(["README.md", "weights.xyz", "mmproj-f16.gguf"])
    assert find_families(repo) == ()
    assert headers_wanted(repo) == ()
    found = introspect(repo, Metadata())
    assert found.models == ()
    assert [(row.key, row.value) for row in found.evidence] == [("family", None)]
    (warning,) = found.warnings
    assert warning.code == "family.unknown"
    assert ".gguf, .md, .xyz" in warning.text


def test_an_empty_repository_has_nothing():
    (warning,) = introspect(listing([]), Metadata()).warnings
    assert "no files" in warning.text


def test_the_families_have_names_of_their_own():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("license_id", "codes"),
    [
        (None, set()),
        ("apache-2.0", set()),
        ("lgpl-3.0", set()),
        ("gpl-3.0", {"license.copyleft"}),
        ("AGPL-3.0", {"license.copyleft"}),
        ("cc-by-nc-4.0", {"license.noncommercial"}),
        ("cc-by-nc-sa-4.0", {"license.noncommercial"}),
        ("cc-by-4.0", set()),
        ("openrail", set()),
    ],
)
def test_what_a_licence_asks_for_is_pointed_out(license_id, codes):
    assert set(warnings(license=license_id)) == codes


def test_a_gate_is_pointed_out():
    assert "token" in warnings(gated=True)["gated"]


def test_the_card_is_evidence_of_little_weight():
    repo = listing(["m-f16.gguf"], library_name="llama.cpp", card={"base_model": ["zoo/tiny-chat"]})
    rows = {row.key: row for row in introspect(repo, Metadata()).evidence if row.subject == "repository"}
    assert rows["library_name"].value == "llama.cpp"
    assert rows["base_model"].value == ["zoo/tiny-chat"]
    assert {row.trust for row in rows.values()} == {30}


def test_a_header_of_another_format_is_not_taken_for_one():
    other = read_safetensors(RangeReader.from_bytes(small_safetensors()))
    metadata = Metadata(headers={"m-f16.gguf": other, "n-f16.gguf": header()})
    assert metadata.gguf("m-f16.gguf") is None
    assert metadata.gguf("n-f16.gguf") is not None
    assert metadata.gguf("absent.gguf") is None
    assert introspect(listing(["m-f16.gguf"]), metadata).models[0].architecture is None


def test_the_same_repository_gives_the_same_findings_in_any_order():
    files = ["b-q8_0.gguf", "a-q8_0.gguf", "a-f16.gguf", "a.i1-q8_0.gguf"]
    found = introspect(listing(files), Metadata())
    assert introspect(listing(files[::-1]), Metadata()) == found
