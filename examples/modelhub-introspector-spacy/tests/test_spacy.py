import json
from collections.abc import Sequence

import pytest
from modelhub_introspector_spacy import SpacyIntrospector

from modelhub.registry.introspect import Introspector
from modelhub.registry.introspect.testing import IntrospectorContract, Sample, build_sample

META = {"lang": "en", "name": "core_web_sm", "pipeline": ["tok2vec", "ner"], "labels": {"ner": ["ORG"]}}
FILES = {
    "config.cfg": 5000,
    "ner/model": 3_000_000,
    "vocab/strings.json": 900_000,
    "tiny.whl": 12_000_000,
}


def sample(**changes: object) -> Sample:
    return build_sample(FILES | {"meta.json": json.dumps(META | changes).encode()})


class TestSpacy(IntrospectorContract):
    def make_introspector(self) -> Introspector:
        return SpacyIntrospector()

    def samples(self) -> Sequence[Sample]:
        return [sample(), sample(pipeline=["textcat"])]


def test_a_pipeline_is_one_model_without_its_wheel():
    (model,) = SpacyIntrospector().describe(*sample()).models
    assert (model.task, model.architecture) == ("token-classification", "core_web_sm")
    assert model.details == {"steps": ["tok2vec", "ner"], "language": "en"}
    (variant,) = model.variants
    assert variant.bytes == sum(FILES.values()) - FILES["tiny.whl"] + len(json.dumps(META))


@pytest.mark.parametrize("pipeline", [[], ["tok2vec"], None])
def test_without_a_step_that_is_known_it_says_so(pipeline):
    found = SpacyIntrospector().describe(*sample(pipeline=pipeline))
    assert found.models == ()
    assert [warning.code for warning in found.warnings] == ["task.unknown"]
