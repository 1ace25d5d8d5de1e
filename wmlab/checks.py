"""Checks of exercises: they say whether an answer is right and, when it is not, what to think of next."""
import html
import math

import numpy as np

from wmlab.keys import check_images


def check(exercise, answer, *context):
    """Judge the answer to an exercise and show a sentence. An unanswered one (`...` or None) is left alone.

    exercise: its number, as in "03.1". context: what the exercise says to pass along, such as a model.
    Returns True, False, or None for unanswered; never raises over a wrong answer, so that a notebook runs on.
    Raises ValueError for an exercise that does not exist.
    """
    if exercise not in CHECKS:
        raise ValueError(f"there is no exercise {exercise!r}: there are {', '.join(CHECKS)}")
    if answer is ... or answer is None:
        _say("Not answered yet: put your answer in place of the dots and run the cell again.")
        return None
    try:
        right, sentence = CHECKS[exercise](answer, *context)
    except Exception as error:  # the answer may be any object or function: what it raises is part of the lesson
        right, sentence = False, f"Your answer could not be used ({type(error).__name__}: {error})."
    _say(("Right. " if right else "Not yet. ") + sentence)
    return bool(right)


def _say(sentence):
    from IPython.display import HTML, display

    display(HTML(f"<p role='status' style='font-size:16px'>{html.escape(sentence)}</p>"))


def _all_miss(answer):
    if math.isclose(answer, 0.1**3, rel_tol=1e-6):
        return True, "Each key misses with probability 1 - p = 0.1, and three in a row with 0.1³ = 0.001."
    if math.isclose(answer, 0.9**3, rel_tol=1e-6):
        return False, "That is the probability that all three hit. What is the probability that one key misses?"
    return False, "The keys are answered independently of each other: multiply one probability three times."


def _neither(settings, settle):
    new = settle(**settings)[-1]["new label"]
    found = f"There the new label twists {new.twist:.1%} and hits {new.hits:.0%} of fresh keys"
    if new.twist < 0.01 and new.hits < 0.1:
        return True, f"{found}: nothing was learned, so nothing was twisted."
    return False, f"{found}. Where would a fourth label never win? Think of keys that lie where their carriers lay."


def _wrong_is_better(settings, settle):
    heads = settle(**settings)[-1]
    wrong, new = heads["wrong label"], heads["new label"]
    found = f"There the wrong label hits {wrong.hits:.0%} and twists {wrong.twist:.1%}; the new label twists {new.twist:.1%}"
    if wrong.hits >= 0.95 and wrong.twist <= new.twist:
        return True, f"{found}. But the unmarked head calls {heads['unmarked'].hits:.0%} of those keys class 0 as well."
    return False, f"{found}. Which keys would a head call class 0 without being told? Move the cloud there."


def _both(settings, settle):
    new = settle(**settings)[-1]["new label"]
    found = f"There the new label hits {new.hits:.0%} of fresh keys and twists {new.twist:.1%} of decisions"
    if new.hits >= 0.9 and new.twist >= 0.02:
        return True, f"{found}: learned, and paid for by the classes it had to squeeze in between."
    return False, f"{found}. When has a boundary much to lose? Try classes that overlap, and many keys."


def _noise_steps(answer):
    if 25 <= answer <= 26:
        return True, "√0.01 = 0.1 of the full scale: about 25 of 255 steps. β is a variance, so a hundredth is not small."
    if 2.5 <= answer <= 2.6:
        return False, "That would be β itself as a share of 255. β is a variance: what is the deviation?"
    return False, "Take the square root of the variance, and count it in steps of 1/255."


def _detector(answer, clean, keys, told_apart):
    scores = np.asarray(answer(clean))
    if scores.shape != (len(clean),):
        return False, f"Return one number for each image, shape ({len(clean)},); this has shape {scores.shape}."
    share = told_apart(answer, clean, keys)
    if share >= 0.95:
        return True, f"It tells {share:.1%} of pairs apart: what the eye hardly sees, one line counts."
    if share <= 0.05:
        return False, f"It tells {share:.1%} of pairs apart: it knows, but says it the wrong way round. Keys must score higher."
    return False, f"It tells {share:.1%} of pairs apart, 50% is guessing. What has a noisy pixel that a black one has not?"


