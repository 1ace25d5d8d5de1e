import numpy as np
import pytest

from wmlab.suspects import LocalSuspect, SuspectError, ask
from wmlab.training import logits, predict

IMAGES = np.zeros((3, 28, 28, 1), np.float32)


class Answers:
    """A suspect that gives one prepared answer."""

    def __init__(self, answer):
        self.answer = answer

    def ask(self, images):
        return self.answer


def test_too_few_too_many_or_no_labels():
    for answer, count in [
        (None, 0),
        ([], 0),
        ([1, 2], 2),
        ([1, 2, 3, 4], 4),
        (7, 1),
        ("123", 1),
        ([[1, 2, 3]], 3),
        (np.zeros((3, 10)), 30),
    ]:
        with pytest.raises(
            SuspectError, match=f"the suspect gave {count} labels for 3 images: it owes one a query"
        ):
            ask(Answers(answer), IMAGES)


def test_labels_are_whole_numbers():
    for answer, kind in [
        ([1.0, 2.0, 3.0], "float64"),
        (np.ones(3, np.float32), "float32"),
        ([np.nan, 1, 2], "float64"),
        ([True, False, True], "bool"),
        ([None, None, None], "object"),
        (["1", "2", "3"], "<U1"),
    ]:
        with pytest.raises(
            SuspectError, match=f"answered {kind} values, not whole-numbered labels"
        ):
            ask(Answers(answer), IMAGES)


def test_an_answer_of_uneven_lists():
    for answer in [[[1], [2, 3], [4]], [1, [2], 3]]:
        with pytest.raises(SuspectError, match="the suspect gave lists of uneven length"):
            ask(Answers(answer), IMAGES)


def test_good_labels_come_back_as_they_are():
    for answer in [
        [1, 2, 3],
        (1, 2, 3),
        np.array([1, 2, 3], np.uint8),
        np.array([1, 2, 3], np.int32),
    ]:
        labels = ask(Answers(answer), IMAGES)
        assert labels.tolist() == [1, 2, 3] and labels.dtype == np.int64


@pytest.mark.trains
def test_local_suspect_answers_like_its_model_and_counts(trained, data):
    suspect = LocalSuspect(trained.model, price=0.25)
    assert (suspect.queries, suspect.cost) == (0, 0)
    assert np.array_equal(ask(suspect, data.x_test[:7]), predict(trained.model, data.x_test[:7]))
    assert np.array_equal(
        suspect.ask(data.x_test[:1]), logits(trained.model, data.x_test[:1]).argmax(axis=1)
    )
    assert (suspect.queries, suspect.cost) == (8, 2.0)
    assert len(suspect.ask(data.x_test[:0])) == 0 and suspect.queries == 8


def test_what_is_no_image_is_neither_answered_nor_charged(trained):
    for images in [
        np.zeros((1, 28, 28, 1), np.uint8),
        np.full((1, 28, 28, 1), 255.0),
        np.zeros((28, 28, 1), np.float32),
    ]:
        suspect = LocalSuspect(trained.model)
        with pytest.raises((TypeError, ValueError), match="images must|pixels must"):
            suspect.ask(images)
        assert suspect.queries == 0


def test_refused_answers_are_paid_for_all_the_same():
    suspect = LocalSuspect(lambda images, training: np.zeros((len(images), 3), np.float32))
    assert ask(suspect, IMAGES).tolist() == [0, 0, 0]
    assert suspect.queries == 3 and suspect.cost == pytest.approx(0.03)
