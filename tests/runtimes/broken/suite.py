"""Each rule against a runtime that breaks it. Every test in here fails; `test_broken.py` runs it and
looks. It is not collected by itself.
"""

from typing import Any

import pytest

from modelhub.runtimes import Runtime
from modelhub.runtimes.testing import RuntimeContract, Subject
from modelhub.tasks import Request
from tests.runtimes.broken import chat, steps
from tests.runtimes.broken.eager import EagerRuntime
from tests.runtimes.test_contract import TestSteps as GoodSteps
from tests.runtimes.test_contract import TestTokens as GoodTokens

PATIENCE = 1.0

CHAT: dict[str, Any] = {
    "it_describes_itself": chat.Nameless,
    "its_module_imports_no_engine": EagerRuntime,
    "it_supports_what_it_loads": chat.Choosy,
    "it_predicts_its_memory": chat.Optimist,
    "it_lists_what_is_missing": chat.Carefree,
    "an_unknown_option_is_refused_by_name": chat.Indifferent,
    "infer_gives_the_answer": chat.Loud,
    "a_batch_is_answered_in_its_order": chat.Backwards,
    "a_bad_request_costs_its_batch_nothing": chat.Rash,
    "another_kind_of_request_is_refused": chat.Obliging,
    "a_cancelled_call_does_not_begin": chat.Deaf,
    "cancel_from_another_thread_ends_infer": chat.Deaf,
    "the_deadline_ends_infer": chat.Deaf,
    "after_an_early_end_the_instance_still_serves": chat.Sulking,
    "files_that_cannot_be_read_are_refused": chat.Unread,
    "an_error_of_the_engine_is_typed_and_kept": chat.Terse,
    "callers_of_one_instance_all_get_their_own_answer": chat.Muddled,
    "it_takes_as_many_calls_as_it_says": chat.Boastful,
    "close_twice_and_no_use_after": chat.Touchy,
    "close_ends_what_is_running": chat.Undead,
    "two_instances_do_not_share_an_end": chat.Siamese,
    "nothing_is_left_behind": chat.Littering,
    "it_says_that_it_streams": chat.Silent,
    "stream_gives_the_same_in_pieces": chat.Forgetful,
    "a_stream_of_another_kind_of_request_is_refused": chat.Obliging,
    "a_cancelled_stream_does_not_begin": chat.Deaf,
    "cancel_ends_a_stream": chat.Deaf,
    "the_deadline_ends_a_stream": chat.Deaf,
    "who_leaves_a_stream_stops_the_engine": chat.Lingering,
    "a_stream_that_nobody_reads_is_in_nobodys_way": chat.Possessive,
    "a_closed_stream_stays_closed": chat.Reopening,
    "a_stream_that_nobody_began_costs_nothing": chat.Eager,
    "no_stream_after_close": chat.Undead,
    "close_ends_streams": chat.Undead,
    "close_with_a_stream_half_read_in_the_same_thread": chat.Waiting,
    "left_streams_leave_nothing_behind": chat.Threads,
    "a_reply_says_why_it_ended_and_what_it_took": chat.Miscounting,
    "the_last_piece_says_why_it_ended_and_what_it_took": chat.Abrupt,
    "a_response_format_binds_or_is_refused": chat.Ignoring,
    "max_tokens_cuts": chat.Endless,
    "stop_cuts_before_the_first_that_appears": chat.Endless,
}
STEPS: dict[str, Any] = {
    "progress_counts_every_step": steps.Skipping,
    "some_steps_have_a_preview": steps.Blind,
    "cancel_ends_it_within_a_step": steps.Late,
}


def _suite(
    name: str, wrong: Any, good: type[RuntimeContract], loader: type[Any]
) -> type[RuntimeContract]:
    """The tests of a good runtime, with a wrong one in its place and but one rule."""
    rules = {rule: None for rule in dir(good) if rule.startswith("test_") and rule != f"test_{name}"}
    kind = (
        wrong
        if issubclass(wrong, Runtime)
        else type(f"For{wrong.__name__}", (loader,), {"instance": wrong})
    )

    class Suite(good):  # type: ignore[valid-type,misc]
        liveness = PATIENCE

        @pytest.fixture(scope="class")
        @classmethod
        def host(cls) -> str:
            return "thread"

        def make_subject(self) -> Subject:
            return self._wrong(super().make_subject())

        def make_endless(self) -> tuple[Subject, Request]:
            subject, request = super().make_endless()
            return self._wrong(subject), request

        def make_unreadable(self) -> Subject:
            return self._wrong(super().make_unreadable())

        def _wrong(self, subject: Subject) -> Subject:
            return Subject(kind(), subject.bundle, subject.options)

    return type(f"Test_{name}", (Suite,), rules)


for _name, _wrong in CHAT.items():
    globals()[f"Test_{_name}"] = _suite(_name, _wrong, GoodTokens, chat.Wrong)
for _name, _wrong in STEPS.items():
    globals()[f"Test_{_name}"] = _suite(_name, _wrong, GoodSteps, steps.Wrong)

del GoodSteps, GoodTokens