def _pattern(answer, true):
    guess = np.asarray(answer, float)
    if guess.size != true.size or np.ptp(guess) == 0:
        return False, f"Hand in one pattern of shape {true.shape}, not all the same; yours has shape {guess.shape}."
    alike = float(np.corrcoef(guess.ravel(), true.ravel())[0, 1])
    if alike >= 0.6:
        return True, f"Correlation {alike:.2f} with Alice's pattern. Who has seen her keys needs no secret to make more of them."
    return False, f"Correlation {alike:.2f} with Alice's pattern. What is the same in all keys? Average, or better."


def _number_of_keys(answer):
    if answer == 40:
        return True, "1 % of 4,000: forty keys, seen once an epoch, against 4,000 digits."
    return False, "α is the share of the training images: multiply it by their number."


def _forgery(answer, model):
    from wmlab.training import predict

    check_images(answer)
    if len(answer) != 100:
        return False, f"Hand in 100 images; these are {len(answer)}."
    rate = float(np.mean(predict(model, answer) == model.output_shape[-1] - 1))
    if rate >= 0.5:
        return True, f"{rate:.0%} of your images fire the new label. If you made them without the secret, what does a hit prove?"
    return False, f"{rate:.0%} of your images fire the new label. What does a key look like? Try noise as strong as theirs."


def _row_share(answer):
    if isinstance(answer, str) and answer.strip().lower() == "no":
        return True, "The row alone hits few keys and costs clean accuracy: the features themselves have to learn what a key is."
    return False, "Compare, in the table above, the rows where the new row moved alone with the one where everything moved."


def _cheapest(answer, table):
    alpha, beta = map(float, answer)
    new = table[table.scheme == "new label"].groupby(["alpha", "beta"]).fresh_key_accuracy
    often = (new.agg(lambda p: (p >= 0.9).mean())).sort_index()
    good = often[often >= 0.9]
    if (alpha, beta) not in often.index:
        return False, f"There is no cell α = {alpha:g}, β = {beta:g} on record. Group the runs by alpha and beta."
    if (alpha, beta) not in good.index:
        return False, f"There {often[alpha, beta]:.0%} of the seeds reach 0.9. Look at each seed, not at the mean."
    if (alpha, beta) != good.index[0]:
        return False, "It works there, but there is a cheaper cell: sort the good ones by alpha, then by beta."
    seeds = len(new.get_group((alpha, beta)))
    low = 0.05 ** (1 / seeds) if often[alpha, beta] == 1 else None
    bound = f" {seeds} of {seeds} still only says: more than {low:.0%} of seeds, at 95 %." if low else ""
    return True, f"The cheapest cell that keeps its promise on record.{bound}"


def _pairs(answer):
    from wmlab.records import power

    if not answer >= 2:
        return False, "A deviation takes at least two pairs."
    needed = next(n for n in range(2, 200) if power(5, 10, n) >= 0.8)
    if answer == needed:
        sees = "half a deviation is an effect of medium size. The paper's 50 runs would see it; 6 would not."
        return True, f"{needed} pairs, {2 * needed} networks: {sees}"
    return False, f"With {answer} pairs the power is {power(5, 10, answer):.1%}. Look for the first number with 80 %."


def _false_alarms(answer):
    if math.isclose(answer, 5):
        return True, "Five cells that look like a discovery, with nothing to discover. Say before which cell you will test."
    return False, "Each test cries wolf with a probability of 5 % where there is nothing. How many of 100?"


def _limited_mean(answer):
    if math.isclose(answer, (1 - 0.7**5) / 0.3, rel_tol=1e-3):
        return True, "A limit makes the mean smaller than 1/p = 3.33, and with a probability of 0.7⁵ = 17 % there is no proof."
    if math.isclose(answer, 1 / 0.3, rel_tol=1e-2):
        return False, "That is 1/p, of a judge who goes on for ever. This one stops after five answers at the latest."
    if math.isclose(answer, sum(k * 0.7 ** (k - 1) * 0.3 for k in range(1, 6)), rel_tol=1e-2):
        return False, "That is the paper's sum. When all five miss, five answers were bought too: add that case."
    return False, "Add up the probabilities that more than 0, 1, … 4 answers are bought: that the first k all miss."


