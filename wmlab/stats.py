"""Statistics of runs and of counts: intervals, paired test, power, churn, and `told`, which puts a
mean into words.
"""

import functools
import math

import numpy as np
import pandas as pd
import scipy.stats

FEW = 6  # below this number of runs no interval and no test is given
CELL = ["alpha", "beta"]


def interval(values, confidence=0.95):
    """Mean and Student's t interval for the mean: (mean, low, high).

    values: numbers of any unit, at least 1. For fewer than 2 values low and high are NaN.
    """
    values = np.asarray(values, float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, np.nan, np.nan
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    low, high = _student(confidence, len(values) - 1)
    return mean, float(mean + low * error), float(mean + high * error)


@functools.cache  # panels ask for many intervals of the same number of runs
def _student(confidence, freedom):
    """The interval of Student's t in standard errors, for so many degrees of freedom."""
    return scipy.stats.t.interval(confidence, freedom)


def share_interval(shares, confidence=0.95):
    """`interval` of shares, cut at 0 and 1; low and high are NaN for fewer than 6 shares."""
    mean, low, high = interval(shares, confidence)
    if len(shares) < FEW:
        return mean, np.nan, np.nan
    return mean, max(low, 0.0), min(high, 1.0)


def told(values, unit="%", runs=None, digits=1):
    """A mean with its 95 % interval in words: "92.3 % [91.1, 93.5]", "+3.2 points [−1.9, 8.3]".

    values: one a run, or (mean, low, high) where `runs` gives their number. Missing values of runs
    are left out. Fewer than 6 runs, or NaN ends, give "92.3 %, 3 runs, no interval".
    unit: "%" for shares in [0, 1], whose interval is cut at 0 and 100 %, or "points" for
    differences in percentage points. digits: after the decimal point.
    Raises ValueError for another unit.

    >>> told([0.90, 0.92, 0.94, 0.93, 0.91, 0.95])
    '92.5 % [90.5, 94.5]'
    >>> told((3.2, -1.9, 8.3), "points", runs=8)
    '+3.2 points [−1.9, 8.3]'
    >>> told([-0.4], "points", digits=2)
    '−0.40 points, 1 run, no interval'
    """
    if unit not in ("%", "points"):
        raise ValueError(f'the unit is {unit!r}: choose "%" or "points"')
    if runs is None:
        values = np.asarray(values, float)
        values = values[~np.isnan(values)]
        runs = len(values)
        values = (share_interval if unit == "%" else interval)(values) if runs else [np.nan] * 3
    factor, sign = (100, "") if unit == "%" else (1, "+")
    mean, low, high = (factor * float(value) for value in values)
    if runs == 0:
        return "no run"
    text = f"{mean:{sign}z.{digits}f} {unit}"
    if runs < FEW or np.isnan(low):
        text += f", {runs} run{'' if runs == 1 else 's'}, no interval"
    else:
        text += f" [{low:z.{digits}f}, {high:z.{digits}f}]"
    return text.replace("-", "−")


def cells(table, column, confidence=0.95):
    """Means of `column` over the runs of each scheme, α and β; a DataFrame with a row a cell.

    table: of `records.load`. column: a share in [0, 1].
    Columns: scheme, alpha, beta, runs, mean, low, high; ends as of `share_interval`.
    """
    rows = []
    for cell, runs in table.dropna(subset=[column]).groupby(["scheme", *CELL]):
        rows.append((*cell, len(runs), *share_interval(runs[column], confidence)))
    return pd.DataFrame(rows, columns=["scheme", *CELL, "runs", "mean", "low", "high"])


def paired(table, column, first="new label", second="wrong label", confidence=0.95):
    """Differences first − second of runs with the same seed, so of the same images and noise; a
    DataFrame with a row for each α and β.

    Columns: alpha, beta, pairs, mean, deviation (with n − 1), low, high (t interval), and p of the
    two-sided exact test that flips signs: the share of all 2^pairs assignments of signs whose mean
    is as far from 0, or of 10,000 drawn ones from 14 pairs on. low, high and p are NaN for fewer
    than 6 pairs. Raises ValueError if a scheme has two runs of one cell and seed.
    """
    both = [
        table[table.scheme == name].set_index([*CELL, "seed"])[column].dropna()
        for name in (first, second)
    ]
    if not all(runs.index.is_unique for runs in both):
        raise ValueError(
            "a pair is one run of each scheme with the same α, β and seed: "
            "choose one recipe and one experiment"
        )
    rows = []
    for cell, difference in (both[0] - both[1]).dropna().groupby(level=CELL):
        pairs, p = len(difference), np.nan
        mean, low, high = interval(difference, confidence)
        if pairs < FEW:
            low = high = np.nan
        else:
            p = _flipping_signs(difference.to_numpy())
        rows.append((*cell, pairs, mean, difference.std(), low, high, p))
    return pd.DataFrame(rows, columns=[*CELL, "pairs", "mean", "deviation", "low", "high", "p"])


def _flipping_signs(differences):
    """The two-sided p of the test that flips the signs of paired differences."""
    return scipy.stats.permutation_test(
        (differences,),
        _rounded_mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    ).pvalue


def _rounded_mean(differences, axis):
    """The mean, rounded so that sums which are equal in whole images stay equal in floats: else p
    would be too small.
    """
    return np.mean(differences, axis=axis).round(12)


def power(mean, deviation, pairs, level=0.05):
    """Probability that a two-sided paired t test at `level` rejects.

    mean, deviation: of the differences, in one unit; deviation > 0. pairs: a number of at least 2,
    or an array. Source: noncentral t distribution (Cohen 1988, chapter 2).
    """
    pairs = np.asarray(pairs)
    limit = scipy.stats.t.isf(level / 2, pairs - 1)
    shift = np.abs(mean) / deviation * np.sqrt(pairs)
    # the lower tail as a mirrored upper one: scipy's cdf is NaN far out
    upper = scipy.stats.nct.sf(limit, pairs - 1, shift)
    return upper + scipy.stats.nct.sf(limit, pairs - 1, -shift)


def churn(errors, others, n):
    """Share of n images that two networks label differently.

    errors, others: the mistakes of each, as in the column `errors` of records: "image:label" with
    blanks between.
    """
    one, two = ({tuple(pair.split(":")) for pair in text.split()} for text in (errors, others))
    return len({image for image, _ in one ^ two}) / n


def clopper_pearson(hits, n, confidence=0.95):
    """Exact interval for a hit rate after `hits` hits in n answers: (low, high).

    Either end alone is a bound of confidence (1 + confidence)/2. Raises ValueError unless
    0 ≤ hits ≤ n, n ≥ 1 and confidence lies in (0, 1). Source: Clopper and Pearson 1934.

    >>> round(clopper_pearson(0, 50, 0.9)[1], 3)  # after no hit in 50: below 5.8 %, with 95 %
    0.058
    """
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"{hits} hits in {n} answers: give whole numbers with 0 ≤ hits ≤ n")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but it lies in (0, 1)")
    ends = scipy.stats.binomtest(int(hits), int(n)).proportion_ci(confidence, method="exact")
    return float(ends.low), float(ends.high)
