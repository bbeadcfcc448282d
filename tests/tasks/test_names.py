from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.tasks import TASKS, find_task


def names(task) -> set[str]:
    """What names this task and no other."""
    return {task.subtask or task.id, *task.aliases}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.subtask or task.id)
def test_each_of_its_names_means_the_task(task):
    for name in names(task):
        for written in (name, name.upper(), name.replace("-", "_"), f" {name} "):
            assert find_task(written) is task


def test_no_name_means_two_tasks():
    every = list(chain.from_iterable(map(names, TASKS)))
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("task_id", sorted({task.id for task in TASKS}))
def test_every_id_that_the_hint_lists_is_known(task_id):
    assert find_task(task_id).id == task_id


@pytest.mark.parametrize("task", [task for task in TASKS if task.verb], ids=lambda task: task.verb)
def test_a_verb_means_a_task_that_it_serves(task):
    assert find_task(task.verb).verb == task.verb


@pytest.mark.parametrize(
    ("name", "task_id", "subtask"),
    [
        ("chat", "text-generation", None),
        ("llm", "text-generation", None),
        ("embed", "feature-extraction", None),
        ("detect_faces", "object-detection", "face-detection"),
        ("object-detection", "object-detection", None),
        ("super-resolution", "image-to-image", "super-resolution"),
        ("image-to-image", "image-to-image", "super-resolution"),
        ("speech-to-text", "automatic-speech-recognition", None),
        ("Interpolation", "video-to-video", "frame-interpolation"),
        ("segment", "image-segmentation", None),
    ],
)
def test_usual_names(name, task_id, subtask):
    task = find_task(name)
    assert (task.id, task.subtask) == (task_id, subtask)


@given(st.text(max_size=30))
def test_any_other_text_is_refused_with_the_list(text):
    known = set(chain.from_iterable({task.id, *task.names} for task in TASKS))
    if text.strip().lower().replace("_", "-") in known:
        assert find_task(text) in TASKS
        return
    with pytest.raises(InvalidInput) as caught:
        find_task(text)
    assert "text-generation" in caught.value.hint


@pytest.mark.parametrize("name", [5, None, b"chat", ["chat"]])
def test_what_is_no_text_is_no_task(name):
    with pytest.raises(InvalidInput, match=f"task must be a text, not {type(name).__name__}") as caught:
        find_task(name)
    assert caught.value.details["field"] == "task"
    assert "text-generation" in caught.value.hint