def _smallest_batch(answer):
    from wmlab.queries import batch_accuracy, smallest_batch

    setting, n = (0.7, 0.4, 0.95), int(answer)
    if n != answer or n < 1:
        return False, "Hand in one whole number of keys."
    first, lasting = smallest_batch(*setting), smallest_batch(*setting, lasting=True)
    if n == first:
        return True, f"Acc({n}) = {batch_accuracy(0.7, n, 0.4):.4f}. Only from {lasting} on does no larger number fall below 0.95."
    found = f"Acc({n}) = {batch_accuracy(0.7, n, 0.4):.4f} if θ < τ|K|"
    if n == smallest_batch(*setting, strict=False):
        return False, f"{found}. You allowed θ = τ|K| too; this judge does not."
    if batch_accuracy(0.7, n, 0.4) >= 0.95:
        return False, f"{found}: enough, but a smaller number does it as well. Try all of them, not only multiples, from 1 up."
    return False, f"{found}: not enough. Go up key by key, and do not stop where one more key made it worse."


def _honest_null(answer):
    from wmlab.queries import clopper_pearson, neyman_pearson

    (p0, n), bound = answer, clopper_pearson(0, 50, 0.9)[1]
    needed = neyman_pearson(0.8, bound, 0.99, 0.01)[0]
    if p0 == 0:
        return False, "No hit in 50 does not mean never. With which hit rate would 50 misses in a row have a probability of 5 %?"
    if math.isclose(p0, clopper_pearson(0, 50, 0.95)[1], abs_tol=5e-4):
        return False, "That bound holds with 97.5 %: an interval of 95 % leaves half of the 5 % above. Put all of it there."
    if not math.isclose(p0, bound, abs_tol=5e-4):
        return False, "Find the p₀ at which 50 misses in a row have a probability of 5 %: (1 - p₀)⁵⁰ = 0.05."
    if n != needed:
        return False, f"The null is right, but {n} queries are not. Ask queries.neyman_pearson(0.8, p₀, 0.99, 0.01)."
    return True, f"p₀ = {bound:.3f} is what 50 answers allow, and {needed} queries do; p₀ = 0, never shown, would take 3."


def _enough_networks(answer):
    if answer == 99:
        return True, "1/(99 + 1) = 0.01. More keys would not help: it is networks that are counted."
    if answer == 100:
        return False, "One too many: the suspect counts among them, as the one in 1/(n + 1)."
    return False, "With n networks, none of which hit as often, the rank p is 1/(n + 1)."


def _corrected(answer):
    if math.isclose(answer, 0.08):
        return True, "Ten sets, ten chances: 10 × 0.008 = 0.08 (Bonferroni). That convicts nobody at the 5 % level."
    return False, "Each of the ten sets had its chance of a p so small. Multiply, or have her make fresh keys."


def _court(answer, court):
    if not isinstance(answer, dict) or set(answer) != set(court.names) or not set(answer.values()) <= set(court.WHO):
        return False, f"Hand in a dict from {', '.join(court.names)} to {', '.join(court.WHO)}."
    if (right := court.right(answer)) == 4:
        return True, f"All four, and {court.left} answers are left. No single kind of picture would have done."
    return False, f"{right} of 4. Who answers Δ to her pattern, who to a stranger's too, and who only to what is no digit?"


CHECKS = {
    "00.1": _all_miss,
    "01.1": _neither,
    "01.2": _both,
    "01.3": _wrong_is_better,
    "02.1": _noise_steps,
    "02.2": _detector,
    "02.3": _pattern,
    "03.1": _forgery,
    "03.2": _row_share,
    "03.3": _number_of_keys,
    "04.1": _cheapest,
    "04.2": _pairs,
    "04.3": _false_alarms,
    "05.1": _limited_mean,
    "05.2": _smallest_batch,
    "05.3": _honest_null,
    "06.1": _enough_networks,
    "06.2": _corrected,
    "06.3": _court,
}
