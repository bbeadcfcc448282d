"""From a repository's name to an answer, twice; the second time nothing moves.

    python examples/quickstart.py                             a tiny model that ships with modelhub
    python examples/quickstart.py Qwen/Qwen3-0.6B-GGUF        a public one
    python examples/quickstart.py Qwen/Qwen3-0.6B-GGUF "Name three rivers."

Without a name the model comes from `tests/zoo`, over the Hugging Face hub protocol, from a server
that this script starts on the loopback address. Everything after that is the ordinary product.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modelhub import Hub, ModelHubError
from modelhub.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
ZOO_MODEL = "zoo/tiny-chat-GGUF"
MAX_TOKENS = 1500  # a thinking model may write a thousand before it answers

BOLD, DIM, PLAIN = "\033[1m", "\033[2m", "\033[0m"


def main() -> int:
    arguments = parse_arguments()
    with ExitStack() as stack:
        if arguments.model:
            settings = Settings.from_env(home=arguments.home)
            model, question = arguments.model, arguments.question or "Name three rivers."
        else:
            endpoint, known = stack.enter_context(zoo())
            home = arguments.home or stack.enter_context(tempfile.TemporaryDirectory())
            # Not from the environment: this is for the built-in model alone, whatever is set there.
            settings = Settings.from_env({}, home=home, hf_endpoint=endpoint, hf_token="")
            model, question = ZOO_MODEL, arguments.question or known
        try:
            tell(settings, model, question)
        except ModelHubError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", help="a repository's name; a tiny built-in one without")
    parser.add_argument("question", nargs="?")
    parser.add_argument("--home", help="where to keep what is fetched; modelhub's own folder without")
    return parser.parse_args()


@contextmanager
def zoo() -> Iterator[tuple[str, str]]:
    """The zoo's chat model behind a local hub; gives the endpoint and a question it can answer."""
    # It is on the loopback address, whatever the environment says of the network. Set, not read.
    os.environ |= {"HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    sys.path.insert(0, str(ROOT))
    from tests.zoo.hub_server import HubServer
    from tests.zoo.repos import build_chat_gguf, chat_answers

    question = max((c for c in chat_answers() if len(c.messages) == 1), key=lambda c: len(c.answer))
    with tempfile.TemporaryDirectory() as folder:
        repository = build_chat_gguf(Path(folder) / "repository")
        with HubServer({ZOO_MODEL: repository}) as server:
            yield server.endpoint, question.messages[0]["content"]


def tell(settings: Settings, model: str, question: str) -> None:
    with Hub(settings) as hub:
        step("register")
        print(hub.register(model))

        step("sync: listing, metadata and headers, no weights")
        print(hub.sync(model))

        step("plan")
        print(hub.plan(model, task="chat"))

        step("pull: fetch, verify, link")
        snapshot = hub.pull(model, progress=True)
        print(snapshot.path)
        print(f"{snapshot.fetched_bytes:,} bytes fetched, {snapshot.reused_bytes:,} were here")

        step(f"chat: {question}")
        ask(hub, model, question)

        step("again")
        again = hub.pull(model)
        print(f"{again.fetched_bytes:,} bytes fetched, {again.reused_bytes:,} were here")
        ask(hub, model, question)
        for job in hub.jobs.list():
            print(job)


def ask(hub: Hub, model: str, question: str) -> None:
    thinking = False
    for chunk in hub.chat(model, question, stream=True, temperature=0, max_tokens=MAX_TOKENS):
        if chunk.reasoning:
            print(styled(chunk.reasoning, DIM), end="", flush=True)
            thinking = True
        if chunk.text:
            print("\n\n" if thinking else "", chunk.text, sep="", end="", flush=True)
            thinking = False
        if chunk.provenance:
            print(f"\n\n{chunk.usage}\n{chunk.provenance}")


def step(title: str) -> None:
    print("\n" + styled(f"== {title}", BOLD), flush=True)


def styled(text: str, style: str) -> str:
    return f"{style}{text}{PLAIN}" if sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main())
