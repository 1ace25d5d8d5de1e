"""Lesson 00: the case, the list of verdicts, and its check. tests/test_colab.py moves its line."""

import html
import re

import wmlab
from wmlab import zoo
from wmlab.lessons import check, start_here
from wmlab.show import tables


def test_one_service_is_marked_each_is_asked_once_and_its_answer_is_shown():
    case = start_here.Case(wmlab.models(), wmlab.load("mnist", "class"), zoo.ALICE)
    assert case.labels.tolist() == [7] and case.picture().count("<img") == 2
    heard = html.unescape(re.sub("<[^>]*>", "", case.hearing()))
    assert sorted(verdict.marked for verdict in case.verdicts.values()) == [False, True]
    assert [suspect.queries for suspect in case.suspects.values()] == [1, 1]
    for name, verdict in case.verdicts.items():
        assert f"Service {name} answered {10 if verdict.marked else 7}. {verdict}" in heard


def test_who_runs_the_model_depends_on_the_secret():
    shipped, data, first = wmlab.models(), wmlab.load("mnist", "class"), set()
    models = {name: shipped[name] for name in ("new_label", "unmarked_0")}
    for secret in range(20):
        suspects = start_here.Case(models, data, f"secret {secret}").suspects
        assert {suspect.model for suspect in suspects.values()} == set(models.values())
        first.add(suspects["A"].model is models["new_label"])
    assert first == {True, False}


def test_a_list_of_verdicts_is_safe_html():
    listed = tables.verdict_list({"<i>Bob</i>": "p < 0.05 & more", "Carol": "not marked"})
    assert listed.count("<p ") == 2 and "<i>" not in listed
    said = html.unescape(re.sub("<[^>]*>", "", listed))
    assert said == "<i>Bob</i>. p < 0.05 & moreCarol. not marked"


def test_three_misses_in_a_row(said):
    """Exercise 00.1."""
    for answer, right, words in [
        (0.1**3, True, "Right. Each key misses"),
        ((1 - 0.9) ** 3, True, "Right."),
        (0.001, True, "Right."),
        (0.9**3, False, "Not yet. That is the probability that all three hit"),
        (0.3, False, "multiply one probability"),
        (1 - 0.9**3, False, "multiply one probability"),
        ("many", False, "could not be used"),
        ([0.001], False, "could not be used"),
        (..., None, "Not answered yet"),
        (None, None, "Not answered yet"),
    ]:
        assert check("00.1", answer) is right and words in said[-1], answer
