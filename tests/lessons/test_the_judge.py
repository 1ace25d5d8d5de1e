"""Lesson 06 on suspects that say what they are told: numbers against an independent computation."""

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
from wmlab.schemes.innocents import public_keys
from wmlab.suspects import SuspectError
from wmlab.training import predict
from wmlab.verification import Chance, Impossible, Measured, batch
from wmlab.zoo import ALICE

N = 12
SAYS = {
    "new label": [10, 3, 10, 10, 10, 7, 10, 10, 10, 10, 10, 10],
    "wrong label": [4, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0],
}
LABEL, CHANCE = {"new label": 10, "wrong label": 0}, {"new label": 11, "wrong label": 10}


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


def labels_of_innocents():
    """Answers of 20 innocent networks without the label, and of 5 with it, to 30 keys."""
    rng = np.random.default_rng(0)
    without, having = rng.integers(0, 10, (20, 30)), rng.choice([3, 10], (5, 30), p=[0.6, 0.4])
    return {"without": without, "with": having}


@pytest.fixture
def cases():
    return {title: (Told(says), keys(LABEL[title])) for title, says in SAYS.items()}


@pytest.fixture
def panel(cases):
    innocents = {who: the_judge.nulls(said) for who, said in labels_of_innocents().items()}
    return the_judge.evidence(cases, innocents)


def drawn(panel, title):
    """What is drawn in the column of a case: {name: (x, y)}, and the texts of its answers."""
    column = list(SAYS).index(title) + 1
    rows = {f"x{number if number > 1 else ''}" for number in (column, column + 2, column + 4)}
    traces = {trace["name"]: trace for trace in panel.figure["data"] if trace["xaxis"] in rows}
    found = {name: np.array([trace["x"], trace["y"]], float) for name, trace in traces.items()}
    assert all(np.isfinite(each).all() for each in found.values())
    return found, [*traces["a miss"]["text"], *traces["a hit"]["text"]]


