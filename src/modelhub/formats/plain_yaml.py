"""Small YAML files that strangers wrote: cards, recipes."""

from functools import cache
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.reader import HINT

__all__ = ["MAX_CARD", "card_lines", "load_bounded", "read_yaml"]

MAX_CARD = 64 * 1024
"""Characters of a card; PyYAML reads some 200 kB a second."""

MAX_BYTES = 256 * 1024
"""PyYAML reads some 200 kB a second."""
MAX_DEPTH = 32
MAX_ALIASES = 16


def read_yaml(data: bytes, *, name: str) -> Any:
    """The value that a YAML file holds.

    Raises:
        FormatError: when it is no YAML in UTF-8, has a key twice in one mapping, is larger than
            `MAX_BYTES`, nests deeper than `MAX_DEPTH`, or has aliases or merge keys, which multiply.
    """
    import yaml  # type: ignore[import-untyped]  # it comes without types

    if len(data) > MAX_BYTES:
        raise _error(name, f"it has {len(data):,} bytes, and at most {MAX_BYTES:,} are read")
    try:
        return load_bounded(data.decode("utf-8"), strict=True)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _error(name, f"it is no plain YAML: {' '.join(str(error).split())}") from error


def card_lines(readme: str) -> list[str]:
    """The lines of the YAML block at the top of a `README.md`; none without one.

    Format: https://huggingface.co/docs/hub/model-cards.
    """
    lines = readme.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return []
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
    return lines[1:end]


def load_bounded(text: str, *, strict: bool = False) -> Any:
    """What `text` means, of YAML's safe types alone; `strict` takes no alias, and no key twice.

    Raises:
        yaml.YAMLError: for what is no YAML, too deep, or has merge keys or more than `MAX_ALIASES`
            aliases.
        ValueError, TypeError, OverflowError, RecursionError: for values that Python cannot hold.
    """
    import yaml

    return yaml.load(text, _loader(0 if strict else MAX_ALIASES))  # noqa: S506 - it is a SafeLoader


@cache
def _loader(most_aliases: int) -> Any:
    """A `yaml.SafeLoader` that refuses depth, too many aliases, and merge keys."""
    import yaml

    class BoundedLoader(yaml.SafeLoader):  # type: ignore[misc]
        depth = 0
        aliases = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.aliases += self.check_event(yaml.AliasEvent)
            self.depth += 1
            if self.depth > MAX_DEPTH or self.aliases > most_aliases:
                raise yaml.YAMLError("too deep, or too many aliases")
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("merge keys are not read")
            super().flatten_mapping(node)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            found = super().construct_mapping(node, deep=deep)
            if not most_aliases and len(found) != len(node.value):
                raise yaml.YAMLError(f"a key comes twice {node.start_mark}")
            return found

    return BoundedLoader


def _error(name: str, problem: str) -> FormatError:
    return FormatError(f"{name}: {problem}", hint=HINT, file=name, format="yaml")
