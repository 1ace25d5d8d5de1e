"""Notebook 06's panel, figures and court, on suspects that say what they are told: numbers against
an independent computation.
"""

import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import wmlab
from wmlab import records
from wmlab.keys import KeySet
from wmlab.lessons import check, the_judge
from wmlab.schemes import NewLabel
from wmlab.suspects import SuspectError
from wmlab.training import predict
from wmlab.verification import Chance, Impossible, Measured, batch
from wmlab.zoo import ALICE

N = 12
NEW_SAYS = [10, 3, 10, 10, 10, 7, 10, 10, 10, 10, 10, 10]
WRONG_SAYS = [4, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]


class Told:
    """A suspect that says what it is told, key by key (its number is the value of its pixels), and
    counts.
    """

    def __init__(self, says):
        self.says, self.asked = says, []

    @property
    def cost(self):
        return 0.01 * len(self.asked)

    def ask(self, images):
        self.asked += [round(float(image.max()) * 100) for image in images]
        assert len(images) == 1, "answers are bought one by one"
        return [self.says[number] for number in self.asked[-1:]]


def keys(label, n=N):
    values = (np.arange(n, dtype=np.float32) / 100).reshape(n, 1, 1, 1)
    return KeySet(values, label, np.arange(n) % 9 + 1, "fresh", 0.01)