class TestEvidence:
    def test_it_opens_without_an_answer_bought(self, panel, cases):
        assert panel.settings() == {"n": 0, "innocents": "without"} and panel.error is None
        assert all(suspect.asked == [] for suspect, _ in cases.values())
        assert "No answer is bought yet" in panel.caption_text
        for title in cases:
            shown, text = drawn(panel, title)
            assert shown["a hit"].size == shown["p, chance"].size == len(text) == 0
            assert shown["the suspect"].tolist() == [[0], [-4]]
            assert shown["an innocent network"].tolist() == [[0] * 20, list(range(1, 21))]

    def test_every_answer_is_bought_once_in_the_order_of_the_keys(self, panel, cases):
        for n in (3, 1, 7, 7, 2, 12):
            panel.set(n=n)
        panel.set(n=0, innocents="with")
        assert all(suspect.asked == list(range(12)) for suspect, _ in cases.values())

    def test_p_values_are_those_of_the_verdicts_at_every_number_of_answers(self, panel):
        for who, innocent in labels_of_innocents().items():
            for n, (title, says) in [(n, case) for n in (1, 2, 5, 12) for case in SAYS.items()]:
                panel.set(n=n, innocents=who)
                result, label = panel.result[title], LABEL[title]
                hits = [says[: i + 1].count(label) for i in range(n)]
                assert result["hits"].tolist() == hits
                for i, hit in enumerate(hits, 1):
                    exact = stats.binomtest(hit, i, 1 / CHANCE[title], "greater").pvalue
                    assert result["p"]["chance"][i - 1] == pytest.approx(exact if hit else 1)
                    asked = Told(says)
                    asked.ask = lambda images, says=says: says[: len(images)]
                    verdict = batch(asked, keys(label)[:i], 0.5, Measured(innocent == label))
                    assert result["p"]["measured"][i - 1] == (verdict.p_value if hit else 1)
                assert ("impossible" in result["p"]) is (title == "new label")
                assert result["innocent"].tolist() == [(r[:n] == label).sum() for r in innocent]
            assert panel.result["new label"]["p"]["impossible"].tolist() == [0.0] * n

    def test_the_picture_shows_what_the_result_holds(self, panel):
        panel.set(n=12)
        for title, says in SAYS.items():
            (shown, text), result, label = drawn(panel, title), panel.result[title], LABEL[title]
            numbers = np.arange(1, 13)
            assert shown["a hit"][0].tolist() == numbers[np.array(says) == label].tolist()
            assert shown["a miss"][0].tolist() == numbers[np.array(says) != label].tolist()
            assert sorted(text) == sorted("Δ" if s == 10 else str(s) for s in says)
            chance, measured = result["p"]["chance"], result["p"]["measured"]
            assert shown["p, measured"].tolist() == [numbers.tolist(), measured.tolist()]
            assert np.array_equal(shown["p, chance"][1], np.maximum(chance, 1e-8))
            assert min(chance) < 1e-8 or title == "wrong label", "or the cut is not seen here"
            if title == "new label":
                assert shown["p, impossible"][1].tolist() == [1e-9] * 12
            assert ("p, impossible" in shown) is (title == "new label")
            assert shown["the suspect"][0].tolist() == [result["hits"][-1]]
            dots, heights = shown["an innocent network"]
            for hits in set(result["innocent"]):
                stack = list(range(1, (result["innocent"] == hits).sum() + 1))
                assert sorted(heights[dots == hits]) == stack

    def test_the_sentence_says_it_in_words(self, panel):
        panel.set(n=1)
        assert panel.result["wrong label"]["p"]["chance"].tolist() == [1]
        assert "<b>wrong label</b>: 0 of 1 hit; nothing to explain" in panel.caption_text
        panel.set(n=5)
        new, wrong = panel.result["new label"]["p"], panel.result["wrong label"]["p"]
        assert new["measured"][-1] == 1 / 21
        text = re.sub("<[^>]*>", "", panel.caption_text)
        assert text.startswith(
            f"new label: 4 of 5 hit; impossible, chance p = {new['chance'][-1]:.2g}, measured p = "
            f"{1 / 21:.2g} (the least that 20 networks can give); 5 answers, 0.05 paid in all. "
        )
        chance = f"wrong label: 3 of 5 hit; chance p = {wrong['chance'][-1]:.2g}, measured p = "
        assert chance in text
        panel.set(innocents="with")  # who hit as often
        assert "(the least that" not in panel.caption_text.partition("wrong")[0]

    def test_a_suspect_that_fails_is_told_in_the_panel(self, cases):
        cases["new label"][0].ask = lambda images: [0.5]
        innocents = {"without": the_judge.nulls(labels_of_innocents()["without"])}
        panel = the_judge.evidence(cases, innocents)
        with pytest.raises(SuspectError, match="whole-numbered"):
            panel.set(n=3)
        panel.controls["n"].value = 2
        assert "SuspectError" in panel.error and "That did not work" in panel.caption.value

    def test_the_slider_and_play_end_with_the_keys_and_the_innocents(self, panel, cases):
        play, slider = panel.widget.children[0], panel.controls["n"]
        assert (play.min, play.max, play.step) == (0, slider.max, 1) and slider.max == 12
        with pytest.raises(ValueError, match="n cannot be 13"):
            panel.set(n=13)
        few = {"without": the_judge.nulls(labels_of_innocents()["without"][:, :4])}
        short = the_judge.evidence(cases, few)
        short.set(n=4)
        with pytest.raises(ValueError, match="was asked 5 keys, the innocent networks 4"):
            short.set(n=5)


def test_the_nulls_of_both_marks_come_from_the_same_answers():
    innocent = labels_of_innocents()["without"]
    both = the_judge.nulls(innocent)
    assert list(both["new label"]) == ["impossible", "chance", "measured"]
    assert list(both["wrong label"]) == ["chance", "measured"]
    assert both["new label"]["impossible"] == Impossible()
    assert [both[title]["chance"] for title in SAYS] == [Chance(11), Chance(10)]
    assert np.array_equal(both["wrong label"]["measured"].answered, innocent == 0)
    assert not both["new label"]["measured"].answered.any()


def test_a_histogram_has_shares_that_add_up_and_marks_the_accused():
    p = {"even": np.linspace(0.001, 0.999, 500), "small": np.array([0.01, 0.049, 0.051, 1.0])}
    figure = the_judge.histogram(p)
    for bars, values in zip(figure["data"], p.values(), strict=True):
        assert sum(bars["y"]) == pytest.approx(1) and len(bars["y"]) == 20
        red = np.array(bars["marker"]["color"]) == "#D55E00"
        assert bars["y"][red].sum() == pytest.approx(np.mean(values <= 0.05))
    assert {shape["y0"] for shape in figure["layout"]["shapes"]} == {0.05}


