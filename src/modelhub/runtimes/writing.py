"""From an engine's raw text to what a caller gets: cut at stop texts, what was thought told apart."""

from collections.abc import Iterator, Sequence

from modelhub.tasks import ChatChunk

_OPEN, _CLOSE = "<think>", "</think>"


class Writing:
    """Takes an answer as it is generated, in pieces of any size, and gives out chunks.

    What might be the begin of a stop text, or of a mark of thinking, is held back until it is known
    not to be. Nothing from a stop text on is given out: `stopped` is true then. A model thinks when
    `thinking` (its prompt ended inside a thought) or when its answer begins with `<think>`; that part
    goes to `reasoning`, without blanks at its ends, as llama.cpp's server does.
    """

    def __init__(self, stop: Sequence[str] = (), *, thinking: bool = False) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self._begun = thinking
        self._thinking = thinking
        self._trim = thinking
        self.stopped = False

    def feed(self, text: str) -> Iterator[ChatChunk]:
        """What can be given out now that `text` has come."""
        if not self.stopped:
            self._held += text
            yield from self._flow(final=False)

    def end(self) -> Iterator[ChatChunk]:
        """What was still held back: the model writes no more."""
        if not self.stopped:
            yield from self._flow(final=True)

    def _flow(self, *, final: bool) -> Iterator[ChatChunk]:
        self._begin(final=final)
        if not self._begun:
            return
        if self._thinking:
            yield from self._think(final=final)
        if not self._thinking:
            yield from self._say(final=final)

    def _begin(self, *, final: bool) -> None:
        """Decide whether the answer starts with a thought, once enough of it is there to tell."""
        if self._begun:
            return
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._held, self._thinking, self._trim = start[len(_OPEN) :], True, True
        self._begun = final or not _OPEN.startswith(start) or self._thinking

    def _think(self, *, final: bool) -> Iterator[ChatChunk]:
        thought, mark, rest = self._held.partition(_CLOSE)
        if mark:
            self._held, self._thinking = rest, False
            yield from self._thought(thought.rstrip())
            self._trim = True
            return
        # Blanks at the end wait too: they are dropped where the thought ends there.
        ready = thought if final else thought[: len(thought) - _overlap(thought, (_CLOSE,))]
        ready = ready.rstrip()
        self._held = "" if final else thought[len(ready) :]
        yield from self._thought(ready)

    def _thought(self, text: str) -> Iterator[ChatChunk]:
        if text := self._trimmed(text):
            yield ChatChunk(reasoning=text)

    def _say(self, *, final: bool) -> Iterator[ChatChunk]:
        cut = first_stop(self._held, self._stop)
        if cut is not None:
            ready, self._held, self.stopped = self._held[:cut], "", True
        elif final:
            ready, self._held = self._held, ""
        else:
            keep = len(self._held) - _overlap(self._held, self._stop)
            ready, self._held = self._held[:keep], self._held[keep:]
        if text := self._trimmed(ready):
            yield ChatChunk(text=text)

    def _trimmed(self, text: str) -> str:
        """Without the blanks before a thought, and between it and the answer."""
        if self._trim:
            text = text.lstrip()
            self._trim = not text
        return text


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop texts begins, if one is there."""
    found = [at for mark in stop if (at := text.find(mark)) >= 0]
    return min(found) if found else None


def _overlap(text: str, marks: Sequence[str]) -> int:
    """How many letters at the end of `text` may be the begin of a mark."""
    longest = 0
    for mark in marks:
        for size in range(min(len(mark) - 1, len(text)), longest, -1):
            if text.endswith(mark[:size]):
                longest = size
                break
    return longest
