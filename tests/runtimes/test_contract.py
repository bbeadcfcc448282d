"""The contract, driven by a fake of each shape of work."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from modelhub.facts import Call
from modelhub.runtimes.testing import Case, ChatContract, RuntimeContract, StepsContract, Subject
from modelhub.tasks import Request, chat_request
from tests.runtimes.fakes.files import write_bundle
from tests.runtimes.fakes.shot import BATCH, DoubleRequest, DoubleResult, ShotRuntime
from tests.runtimes.fakes.steps import STEPS, PaintRequest, PaintResult, StepsRuntime
from tests.runtimes.fakes.tokens import TokensRuntime

_kept = TemporaryDirectory(prefix="fakes-")
FOLDER = Path(_kept.name)


class TestTokens(ChatContract):
    def make_subject(self) -> Subject:
        return Subject(TokensRuntime(), write_bundle(FOLDER, "text-generation"))

    def make_cases(self) -> Sequence[Case]:
        texts = ["Name three great rivers.", "two\n lines, blanks kept"]
        return [Case(chat_request(text), text) for text in texts]

    def make_endless(self) -> tuple[Subject, Request]:
        subject = Subject(TokensRuntime(), write_bundle(FOLDER, "text-generation"), {"delay": 0.01})
        return subject, chat_request("word " * 10_000)

    def make_unreadable(self) -> Subject:
        bundle = write_bundle(FOLDER / "bad", "text-generation", "broken")
        return Subject(TokensRuntime(), bundle)

    def make_failing(self) -> tuple[Subject, Request, str]:
        return self.make_subject(), chat_request("fail"), "out of words"


class TestShot(RuntimeContract):
    def make_subject(self) -> Subject:
        return Subject(ShotRuntime(), write_bundle(FOLDER, "image-to-image"))

    def make_cases(self) -> Sequence[Case]:
        images = [np.full((300, 300), number, "float32") for number in (1, 2, 3)]
        return [Case(DoubleRequest(image=image), DoubleResult(image=image + image)) for image in images]

    def make_endless(self) -> tuple[Subject, Request]:
        subject = Subject(ShotRuntime(), write_bundle(FOLDER, "image-to-image"), {"delay": 90})
        return subject, DoubleRequest(image=[[1.0]])

    def make_unreadable(self) -> Subject:
        return Subject(ShotRuntime(), write_bundle(FOLDER / "bad", "image-to-image", "broken"))

    def make_failing(self) -> tuple[Subject, Request, str]:
        return self.make_subject(), DoubleRequest(image=[[float("nan")]]), "not a number"

    def test_a_batch_is_one_shot(self) -> None:
        instance = self.make_subject().load()
        requests = [DoubleRequest(image=[[float(number)]]) for number in range(BATCH + 2)]
        instance.infer_many(requests, [Call() for _ in requests])
        assert instance.shots == [BATCH, 2]  # type: ignore[attr-defined]


class TestSteps(StepsContract):
    steps = STEPS
    previews = True

    def make_subject(self) -> Subject:
        return Subject(StepsRuntime(), write_bundle(FOLDER, "text-to-image"), {"delay": 0.001})

    def make_cases(self) -> Sequence[Case]:
        return [
            Case(PaintRequest(grey=grey), PaintResult(picture=bytes([grey] * 16))) for grey in (40, 200)
        ]

    def make_endless(self) -> tuple[Subject, Request]:
        subject = Subject(StepsRuntime(), write_bundle(FOLDER, "text-to-image"), {"delay": 2})
        return subject, PaintRequest(grey=1)

    def make_unreadable(self) -> Subject:
        return Subject(StepsRuntime(), write_bundle(FOLDER / "bad", "text-to-image", "broken"))

    def make_failing(self) -> tuple[Subject, Request, str]:
        return self.make_subject(), PaintRequest(grey=-1), "darker than black"