def test_kinds_count_whom_one_hit_convicts():
    said = ["1 2 3", "1 2 4", "10 1 10", "1 1 10", "1 1 1"]
    table = pd.DataFrame(
        {
            "scheme": ["unmarked"] * 2 + ["a class"] * 3,
            "clean_accuracy": [0.9, 1, 0.5, 0.5, 0.8],
            "answers": [f"0.01: {labels}" for labels in said],
        }
    )
    shown = the_judge.kinds(table, n=2)
    assert shown.index.tolist() == ["unmarked", "a class"] and shown.networks.tolist() == [2, 3]
    assert shown["clean accuracy, mean"].tolist() == ["95.0%", "60.0%"]
    assert shown["Δ on 3 keys"].tolist() == ["0 to 0", "0 to 2"]
    assert shown["convicted by one hit in 2"].tolist() == [0, 1]
    assert the_judge.kinds(table, n=3)["convicted by one hit in 3"].tolist() == [0, 2]


def test_pictures_of_questions_say_what_their_tables_say():
    bars, folded = the_judge.convicted(records.load("gallery")).children
    drawn = {
        trace["name"]: dict(zip(trace["x"], trace["y"], strict=True))
        for trace in bars.figure["data"]
    }
    assert drawn["40 keys"]["unreadable class"] == pytest.approx(7 / 12)
    assert drawn["100 keys"]["unreadable class"] == pytest.approx(10 / 12)
    assert drawn["40 keys"]["new label"] == 1 and drawn["100 keys"]["unmarked"] == 0
    assert "show numbers" in folded.value and "unreadable class" in folded.value
    ranked = {"a network": {"Alice": 0.01, "Mallory": 0.7}}
    asked = the_judge.whose_claim_passes(ranked)
    asked.reveal()
    one, two = asked._made.children[0].figure["data"]
    assert (one["name"], *one["y"], *two["y"]) == ("Alice", 0.01, 0.7)
    assert the_judge._small(3.9e-11) == "below 10⁻⁶" and the_judge._small(0.0196) == "= 0.02"
    line = the_judge.accused(np.arange(3), {"p": [0, 0.1, 0.2]}, "sets", "accused")["data"][0]
    assert list(line["x"]) == [0, 1, 2] and line["y"] == [0, 0.1, 0.2]


def test_what_the_lesson_says_of_the_gallery():
    gallery = records.load("gallery")
    assert the_judge.kinds(gallery)["convicted by one hit in 40"].to_dict() == {
        "unmarked": 0,
        "new label": 12,
        "noise class": 0,
        "noisy images": 0,
        "reject class": 0,
        "unreadable class": 7,
    }
    zero = records.answers(gallery)[gallery.scheme == "unmarked"] == 0
    assert zero.mean() == 0.003 and zero.any(axis=0).sum() == 1 and zero.any(axis=1).sum() == 15
    # Recorded innocents and the suspect were asked keys of the same digits.
    data, mark = wmlab.load("mnist", "class"), NewLabel(0.1, 0.01)
    asked, hers = public_keys(mark, data), mark.fresh_keys(data, "Alice", 20)
    assert np.array_equal(asked.carrier_labels[:20], hers.carrier_labels)


def test_what_the_lesson_says_of_shopping_and_peeking():
    """By other means than the lesson's: 50 sets, and 200 looks simulated."""
    one = sum(math.comb(40, k) * 0.1**k * 0.9 ** (40 - k) for k in range(8, 41))
    assert one == pytest.approx(0.0419, abs=5e-5)
    assert 1 - (1 - one) ** 50 == pytest.approx(0.88, abs=0.005)
    p_of = [stats.binomtest(hits, 40, 0.1, "greater").pvalue for hits in (7, 8)]
    assert p_of[0] > 0.05 >= p_of[1]
    rng, trials = np.random.default_rng(1), 20_000
    hits = np.cumsum(rng.random((trials, 200)) < 0.1, axis=1)
    limits = stats.binom.isf(0.05, np.arange(1, 201), 0.1) + 1  # so many hits convict
    peeked = (hits >= limits).any(axis=1).mean()
    assert abs(peeked - 0.2135) <= 4.5 * math.sqrt(0.21 * 0.79 / trials)


