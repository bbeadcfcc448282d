"""A plugin that is wrong costs its own use, with an error that says what is wrong; the others work."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import pytest

from modelhub import Hub
from modelhub.errors import EngineError, LoadFailed, RuntimeBroken, RuntimeNotFound
from modelhub.runtimes import discovery
from tests.hub.conftest import MODEL, MakeHub

REF = f"{MODEL}:q8_0"
WithPlugin = Callable[..., Hub]


@pytest.fixture(params=["thread", "process"])
def with_plugin(request: pytest.FixtureRequest, make_hub: MakeHub, monkeypatch) -> WithPlugin:
    """A Hub that finds a runtime `plugin`, beside those that are installed."""

    def make(name: str) -> Hub:
        value = name if ":" in name else f"tests.hub.plugins:{name}"
        point = EntryPoint(name="plugin", value=value, group=discovery.GROUP)
        found = [*entry_points(group=discovery.GROUP), point]
        monkeypatch.setattr(discovery, "entry_points", lambda group: found)
        return make_hub(host=request.param)

    return make


@pytest.mark.parametrize(
    ("plugin", "error", "says"),
    [
        ("no_such_module:Runtime", RuntimeBroken, "cannot be imported: ModuleNotFoundError"),
        ("json:loads", RuntimeBroken, "is not a subclass"),
        ("OfTheFuture", RuntimeBroken, "has api_version 2, and this modelhub speaks 1"),
        ("RaisesInSupports", RuntimeNotFound, "ZeroDivisionError: in supports"),
        ("EndsTheProgramInSupports", RuntimeNotFound, "SystemExit: in supports"),
        ("EndsTheProgramInLoad", LoadFailed, "plugin failed: SystemExit: 3"),
        ("EndsTheProgram", EngineError, "plugin failed: SystemExit: 3"),
        ("SaysNotWhatItCanDo", RuntimeBroken, "capabilities gave 'dict', not Capabilities"),
        ("RaisesInLoad", LoadFailed, "plugin failed: KeyError: 'in load'"),
        ("LoadsNothing", RuntimeBroken, "load gave 'NoneType', not an Instance"),
        ("RaisesInInfer", EngineError, "plugin failed: RuntimeError: tensor 7 is a teapot"),
        ("AnswersWithText", RuntimeBroken, "infer gave 'str', not a Result"),
    ],
)
def test_what_is_wrong_is_said(with_plugin: WithPlugin, plugin: str, error: type, says: str) -> None:
    hub = with_plugin(plugin)
    with pytest.raises(error) as caught:
        hub.chat(REF, "hello", runtime="plugin")
    assert says in caught.value.message
    assert hub.chat(REF, "still here", runtime="echo").text == "still here"


def test_the_engines_own_words_are_the_cause(with_plugin: WithPlugin) -> None:
    with pytest.raises(LoadFailed, match="does not know these weights") as caught:
        with_plugin("RefusesToLoad").chat(REF, "hello", runtime="plugin")
    assert "magic number is wrong" in str(caught.value.__cause__)
    with pytest.raises(EngineError) as failed:
        with_plugin("RaisesInInfer").chat(REF, "hello", runtime="plugin")
    assert "tensor 7 is a teapot" in str(failed.value.__cause__)


def test_an_error_in_the_middle_of_a_stream(with_plugin: WithPlugin) -> None:
    hub = with_plugin("RaisesInInfer")
    stream = hub.chat(REF, "one two three", runtime="plugin", stream=True)
    assert (next(stream).text, next(stream).text) == ("one", " two")
    with pytest.raises(EngineError, match="tensor 8"):
        next(stream)


def test_a_stream_that_is_none(with_plugin: WithPlugin) -> None:
    with pytest.raises((RuntimeBroken, EngineError), match="stream gave 'str', not an iterator"):
        list(with_plugin("AnswersWithText").chat(REF, "hello", runtime="plugin", stream=True))


@pytest.mark.parametrize(
    ("plugin", "error", "says"),
    [
        ("StreamsTexts", RuntimeBroken, "stream gave 'str', not ChatChunks"),
        ("NeverEnds", EngineError, "it is not whole"),
        ("EndsTheProgram", EngineError, "SystemExit: 3"),
    ],
)
def test_pieces_that_are_none(with_plugin: WithPlugin, plugin: str, error: type, says: str) -> None:
    hub = with_plugin(plugin)
    with pytest.raises(error, match=says):
        list(hub.chat(REF, "hello", runtime="plugin", stream=True))
    assert hub.chat(REF, "still here", runtime="echo").text == "still here"


@pytest.mark.parametrize("plugin", ["Forgetful", "HalfCharacters"])
def test_what_a_plugin_may_get_wrong(with_plugin: WithPlugin, plugin: str) -> None:
    hub = with_plugin(plugin)
    answer = hub.chat(REF, "hello", runtime="plugin").text
    assert answer == ("hello" if plugin == "Forgetful" else "half a \ud83d")
