from pathlib import Path
from tempfile import TemporaryDirectory

from modelhub_runtime_shout import ShoutRuntime

from modelhub.runtimes.testing import Case, ChatContract, Subject, folder_bundle
from modelhub.tasks import Request, chat_request

KEPT = TemporaryDirectory()


def subject(content: bytes = b"GGUF", **options: float) -> Subject:
    folder = Path(KEPT.name, content.decode())
    folder.mkdir(exist_ok=True)
    (folder / "model.gguf").write_bytes(content)
    return Subject(ShoutRuntime(), folder_bundle(folder, "text-generation", "gguf"), options)


class TestShout(ChatContract):
    def make_subject(self) -> Subject:
        return subject()

    def make_cases(self) -> list[Case]:
        texts = ["name three great rivers", "and\n then three towns"]
        return [Case(chat_request(text), text.upper()) for text in texts]

    def make_endless(self) -> tuple[Subject, Request]:
        return subject(pause=0.01), chat_request("word " * 10_000)

    def make_unreadable(self) -> Subject:
        return subject(b"junk")

    test_an_error_of_the_engine_is_typed_and_kept = None  # its engine has none