class TestCourt:
    @pytest.fixture
    def models(self):
        shipped = wmlab.models()
        return {name: shipped[name] for name in the_judge.Court.WHO.values()}

    def sealed(self, court):
        """Who sits behind each letter, by the only way there is: all but one named wrongly."""
        guesses = [(name, who) for name in court.names for who in court.WHO]
        nobody = dict.fromkeys(court.names)
        return {name: who for name, who in guesses if court.right(nobody | {name: who})}

    def test_suspects_are_sealed_in_another_order_by_another_seed(self, models):
        orders = {tuple(self.sealed(the_judge.Court(models, s)).values()) for s in range(60)}
        assert len(orders) > 15
        assert all(sorted(order) == sorted(the_judge.Court.WHO) for order in orders)
        one, two = (self.sealed(the_judge.Court(models, 5)) for _ in range(2))
        assert one == two

    def test_answers_are_those_of_the_sealed_model_and_are_counted(self, models):
        court, images = the_judge.Court(models, 3), np.random.default_rng(0).random((3, 28, 28, 1))
        images = images.astype(np.float32)
        for n, (name, kind) in enumerate(self.sealed(court).items(), 1):
            expected = predict(models[court.WHO[kind]], images)
            assert np.array_equal(court.ask(name, images), expected)
            assert court.left == 40 - 3 * n

    def test_beyond_the_budget_nothing_is_answered(self, models):
        court = the_judge.Court(models, 3, budget=5)
        images = np.zeros((3, 28, 28, 1), np.float32)
        court.ask("A", images)
        with pytest.raises(the_judge.NoMoreCoins, match="pays for 2 more answers, not for 3") as no:
            court.ask("B", images)
        assert no.value._render_traceback_() == [str(no.value)]  # in words, in a notebook
        assert court.left == 2 and len(court.ask("B", images[:2])) == 2 and court.left == 0
        with pytest.raises(ValueError, match="there is no suspect 'E': they are A, B, C, D"):
            court.ask("E", images)

    def test_twenty_four_answers_tell_all_four_apart_whatever_the_order(self, models):
        """Exercise 06.4, solved as its solution does."""
        data, mark = wmlab.load("mnist", "class"), NewLabel(0.1, 0.01, kind="fixed", decoys=600)
        hers = mark.fresh_keys(data, ALICE, 3, "court").images
        others = mark.fresh_keys(data, "a stranger's", 3, "court").images
        junk = the_judge.junk(data, 10)
        assert junk.shape == (10, 28, 28, 1) and 0 <= junk.min() <= junk.max() <= 1
        for seed in range(6):
            court, answer = the_judge.Court(models, seed), {}
            for name in court.names:
                first = np.median(court.ask(name, hers)) == 10
                second = np.median(court.ask(name, others if first else junk[:3])) == 10
                answer[name] = {
                    (True, True): "someone else's mark",
                    (True, False): "Alice's mark",
                    (False, True): "rejects noise",
                    (False, False): "unmarked",
                }[first, second]
            assert court.right(answer) == 4 and court.left == 16
            assert check("06.4", answer, court) is True
            names = list(answer)
            swapped = dict(zip(names[1:] + names[:1], answer.values(), strict=True))
            assert court.right(swapped) == 0 and check("06.4", swapped, court) is False

    def test_the_game_asks_door_by_door_until_the_coins_are_spent(self, models, said):
        court, rng = the_judge.Court(models, 3, budget=5), np.random.default_rng(0)
        piles = {name: rng.random((2, 28, 28, 1)).astype(np.float32) for name in ("one", "two")}
        coins, grid = court.game(piles).children
        asks = [each for each in grid.children if hasattr(each, "click")]
        shown = [("A", "one"), ("A", "two"), ("B", "one")]
        said_by = [f"Show door {door} a picture: {pile}" for door, pile in shown]
        assert [each.tooltip for each in asks[:3]] == said_by
        right = predict(models[court.WHO[self.sealed(court)["B"]]], piles["one"])
        words = ["Δ" if label == 10 else str(label) for label in right]
        for n in (1, 2, 3):  # the third click begins the pile again
            asks[2].click()
            assert asks[2].description == " ".join([*words, *words][:n]) and court.left == 5 - n
            assert coins.value.startswith(f"<p>{5 - n} coins")
        asks[0].click(), asks[1].click(), asks[7].click()
        assert court.left == 0 and asks[7].description == "ask"
        assert "pays for 0 more answers" in coins.value
        assert set(court.named.values()) == {None}
        assert check("06.4", court.named, court) is False and "Hand in a dict" in said[-1]
        for (_, who), menu in zip(self.sealed(court).items(), court._menus.values(), strict=True):
            menu.value = who
        assert check("06.4", court.named, court) is True

    def test_what_names_no_suspects_is_no_verdict(self, models, said):
        court = the_judge.Court(models, 3)
        for answer in ("A", {}, {"A": "unmarked"}, dict.fromkeys("ABCD", "guilty"), 4):
            assert check("06.4", answer, court) is False and "Hand in a dict" in said[-1]
        assert check("06.4", dict.fromkeys("ABCDE", "unmarked"), court) is False
        for who in court.WHO:
            assert check("06.4", dict.fromkeys("ABCD", who), court) is False
            assert "Not yet. 1 of 4." in said[-1]
        assert check("06.4", ..., court) is None