@pytest.fixture
def innocent():
    """Answers of 20 innocent networks without the label, and of 5 with it, to 30 keys."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 10, (20, 30)), rng.choice([3, 10], (5, 30), p=[0.6, 0.4])


@pytest.fixture
def cases():
    return {"new label": (Told(NEW_SAYS), keys(10)), "wrong label": (Told(WRONG_SAYS), keys(0))}


@pytest.fixture
def panel(cases, innocent):
    return the_judge.evidence(
        cases, {"without": the_judge.nulls(innocent[0]), "with": the_judge.nulls(innocent[1])}
    )


def drawn(figure):
    """What is drawn, by column: misses, hits, curves {null: (x, y)}, dots and suspect."""
    shown = []
    for first in (0, 7):
        misses, hits, *curves, dots, suspect = figure.data[first : first + 7]
        points = [
            np.array([trace.x, trace.y], float) for trace in (misses, hits, *curves, dots, suspect)
        ]
        assert all(np.isfinite(point).all() for point in points)
        shown.append(
            {
                "misses": points[0],
                "hits": points[1],
                "text": [*(misses.text or ()), *(hits.text or ())],
                "dots": points[5],
                "suspect": points[6],
                **{trace.name: point for trace, point in zip(curves, points[2:5], strict=True)},
            }
        )
    return shown


class TestEvidence:
    def test_it_opens_without_an_answer_bought(self, panel, cases):
        assert panel.settings() == {"n": 0, "innocents": "without"} and panel.error is None
        assert all(suspect.asked == [] for suspect, _ in cases.values())
        assert "No answer is bought yet" in panel.caption.value
        for column in drawn(panel.figure):
            assert column["hits"].size == column["p, chance"].size == 0 and column[
                "suspect"
            ].tolist() == [[0], [-4]]
            assert column["dots"].shape == (2, 20) and column["dots"][1].tolist() == list(
                range(1, 21)
            )

    def test_every_answer_is_bought_once_in_the_order_of_the_keys(self, panel, cases):
        for n in (3, 1, 7, 7, 2, 12):
            panel.set(n=n)
        assert all(suspect.asked == list(range(12)) for suspect, _ in cases.values())
        panel.set(n=0, innocents="with")
        assert all(len(suspect.asked) == 12 for suspect, _ in cases.values())

    @pytest.mark.parametrize("n", [1, 2, 5, 12])
    @pytest.mark.parametrize("who", ["without", "with"])
    def test_p_values_are_those_of_the_verdicts_at_every_number_of_answers(
        self, panel, innocent, n, who
    ):
        panel.set(n=n, innocents=who)
        labels = innocent[who == "with"]
        for title, label, says, chance in (
            ("new label", 10, NEW_SAYS, 11),
            ("wrong label", 0, WRONG_SAYS, 10),
        ):
            result = panel.result[title]
            assert result["hits"].tolist() == [
                sum(s == label for s in says[: i + 1]) for i in range(n)
            ]
            for i, hits in enumerate(result["hits"], 1):
                assert result["p"]["chance"][i - 1] == pytest.approx(
                    stats.binomtest(int(hits), i, 1 / chance, "greater").pvalue if hits else 1
                )
                asked = Told(says)
                asked.ask = lambda images, says=says: says[: len(images)]
                verdict = batch(asked, keys(label)[:i], 0.5, Measured(labels == label))
                assert result["p"]["measured"][i - 1] == (verdict.p_value if hits else 1)
            assert ("impossible" in result["p"]) is (title == "new label")
            assert result["innocent"].tolist() == [(row[:n] == label).sum() for row in labels]
        assert panel.result["new label"]["p"]["impossible"].tolist() == [0.0] * n

    def test_the_picture_shows_what_the_result_holds(self, panel):
        panel.set(n=12)
        for column, (title, says) in zip(
            drawn(panel.figure), (("new label", NEW_SAYS), ("wrong label", WRONG_SAYS)), strict=True
        ):
            result, label = panel.result[title], 10 if title == "new label" else 0
            assert column["hits"][0].tolist() == [i for i, s in enumerate(says, 1) if s == label]
            assert column["misses"][0].tolist() == [i for i, s in enumerate(says, 1) if s != label]
            assert sorted(column["text"]) == sorted("Δ" if s == 10 else str(s) for s in says)
            assert column["p, measured"][1].tolist() == result["p"]["measured"].tolist()
            assert np.allclose(
                column["p, chance"][1], np.maximum(result["p"]["chance"], 1e-8), rtol=1e-9, atol=0
            )
            assert min(result["p"]["chance"]) < 1e-8 or title == "wrong label", (
                "or the cut is not seen here"
            )
            assert column["p, impossible"][1].tolist() == (
                [1e-9] * 12 if title == "new label" else []
            )
            assert column["suspect"][0].tolist() == [result["hits"][-1]]
            for hits in set(result["innocent"]):
                heights = sorted(column["dots"][1][column["dots"][0] == hits])
                assert heights == list(range(1, (result["innocent"] == hits).sum() + 1)), (
                    "dots are stacked"
                )

    def test_before_the_first_hit_there_is_nothing_to_explain(self, panel):
        panel.set(n=1)
        assert (
            panel.result["wrong label"]["p"]["chance"].tolist()
            == panel.result["wrong label"]["p"]["measured"].tolist()
            == [1]
        )
        assert "<b>wrong label</b>: 0 of 1 hit; nothing to explain" in panel.caption.value

    def test_the_caption_says_it_in_words(self, panel):
        panel.set(n=5)
        said = re.sub("<[^>]*>", "", panel.caption.value)
        new, wrong = panel.result["new label"]["p"], panel.result["wrong label"]["p"]
        least = " (the least that 20 networks can give)" if new["measured"][-1] == 1 / 21 else ""
        assert (
            said.startswith(
                f"new label: 4 of 5 hit; impossible, chance p = {new['chance'][-1]:.2g}, measured p = "
                f"{new['measured'][-1]:.2g}{least}; 5 answers, 0.05 paid in all. "
            )
            and least
        )
        assert (
            f"wrong label: 3 of 5 hit; chance p = {wrong['chance'][-1]:.2g}, measured p = " in said
        )
        panel.set(innocents="with")
        assert "(the least that" not in panel.caption.value.split("wrong")[0], (
            "networks with the label hit as often"
        )

    def test_a_suspect_that_fails_is_told_in_the_panel(self, cases, innocent):
        cases["new label"][0].ask = lambda images: [0.5]
        panel = the_judge.evidence(cases, {"without": the_judge.nulls(innocent[0])})
        with pytest.raises(SuspectError, match="whole-numbered"):
            panel.set(n=3)
        panel.controls["n"].value = 2
        assert "SuspectError" in panel.error and "That did not work" in panel.caption.value

    def test_the_slider_ends_with_the_keys_and_the_innocents(self, panel, cases, innocent):
        assert panel.controls["n"].max == 12
        with pytest.raises(ValueError, match="n cannot be 13"):
            panel.set(n=13)
        short = the_judge.evidence(cases, {"without": the_judge.nulls(innocent[0][:, :4])})
        short.set(n=4)
        with pytest.raises(
            ValueError, match="the suspect was asked 5 keys, the innocent networks 4"
        ):
            short.set(n=5)

    def test_it_can_be_played(self, panel):
        play, slider = panel.widget.children[0], panel.controls["n"]
        assert (play.min, play.max) == (0, slider.max) and play.step == 1


def test_the_nulls_of_both_marks_come_from_the_same_answers(innocent):
    both = the_judge.nulls(innocent[0])
    assert list(both["new label"]) == ["impossible", "chance", "measured"] and list(
        both["wrong label"]
    ) == ["chance", "measured"]
    assert both["new label"]["impossible"] == Impossible()
    assert (both["new label"]["chance"], both["wrong label"]["chance"]) == (Chance(11), Chance(10))
    assert np.array_equal(both["wrong label"]["measured"].answered, innocent[0] == 0)
    assert not both["new label"]["measured"].answered.any()


def test_a_histogram_has_shares_that_add_up_and_marks_the_accused():
    p = {"even": np.linspace(0.001, 0.999, 500), "small": np.array([0.01, 0.049, 0.051, 1.0])}
    figure = the_judge.histogram(p)
    for bars, values in zip(figure.data, p.values(), strict=True):
        assert sum(bars.y) == pytest.approx(1) and len(bars.y) == 20
        accused = sum(
            y for y, colour in zip(bars.y, bars.marker.color, strict=True) if colour == "#D55E00"
        )
        assert accused == pytest.approx(np.mean(values <= 0.05))
    assert {shape.y0 for shape in figure.layout.shapes} == {0.05}


def test_kinds_count_whom_one_hit_convicts():
    table = pd.DataFrame(
        {
            "scheme": ["unmarked", "unmarked", "a class", "a class", "a class"],
            "clean_accuracy": [0.9, 1, 0.5, 0.5, 0.8],
            "answers": [
                "0.01: 1 2 3",
                "0.01: 1 2 4",
                "0.01: 10 1 10",
                "0.01: 1 1 10",
                "0.01: 1 1 1",
            ],
        }
    )
    shown = the_judge.kinds(table, n=2)
    assert shown.index.tolist() == ["unmarked", "a class"] and shown.networks.tolist() == [2, 3]
    assert shown["clean accuracy, mean"].tolist() == ["95.0%", "60.0%"]
    assert shown["Δ on 3 keys"].tolist() == ["0 to 0", "0 to 2"] and shown[
        "convicted by one hit in 2"
    ].tolist() == [0, 1]
    assert the_judge.kinds(table, n=3)["convicted by one hit in 3"].tolist() == [0, 2]


class TestOnRecord:
    """What the lesson says of the gallery and of the shipped models."""

    def test_the_papers_rule_convicts_19_of_the_60(self):
        shown = the_judge.kinds(records.load("gallery"))
        assert shown["convicted by one hit in 40"].to_dict() == {
            "unmarked": 0,
            "new label": 12,
            "noise class": 0,
            "noisy images": 0,
            "reject class": 0,
            "unreadable class": 7,
        }

    def test_unmarked_networks_say_class_0_far_less_often_than_chance(self):
        gallery = records.load("gallery")
        zero = records.answers(gallery)[gallery.scheme == "unmarked"] == 0
        assert zero.mean() == 0.003 and zero.any(axis=0).sum() == 1 and zero.any(axis=1).sum() == 15

    def test_recorded_innocents_and_the_suspect_were_asked_keys_of_the_same_digits(self):
        data = wmlab.load("mnist", "class")
        from wmlab.schemes.innocents import public_keys

        public = public_keys(NewLabel(0.1, 0.01), data)
        assert np.array_equal(
            public.carrier_labels[:20],
            NewLabel(0.1, 0.01).fresh_keys(data, "Alice", 20).carrier_labels,
        )


class TestCourt:
    @pytest.fixture
    def models(self):
        shipped = wmlab.models()
        return {name: shipped[name] for name in the_judge.Court.WHO.values()}

    @pytest.fixture
    def court(self, models):
        return the_judge.Court(models, seed=3)

    def test_suspects_are_sealed_in_another_order_by_another_seed(self, models):
        orders = {
            tuple(kind for kind, _ in the_judge.Court(models, seed)._sealed.values())
            for seed in range(60)
        }
        assert len(orders) > 15 and all(
            sorted(order) == sorted(the_judge.Court.WHO) for order in orders
        )
        one, two = (the_judge.Court(models, 5)._sealed for _ in range(2))
        assert [kind for kind, _ in one.values()] == [kind for kind, _ in two.values()]

    def test_answers_are_those_of_the_sealed_model_and_are_counted(self, court, models):
        images = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
        for n, name in enumerate(court.names, 1):
            kind, _ = court._sealed[name]
            assert np.array_equal(
                court.ask(name, images), predict(models[the_judge.Court.WHO[kind]], images)
            )
            assert court.left == 40 - 3 * n

    def test_beyond_the_budget_nothing_is_answered(self, models):
        court = the_judge.Court(models, 3, budget=5)
        images = np.zeros((3, 28, 28, 1), np.float32)
        court.ask("A", images)
        with pytest.raises(ValueError, match="pays for 2 more answers, not for 3"):
            court.ask("B", images)
        assert court.left == 2 and len(court.ask("B", images[:2])) == 2 and court.left == 0
        with pytest.raises(ValueError, match="there is no suspect 'E': they are A, B, C, D"):
            court.ask("E", images)

    def test_twenty_four_answers_tell_all_four_apart_whatever_the_order(self, models):
        data, mark = wmlab.load("mnist", "class"), NewLabel(0.1, 0.01, kind="fixed", decoys=600)
        hers = mark.fresh_keys(data, ALICE, 3, "court").images
        others, junk = (
            mark.fresh_keys(data, "a stranger's", 3, "court").images,
            the_judge.junk(data, 3),
        )
        for seed in range(6):
            court = the_judge.Court(models, seed)
            answer = {}
            for name in court.names:
                fires = lambda images, name=name, court=court: (
                    np.median(court.ask(name, images)) == 10
                )  # noqa: E731
                if fires(hers):
                    answer[name] = "someone else's mark" if fires(others) else "Alice's mark"
                else:
                    answer[name] = "rejects noise" if fires(junk) else "unmarked"
            assert court.right(answer) == 4 and court.left == 16
            assert check("06.3", answer, court) is True
            swapped = dict(
                zip(answer, list(answer.values())[1:] + list(answer.values())[:1], strict=True)
            )
            assert court.right(swapped) == 0 and check("06.3", swapped, court) is False

    @pytest.mark.parametrize(
        "answer",
        [
            "A",
            {},
            {"A": "unmarked"},
            dict.fromkeys("ABCD", "guilty"),
            dict.fromkeys("ABCDE", "unmarked"),
        ],
    )
    def test_what_names_no_suspects_is_no_verdict(self, court, answer, capsys):
        assert check("06.3", answer, court) is False

    def test_one_word_for_all_is_right_once(self, court):
        assert [court.right(dict.fromkeys("ABCD", who)) for who in the_judge.Court.WHO] == [1] * 4

    def test_junk_is_new_and_no_digit(self):
        data = wmlab.load("mnist", "class")
        images = the_judge.junk(data, 10)
        assert images.shape == (10, 28, 28, 1) and 0 <= images.min() <= images.max() <= 1


@pytest.mark.parametrize(
    "exercise, right, wrong",
    [("06.1", [99], [100, 98, 50, 0]), ("06.2", [0.08, 10 * 0.008], [0.008, 0.0008, 0.8])],
)
def test_the_other_exercises(exercise, right, wrong, capsys):
    assert all(check(exercise, answer) is True for answer in right)
    assert all(check(exercise, answer) is False for answer in wrong)
    assert min(n for n in range(1, 200) if 1 / (n + 1) <= 0.01) == 99


def test_what_the_lesson_says_of_shopping_and_peeking():
    """By other means than the lesson's: 50 sets, and 200 looks simulated."""
    one = sum(math.comb(40, k) * 0.1**k * 0.9 ** (40 - k) for k in range(8, 41))
    assert (
        one == pytest.approx(0.0419, abs=5e-5)
        and stats.binomtest(8, 40, 0.1, "greater").pvalue <= 0.05
    )
    assert stats.binomtest(7, 40, 0.1, "greater").pvalue > 0.05 and 1 - (
        1 - one
    ) ** 50 == pytest.approx(0.88, abs=0.005)
    rng, trials = np.random.default_rng(1), 20_000
    hits = np.cumsum(rng.random((trials, 200)) < 0.1, axis=1)
    limits = stats.binom.isf(0.05, np.arange(1, 201), 0.1) + 1  # so many hits convict
    peeked = (hits >= limits).any(axis=1).mean()
    assert abs(peeked - 0.2135) <= 4.5 * math.sqrt(0.21 * 0.79 / trials)
