"""What every runtime must do, as tests to inherit.

Give the class of your tests three methods, and pytest finds the rest::

    class TestMyRuntime(ChatContract):
        def make_subject(self) -> Subject: ...
        def make_cases(self) -> Sequence[Case]: ...
        def make_endless(self) -> tuple[Subject, Request]: ...

`RuntimeContract` is for any runtime, `StreamContract` for one that answers in pieces, `ChatContract`
for chat, `StepsContract` for one that works in steps. Each rule is a test, and is tried with the
model in this process and in one of its own. Rules carry the marker `modelhub_rule`.
"""

from modelhub.runtimes.testing.contract import LIVENESS, RuntimeContract, rule
from modelhub.runtimes.testing.steps import StepsContract
from modelhub.runtimes.testing.streams import ChatContract, StreamContract
from modelhub.runtimes.testing.subject import HOSTS, Case, Subject, UnknownRequest, folder_bundle

__all__ = [
    "HOSTS",
    "LIVENESS",
    "Case",
    "ChatContract",
    "RuntimeContract",
    "StepsContract",
    "StreamContract",
    "Subject",
    "UnknownRequest",
    "folder_bundle",
    "rule",
]