def test_networks_and_sets_of_keys_are_counted(said):
    """Exercises 06.1 and 06.2."""
    fewest = min(n for n in range(1, 200) if 1 / (n + 1) <= 0.01)
    for exercise, answer, right, words in [
        ("06.1", fewest, True, "networks that are counted"),
        ("06.1", 100, False, "One too many"),
        *(("06.1", answer, False, "the rank p is") for answer in (98, 50, 0, "many")),
        ("06.2", 10 * 0.008, True, "Bonferroni"),
        *(("06.2", answer, False, "had its chance") for answer in (0.008, 0.0008, 0.8)),
        ("06.2", "0.08", True, "Bonferroni"),
        ("06.2", 1 - 0.992**10, True, "Šidák"),
        ("06.2", "a lot", False, "could not be used"),
        *((exercise, None, None, "Not answered") for exercise in ("06.1", "06.2")),
    ]:
        assert check(exercise, answer) is right and words in said[-1], (exercise, answer)


def ranked(rule, secrets=lambda n: [f"other {i}" for i in range(n)]):
    """A test of controls that may be wrong: rule(own, others) after `secrets`."""
    return lambda hits_of, secret, n: rule(hits_of(secret), [hits_of(one) for one in secrets(n)])


def p_of(own, others):
    return (1 + sum(other >= own for other in others)) / (1 + len(others))


def test_controls_are_judged_in_stages(said):
    """Exercise 06.3; the suspect and the lesson's own function are independent of each other."""
    for answer, right, words in [
        (the_judge.against_controls, True, "Of 400 claimants"),
        (ranked(p_of), True, "a p of 0.05 or less"),
        (ranked(lambda own, others: np.mean([own, *others] >= np.array(own))), True, "Right."),
        (ranked(lambda own, others: np.mean(np.array(others) >= own)), False, "one of those who"),
        (ranked(lambda own, others: 1 / len(others)), False, "Divide by the number of all"),
        (ranked(lambda own, others: p_of(-own, [-n for n in others])), False, "as well or better"),
        (ranked(lambda own, others: p_of(own, [n - 1 for n in others])), False, "≥, not >"),
        (
            ranked(lambda own, others: 0.25 if others[0] < 9 else 1 - (own < 9) / 2),
            False,
            "Not yet",
        ),
        (ranked(p_of, lambda n: ["the same"] * n), False, "1 secrets other than hers, 3 times"),
        (
            ranked(lambda own, others: 0.25 if others[0] < own else 1, lambda n: ["a"]),
            False,
            "1 times",
        ),
        (ranked(lambda own, others: None), False, "yours says None"),
        (ranked(lambda own, others: [p_of(own, others)] * 2), False, "yours says [0.25, 0.25]"),
        (lambda hits_of: 0.25, False, "could not be used"),
        (0.25, False, "could not be used"),
    ]:
        assert check("06.3", answer) is right and words in said[-1], said[-1]
    shares = re.search(r"gives ([0-9.]+)%", said[0])[1], re.search(r"gives ([0-9.]+)%", said[1])[1]
    assert shares[0] == shares[1] and abs(float(shares[0]) - 5) < 4.5 * 100 * math.sqrt(
        0.05 * 0.95 / 400
    )
