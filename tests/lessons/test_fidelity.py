"""Lesson 04, on invented runs: every number against an independent computation; its checks."""

import asyncio
import itertools
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import records, training
from wmlab.keys import perturb
from wmlab.lessons import check, fidelity
from wmlab.schemes import NewLabel, Scheme
from wmlab.show import figures, picture
from wmlab.training import predict

NEW, WRONG = "new label", "wrong label"
ALPHAS, BETAS = (0.002, 0.01, 0.05), (0.001, 0.0035, 0.01)
KEY, CLEAN, NOISY = COLUMNS = ("fresh_key_accuracy", "clean_accuracy", "noisy_accuracy")
ON_RECORD = ("fig3_class", "fig3_mnist")


def invented(runs=6, alphas=ALPHAS, betas=BETAS, unmarked=3):
    """Runs as they are on record, of networks that nobody has trained; runs: a number, or a
    function of scheme, α and β.
    """
    rng, rows = np.random.default_rng(0), []
    count = runs if callable(runs) else lambda *cell: runs
    cells = [(*cell, count(*cell)) for cell in itertools.product((NEW, WRONG), alphas, betas)]
    for scheme, alpha, beta, number in [*cells, ("unmarked", 0.0, 0.0, unmarked)]:
        hit = alpha * beta / (alpha * beta + 3e-5)
        for seed in range(number):
            drawn = rng.normal([hit, 0.95, 0.9 * (1 - hit)], [0.1, 0.01, 0.05])
            shares = dict(zip(COLUMNS, np.clip(drawn, 0, 1), strict=True))
            about = dict(scheme=scheme, alpha=alpha, beta=beta, seed=seed)
            recipe = dict(network="mnist_cnn", epochs=4, batch=64, device="a laptop")
            rows.append(about | shares | recipe)
    table = pd.DataFrame(rows)
    table.loc[table.scheme == "unmarked", KEY] = np.nan
    return table


def uneven(scheme, alpha, beta):
    return {0.002: 5, 0.01: 6, 0.05: 8}[alpha] - 2 * (scheme == WRONG and beta == 0.01)


def differing(cells, column=KEY):
    """Runs of both schemes of which the differences are given, {(alpha, beta): differences}."""
    rows = []
    for (alpha, beta), differences in cells.items():
        for seed, difference in enumerate(differences):
            for scheme, sign in ((NEW, 1), (WRONG, -1)):
                rows.append((scheme, alpha, beta, seed, 0.5 + sign * difference / 2))
    return pd.DataFrame(rows, columns=["scheme", "alpha", "beta", "seed", column])


def student(values):
    """Student's 95 % interval of a mean."""
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def flips(differences):
    """p of the test that gives every difference one sign or the other."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    means = np.abs(signs @ np.array(differences))
    return np.mean(means >= means[0] - 1e-12)


def drawn(figure):
    """The curves of a figure: {(plot, scheme): {"interval" | "mean" | "a run": array (2, n)}}."""
    go.Figure(picture.plain(figure))  # raises for what plotly does not know
    shown = {}
    for trace in figure["data"]:
        scheme, _, part = trace["name"].rpartition(", ")
        arm = {"x": "alpha", "x2": "beta"}[trace["xaxis"]]
        shown.setdefault((arm, scheme), {})[part] = np.array([trace["x"], trace["y"]], float)
    assert list(shown) == [(arm, scheme) for arm in ("alpha", "beta") for scheme in (NEW, WRONG)]
    return shown


def arms_of(table, alpha, beta):
    """The rows of both arms of a cross, {(arm, scheme): rows}, by plain comparison."""
    found = {}
    for arm, other, fixed in (("alpha", "beta", beta), ("beta", "alpha", alpha)):
        for scheme in (NEW, WRONG):
            found[arm, scheme] = table[(table[other] == fixed) & (table.scheme == scheme)]
    return found


def test_arms_draw_every_run_the_means_and_intervals_from_six_runs_on():
    for runs, cell, column in [
        (1, (0.01, 0.0035), NOISY),
        (6, (0.002, 0.01), CLEAN),
        (uneven, (0.01, 0.01), KEY),
        (uneven, (0.05, 0.001), NOISY),
    ]:
        table = invented(runs)
        figure = fidelity.arms(table, *cell, column)
        low, high = figure["layout"]["yaxis"]["range"]
        for (arm, scheme), rows in arms_of(table, *cell).items():
            curve, groups = drawn(figure)[arm, scheme], rows.groupby(arm)[column]
            every = sorted(zip(rows[arm], rows[column], strict=True))
            assert sorted(zip(*curve["a run"], strict=True)) == every
            assert low < rows[column].min() and rows[column].max() < high
            means = {place: np.mean(values) for place, values in groups}
            assert np.allclose(curve["mean"], [list(means), list(means.values())])
            known = {place: student(values) for place, values in groups if len(values) >= 6}
            ends = np.clip(np.reshape(list(known.values()), (-1, 2)), 0, 1).T
            there = [*known, *reversed(known)]
            assert np.allclose(curve["interval"], [there, [*ends[0], *ends[1][::-1]]])


def test_lines_mark_the_cell_and_axes_have_a_tick_for_every_value():
    table = invented()
    for column in COLUMNS:
        layout = fidelity.arms(table, 0.002, 0.01, column)["layout"]
        marks = {shape["xref"]: (shape["x0"], shape["x1"]) for shape in layout["shapes"]}
        assert marks == {"x": (0.002, 0.002), "x2": (0.01, 0.01)}
        assert layout["yaxis2"]["matches"] == "y"
        assert layout["yaxis"]["title"] == fidelity.TITLES[column]
        for axis, values in ((layout["xaxis"], ALPHAS), (layout["xaxis2"], BETAS)):
            assert axis["type"] == "log" and axis["tickvals"] == list(values)
            assert [float(name) for name in axis["ticktext"]] == list(values)
            assert axis["range"][0] < np.log10(values[0]) < np.log10(values[-1]) < axis["range"][1]


def test_runs_without_a_measure_are_not_drawn_and_a_cross_has_nothing_beside_its_arms():
    table = invented()
    table.loc[(table.seed == 2) & (table.alpha == 0.01) & (table.scheme == NEW), NOISY] = np.nan
    shown = drawn(fidelity.arms(table, 0.01, 0.0035, NOISY))
    assert shown["alpha", NEW]["a run"].shape == (2, 17)
    assert shown["beta", NEW]["a run"].shape == (2, 15)
    assert 0.01 not in shown["alpha", NEW]["interval"][0]
    assert shown["beta", NEW]["interval"].size == 0
    cross = table[(table.alpha == 0.01) | (table.beta == 0.0035)]
    shown = drawn(fidelity.arms(cross, 0.05, 0.001, CLEAN))
    assert shown["alpha", NEW]["a run"][0].tolist() == [0.01] * 6
    assert shown["beta", NEW]["a run"][0].tolist() == [0.0035] * 6
    for rows, cell in ((cross, (0.3, 0.5)), (cross[cross.scheme == WRONG], (0.01, 0.0035))):
        figure = fidelity.arms(rows, *cell, CLEAN)
        assert drawn(figure)["alpha", NEW]["a run"].size == 0
        assert figure["layout"]["yaxis"]["range"][0] < 0.95


def percent(value):
    return f"{100 * value:.1f}"


def points(value):
    return f"{100 * value:+z.1f}".replace("-", "−")


def expected(table, alpha, beta, column):
    """The sentence on a cell that has runs of both schemes."""
    at = table[(table.alpha == alpha) & (table.beta == beta)].dropna(subset=[column])
    runs = {scheme: at[at.scheme == scheme].set_index("seed")[column] for scheme in (NEW, WRONG)}
    parts = []
    for scheme, values in runs.items():
        n, text = len(values), f"{scheme} {percent(values.mean())} %"
        low, high = np.clip(student(values), 0, 1) if n > 1 else (0, 0)
        few = f", {n} run{'s' * (n > 1)}, no interval"
        parts.append(text + (f" [{percent(low)}, {percent(high)}], {n} runs" if n >= 6 else few))
    said = f"At α = {alpha:g}, β = {beta:g}, {fidelity.TITLES[column]}: {'; '.join(parts)}."
    both = sorted(set(runs[NEW].index) & set(runs[WRONG].index))
    differences = [runs[NEW][seed] - runs[WRONG][seed] for seed in both]
    if len(both) >= 6:
        low, high = (points(end).lstrip("+") for end in student(differences))
        said += f" Same seed, new minus wrong: {points(np.mean(differences))} points "
        said += f"[{low}, {high}], p = {flips(differences):.2g}."
    return said


def test_the_sentence_has_the_numbers_of_the_runs():
    for runs, column in itertools.product([1, 2, 5, 6, 9, uneven], COLUMNS):
        table = invented(runs)
        for cell in itertools.product(ALPHAS, BETAS):
            said = fidelity.sentence(table, *cell, column)
            assert said == expected(table, *cell, column)


def test_pairs_are_of_one_seed_and_a_cell_without_runs_is_told():
    table = invented(7)
    table.loc[(table.scheme == WRONG) & (table.seed < 1), "seed"] = 100
    six = fidelity.sentence(table, 0.01, 0.0035, KEY)
    assert six == expected(table, 0.01, 0.0035, KEY) and "p = " in six
    table.loc[(table.scheme == WRONG) & (table.seed == 1), "seed"] = 101
    assert "Same seed" not in fidelity.sentence(table, 0.01, 0.0035, KEY)
    new = fidelity.sentence(table[table.scheme == NEW], 0.01, 0.0035, KEY)
    assert NEW in new and WRONG not in new and "Same seed" not in new
    for alpha, beta in ((0.02, 0.0035), (0.01, 0.5)):
        said = fidelity.sentence(table, alpha, beta, KEY)
        assert said == f"At α = {alpha:g} and β = {beta:g} there is no run yet."
    assert "no run yet" in fidelity.sentence(table.assign(noisy_accuracy=np.nan), 0.01, 0.01, NOISY)


# the panel


def buttons(panel):
    rows = [getattr(child, "children", ()) for child in panel.widget.children]
    return {part.description: part for row in rows for part in row if hasattr(part, "on_click")}


def quick(data, how, name, alpha, beta, seed):
    """In place of training: a record at once."""
    about = {"scheme": {"new": NEW, "wrong": WRONG}[name], "alpha": alpha, "beta": beta}
    shares = {KEY: 0.25, CLEAN: 0.5 + (name == "new") / 8, NOISY: 0.75}
    return about | shares | {"seed": seed, "decision": None, "history": [{"epoch": 1}]}


@pytest.fixture
def trainer(monkeypatch):
    """A panel that can train, and does so at once."""
    monkeypatch.setattr(fidelity, "train_cell", quick)
    return fidelity.grid(invented(6), data="digits", how="quickly", seed=1000)


def test_every_position_draws_the_arms_and_says_the_sentence():
    table = invented(uneven)
    before, panel = table.copy(), fidelity.grid(table)
    assert panel.settings() == {"alpha": 0.05, "beta": 0.01, "of": "keys"} and panel.first == 1
    assert set(fidelity.MEASURED.values()) == set(fidelity.TITLES) == set(COLUMNS)
    for number, (alpha, beta) in enumerate(itertools.product(ALPHAS, BETAS)):
        of, column = list(fidelity.MEASURED.items())[(number + number // 3) % 3]
        panel.set(alpha=alpha, beta=beta, of=of)
        figure = fidelity.arms(table, alpha, beta, column)
        assert picture.plain(panel.figure) == picture.plain(figure)
        assert panel.caption_text == fidelity.sentence(table, alpha, beta, column)
    assert table.equals(before) and panel.result["own"] == [] and panel.error is None
    assert fidelity.TRAIN not in buttons(panel)
    with pytest.raises(ValueError, match="no job 'Train this cell now'"):
        panel.run(fidelity.TRAIN)
    for wrong in ({"alpha": 0.03}, {"beta": 0}, {"of": "everything"}):
        with pytest.raises(ValueError, match="cannot be"):
            panel.set(**wrong)


def test_the_button_trains_both_schemes_and_draws_them(trainer):
    trainer.set(alpha=0.01, beta=0.001)
    before = drawn(trainer.figure)
    trained = []
    for share, (figure, *_) in trainer.jobs[fidelity.TRAIN](**trainer.settings()):
        trained.append((NEW, WRONG)[len(trained)])
        assert share == len(trained) / 2
        for (arm, scheme), curve in drawn(figure).items():
            more = curve["a run"].shape[1] - before[arm, scheme]["a run"].shape[1]
            assert more == (scheme in trained)
            place = {"alpha": 0.01, "beta": 0.001}[arm]
            assert ((curve["a run"].T == [place, 0.25]).all(axis=1)).any() == (scheme in trained)
    own = [quick(None, None, name, 0.01, 0.001, 1000) for name in ("new", "wrong")]
    assert trainer.result["own"] == own
    everything = pd.concat([invented(6), pd.DataFrame(own)])
    for of in ("clean images", "keys"):
        trainer.set(of=of)
        said = fidelity.sentence(everything, 0.01, 0.001, fidelity.MEASURED[of])
        assert trainer.caption_text == said and said.count("7 runs") == 2
    trainer.set(alpha=0.002)
    assert "6 runs" in trainer.caption_text
    buttons(trainer)[fidelity.TRAIN].click()
    for cell in ((0.01, 0.01), (0.01, 0.001)):
        trainer.set(alpha=cell[0], beta=cell[1])
        trainer.run(fidelity.TRAIN)
    assert trainer.caption_text.count("8 runs") == 2 and trainer.error is None
    seeds = [record["seed"] for record in trainer.result["own"]]
    assert seeds[::2] == seeds[1::2] and len(set(seeds)) == 4, "a pair is two runs of one seed"


def test_who_cancels_keeps_what_was_trained_and_shares_whole_pairs_only(trainer):
    own = trainer.result["own"]

    async def cancelled_at(runs):
        buttons(trainer)[fidelity.TRAIN].click()
        while len(own) < runs:
            await asyncio.sleep(0)
        trainer._cancel.click()
        await asyncio.sleep(0.05)
        assert "Cancelled" in trainer.caption.value and len(own) == runs and not trainer.error

    async def story():
        for runs in (1, 2):
            await cancelled_at(runs)
            with pytest.raises(ValueError, match="nothing to share"):
                fidelity.sheet_line(own)
        buttons(trainer)[fidelity.TRAIN].click()
        while len(own) < 4 or trainer._task:
            await asyncio.sleep(0.001)
        whole = fidelity.sheet_line(own)
        await cancelled_at(5)
        assert fidelity.sheet_line(own) == whole
        assert whole == f"0.05, 0.01, {own[2]['seed']}, 0.2500, 0.2500, 0.6250, 0.5000"

    asyncio.run(asyncio.wait_for(story(), 60))
    assert "7 runs" in trainer.caption_text and "10 runs" in trainer.caption_text


def test_an_error_in_training_is_shown_and_the_panel_goes_on(trainer, monkeypatch):
    def fails(*settings):
        raise MemoryError("a full machine")

    monkeypatch.setattr(fidelity, "train_cell", fails)
    buttons(trainer)[fidelity.TRAIN].click()
    assert trainer.error == "MemoryError: a full machine"
    monkeypatch.setattr(fidelity, "train_cell", quick)
    trainer.controls["alpha"].value = 0.002
    assert trainer.error is None and trainer.result["own"] == []
    trainer.run(fidelity.TRAIN)
    assert trainer.caption_text.count("7 runs") == 2


def test_what_is_on_record_can_be_drawn_at_every_position():
    for name in ON_RECORD:
        table = records.load(name)
        panel, marked = fidelity.grid(table), table[table.scheme != "unmarked"]
        assert not marked.duplicated(["scheme", "alpha", "beta", "seed"]).any()
        for (of, column), alpha in itertools.product(fidelity.MEASURED.items(), set(marked.alpha)):
            panel.set(alpha=alpha, of=of)
            beta = panel.settings()["beta"]
            some = (table.alpha == alpha) & (table.beta == beta)
            said = expected(table, alpha, beta, column) if some.any() else "no run yet"
            assert said in panel.caption_text
            for where, rows in arms_of(table, alpha, beta).items():
                assert drawn(panel.figure)[where]["a run"].shape == (2, rows[column].count())


@pytest.mark.trains
def test_a_trained_cell_has_one_secret_for_both_schemes_and_its_records_make_a_line(data):
    behind, original = {}, Scheme.embed

    def embed(self, *settings, **more):
        behind[self.name] = original(self, *settings, **more)
        return behind[self.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scheme, "embed", embed)
        recipe = training.Recipe("dense", 3, 32)
        own = [fidelity.train_cell(data, recipe, name, 0.3, 0.05, 7) for name in ("new", "wrong")]
    new, wrong = (behind[scheme].keys for scheme in (NEW, WRONG))
    assert np.array_equal(new.images, wrong.images)
    assert np.array_equal(new.carrier_labels, wrong.carrier_labels)
    assert set(new.labels) == {10} and set(wrong.labels) == {0} and len(new) == 90
    others = NewLabel(0.3, 0.05).embedded_keys(data, "my cell 8")
    assert not np.array_equal(new.images, others.images), "another seed has other keys"
    carriers = data.y_test != 0
    noisy = perturb(data.x_test[carriers], "anyone", "noise", 0.05)
    for record in own:
        labels = predict(behind[record["scheme"]].model, noisy)
        assert record[NOISY] == np.mean(labels == data.y_test[carriers])
        settings = ("network", "alpha", "beta", "seed", "n_train")
        assert [record[name] for name in settings] == ["dense", 0.3, 0.05, 7, 300]
    shares = [record[column] for column in (KEY, CLEAN) for record in own]
    line = [float(part) for part in fidelity.sheet_line(own).split(",")]
    assert line == [0.3, 0.05, 7, *(round(share, 4) for share in shares)]


# a class's shared sheet


def own_runs(alpha, beta, seed, shares):
    new_key, wrong_key, new_clean, wrong_clean = shares
    about = dict(alpha=alpha, beta=beta, seed=seed)
    new = dict(scheme=NEW) | about | {KEY: new_key, CLEAN: new_clean}
    return [new, dict(scheme=WRONG) | about | {KEY: wrong_key, CLEAN: wrong_clean}]


share = st.integers(1, 10**4).map(lambda n: n / 10**4)
cells = st.lists(
    st.builds(own_runs, share, share, st.integers(0, 10**9), st.tuples(share, share, share, share)),
    min_size=1,
    max_size=8,
    unique_by=lambda runs: runs[0]["seed"],
)
HEADING = ", ".join(fidelity.SHEET)
STYLES = [  # of a spreadsheet: what stands between, the decimal point, what is left at the end
    *((between, ".", "") for between in (",", ", ", "\t", ";", " ; ")),
    *((between, ",", "") for between in ("\t", "; ")),
    *(("\t", ".", "\t\t"), (", ", ".", "  "), (",", ".", "\r"), (",", ".", ",,")),
]


def restyled(line, style):
    """A line as a spreadsheet gives it back."""
    between, decimal, tail = style
    numbers = [f"{float(part):.10g}".replace(".", decimal) for part in line.split(",")]
    return between.join(numbers) + tail


@given(
    cells=cells,
    styles=st.lists(st.sampled_from([None, *STYLES]), min_size=1),
    heading=st.booleans(),
    again=st.integers(0, 7),
    empty=st.sampled_from(["", "\n", "\n \n", "\n\t\t\n", "\n,,,\n"]),
)
def test_what_is_shared_comes_back(cells, styles, heading, again, empty):
    lines = [fidelity.sheet_line(runs) for runs in cells]
    wanted = pd.DataFrame([run for runs in cells for run in runs])
    pasted = [
        restyled(line, style) if style else line
        for line, style in zip(lines, itertools.cycle(styles), strict=False)
    ]
    pasted += lines[again : again + 1]  # one's own, which the sheet has too
    table = fidelity.pool(f"\n{HEADING}\n" * heading + empty + f"\n{empty}".join(pasted) + "\n")
    pd.testing.assert_frame_equal(table, wanted)


def test_a_line_needs_both_schemes_of_one_seed_and_pooled_lines_can_be_drawn():
    runs = own_runs(0.1, 0.01, 7, (0.9, 0.8, 0.95, 0.94))
    for own in ([], runs[:1], runs[1:], [runs[0], runs[1] | {"seed": 8}]):
        with pytest.raises(ValueError, match="nothing to share yet: press “Train this cell now”"):
            fidelity.sheet_line(own)
    for own in (runs, own_runs(0.2, 0.02, 6, (0, 0, 0, 0)) + runs, runs + [runs[0] | {"seed": 8}]):
        assert fidelity.sheet_line(own) == "0.1, 0.01, 7, 0.9000, 0.8000, 0.9500, 0.9400"
    lines = [f"0.04, 0.0035, {seed}, 0.{seed}, 0.3, 0.95, 0.94" for seed in range(1, 8)]
    ours = fidelity.pool("\n".join(["alpha, beta, …", *lines, *lines[:3]]))
    assert len(ours) == 14
    assert fidelity.sentence(ours, 0.04, 0.0035, KEY).count("7 runs") == 2
    dots = drawn(fidelity.arms(ours, 0.04, 0.0035))["beta", NEW]["a run"]
    assert dots[1].tolist() == [n / 10 for n in range(1, 8)]
    for nothing in ("", "\n\n", HEADING, f"α\tβ\n{HEADING.title()}\n"):
        assert len(fidelity.pool(nothing)) == 0 and "scheme" in fidelity.pool(nothing)


def test_a_broken_line_is_named():
    shares, whole = "accuracies are shares from 0 to 1", "a seed is a whole number"
    no_number, above = "could not convert string to float", "stand above with other accuracies"
    for broken, words in {
        "0.1, 0.01, 7, 1.2, 0.8, 0.95, 0.94": shares,
        "0.1, 0.01, 7, 0.9, 0.8, 95, 94": shares,
        "0.1, 0.01, 7, 0.9, -0.1, 0.95, 0.94": shares,
        "0.1, 0.01, 7, nan, 0.8, 0.95, 0.94": shares,
        "0, 0.01, 7, 0.9, 0.8, 0.95, 0.94": "alpha is 0.0, but must lie above 0",
        "1.5, 0.01, 7, 0.9, 0.8, 0.95, 0.94": "alpha is 1.5, but must lie above 0 and not above 1",
        "0.1, -1, 7, 0.9, 0.8, 0.95, 0.94": "beta is -1.0, but must lie above 0",
        "0.1, 0.01, 7.5, 0.9, 0.8, 0.95, 0.94": whole,
        "0.1, 0.01, nan, 0.9, 0.8, 0.95, 0.94": whole,
        "0.1, 0.01, inf, 0.9, 0.8, 0.95, 0.94": whole,
        "0.1, 0.01, 7, 0.9, 0.8, 0.95": "6 parts, not 7",
        "0.1, 0.01, 7, 0.9, 0.8, 0.95, 0.94, 0.5": "8 parts, not 7",
        "0,1, 0,01, 7, 0,9, 0,8, 0,95, 0,94": "13 parts, not 7",
        "0.1 0.01 7 0.9 0.8 0.95 0.94": "1 parts, not 7",
        "0.1, 0.01, seven, 0.9, 0.8, 0.95, 0.94": no_number,
        "0.1, , 7, 0.9, 0.8, 0.95, 0.94": no_number,
        "0.1, 0.01, 3, 0.9, 0.8, 0.95, 0.93": above,
    }.items():
        good = [f"0.1, 0.01, {seed}, 0.9, 0.8, 0.95, 0.94" for seed in range(4)]
        pasted = "\n".join(["", HEADING, good[0], "", "", good[0], *good, "", broken, good[1]])
        start = re.escape(f"line 11, {broken!r}, is no cell (")
        with pytest.raises(ValueError, match=f"^{start}.*: it has {HEADING}$") as raised:
            fidelity.pool(pasted)
        assert words in str(raised.value)


# how many pairs it takes


def shaped(mean, deviation, pairs):
    """Differences with exactly this mean and deviation."""
    values = np.random.default_rng(0).normal(size=pairs)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


def seen(mean, deviation, pairs, trials=20_000):
    """How many of the simulated paired t tests at 5 % see a difference."""
    differences = np.random.default_rng(pairs).normal(mean, deviation, (trials, pairs))
    return np.mean(stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05)


def test_so_many_pairs_see_a_difference_and_one_less_does_not():
    found = {}
    for ratio, power in [
        (0.22, 0.8),
        (0.5, 0.8),
        (1, 0.8),
        (3, 0.8),
        (20, 0.8),
        (1, 0.5),
        (1, 0.95),
    ]:
        error = 4.5 * np.sqrt(power * (1 - power) / 20_000)
        for mean in (0.02, -0.02):
            table = differing({(0.1, 0.01): shaped(mean, 0.02 / ratio, 7)}, CLEAN)
            found[mean] = int(fidelity.pairs_needed(table, CLEAN, power).loc[0.1, 0.01])
        needed = found[0.02]
        assert needed == found[-0.02] and seen(0.02, 0.02 / ratio, needed) > power - error
        assert needed == 2 or seen(0.02, 0.02 / ratio, needed - 1) < power + error


def test_beyond_the_most_pairs_and_from_one_pair_a_cell_is_grey():
    cells = {
        (0.1, 0.01): shaped(0.02, 0.02 / 0.21, 9),
        (0.1, 0.02): shaped(0.02, 0.02 / 0.19, 9),
        (0.2, 0.01): [0.3],
        (0.2, 0.02): [0.0] * 6,
        (0.3, 0.01): [0.1] * 6,
        (0.4, 0.01): [-0.2, -0.2],
    }
    needed = fidelity.pairs_needed(differing(cells))
    nan = np.nan
    wanted = [[180, nan], [nan, nan], [2, nan], [2, nan]]  # 2 where all differences are the same
    wanted = pd.DataFrame(wanted, [0.1, 0.2, 0.3, 0.4], [0.01, 0.02])
    pd.testing.assert_frame_equal(needed, wanted)


def test_the_pairs_of_what_is_on_record():
    for name in ON_RECORD:
        table = records.load(name)
        for (beta, alpha), needed in fidelity.pairs_needed(table).unstack().items():
            at = table[(table.alpha == alpha) & (table.beta == beta)]
            at = at.pivot(index="seed", columns="scheme", values=KEY)
            both = (at[NEW] - at[WRONG]).dropna() if {NEW, WRONG} <= set(at) else []
            less = fidelity.MOST if np.isnan(needed) else int(needed) - 1
            if len(both) > 1 and both.std() and less > 1:
                limit = 0.8 + 4.5 * np.sqrt(0.16 / 5000)
                assert seen(both.mean(), both.std(), less, 5000) < limit


def test_a_cell_map_has_its_numbers_where_they_belong():
    values = [[3.4, np.nan, 17], [0.2, 200, np.nan]]
    table = pd.DataFrame(values, index=[0.02, 0.1], columns=[0.001, 0.0035, 0.01])
    figure = fidelity.cell_map(table, "how many", "pairs")
    (heat,) = go.Figure(picture.plain(figure)).data
    assert (heat.y, heat.x) == (("0.02", "0.1"), ("0.001", "0.0035", "0.01"))
    assert [list(row) for row in heat.z] == [[3.4, None, 17], [0.2, 200, None]], "grey: no number"
    assert [list(row) for row in heat.text] == [["3", "", "17"], ["0", "200", ""]]
    layout = figure["layout"]
    assert (layout["title"], heat.colorbar.title.text) == ("how many", "pairs")
    for axis, name in (("xaxis", "β"), ("yaxis", "α")):
        assert (layout[axis]["title"], layout[axis]["type"]) == (name, "category")


# tables and groups


def test_churn_compares_with_unmarked_networks_of_other_seeds():
    rng, true = np.random.default_rng(3), np.arange(50) % 10
    answers, rows = {}, []
    seeds = {"unmarked": range(4), NEW: (0, 2, 9), WRONG: (0, 2, 9)}
    for scheme, seed in [(name, seed) for name in seeds for seed in seeds[name]]:
        labels = np.where(rng.random(50) < 0.3, rng.integers(0, 10 + (scheme == NEW), 50), true)
        answers[scheme, seed] = true if (scheme, seed) == ("unmarked", 1) else labels
        wrong = np.flatnonzero(answers[scheme, seed] != true)
        errors = " ".join(f"{image}:{labels[image]}" for image in wrong)
        rows.append(dict(scheme=scheme, seed=seed, n_test=50, errors=errors))
    table = pd.DataFrame(rows)
    shares = fidelity.churn(table.sample(frac=1, random_state=1))
    assert list(shares) == ["unmarked (floor)", NEW, WRONG]
    for scheme, title in zip(seeds, shares, strict=True):
        wanted = []
        for seed in seeds[scheme]:
            others = [answers["unmarked", other] for other in range(4) if other != seed]
            wanted.append(np.mean([answers[scheme, seed] != other for other in others]))
        assert sorted(shares[title]) == pytest.approx(sorted(wanted)) and min(wanted) > 0
    one = fidelity.churn(table[(table.scheme != "unmarked") | (table.seed == 0)])
    assert [len(values) for values in one.values()] == [0, 2, 2], "never one of the same seed"
    none = fidelity.churn(table[table.scheme != "unmarked"])
    assert [len(values) for values in none.values()] == [0, 0, 0]


def test_an_inventory_tells_what_there_is():
    one = invented(lambda scheme, alpha, beta: 5 if alpha == 0.01 else 6, unmarked=4)
    other = invented(2, alphas=(0.1,), betas=(0.5, 0.7), unmarked=0)
    other = other.assign(network="dense", epochs=10, batch=128, device="a GPU")
    both = pd.concat([other, other.assign(device="a laptop", seed=other.seed + 2)])
    table = fidelity.inventory({"one": one, "other": both})
    assert table.to_dict("index") == {
        name: dict(zip(table.columns, row, strict=True))
        for name, row in {
            "one": [9 * 12 - 6 + 4, "4, 5, 6", 9, "mnist_cnn", "4", "64", "a laptop"],
            "other": [16, "4", 2, "dense", "10", "128", "a GPU, a laptop"],
        }.items()
    }
    columns = "runs, seeds a cell, cells a scheme, network, epochs, batch, device"
    assert ", ".join(table.columns) == columns


def test_paired_tests_have_a_row_a_cell():
    cells = {
        (0.01, 0.001): (shaped(0.1, 0.01, 5), "too few pairs"),
        (0.01, 0.01): (shaped(0.01, 0.1, 6), "cannot tell"),
        (0.02, 0.001): (shaped(0.1, 0.02, 6), NEW),
        (0.02, 0.01): (shaped(-0.1, 0.02, 8), WRONG),
        (0.03, 0.01): ([0.0] * 6, "cannot tell"),
        (0.04, 0.01): ([0.1] * 5 + [-0.001], "cannot tell"),
        (0.05, 0.01): ([0.1], "too few pairs"),
    }
    differences = {cell: values for cell, (values, _) in cells.items()}
    table = fidelity.paired_tests(differing(differences, NOISY), NOISY)
    for row, (cell, (values, better)) in zip(table.to_dict("records"), cells.items(), strict=True):
        assert (float(row["α"]), float(row["β"])) == cell
        assert (row["pairs"], row["better"]) == (len(values), better)
        mean, _, rest = row["new − wrong"].replace("−", "-").partition(" points")
        assert float(mean) == pytest.approx(100 * np.mean(values), abs=0.051)
        if len(values) < 6:
            assert row["p"] == "" and "no interval" in rest
            continue
        assert float(row["p"]) == pytest.approx(flips(values), rel=0.051)  # two digits
        ends = [float(end) / 100 for end in rest.strip(" []").split(", ")]
        half = stats.t.isf(0.025, len(values) - 1) * stats.sem(values)
        assert ends == pytest.approx([np.mean(values) - half, np.mean(values) + half], abs=0.00051)
    assert len(fidelity.paired_tests(differing({(0.1, 0.1): [0.1]})[:1])) == 0


def test_the_picture_of_paired_tests_has_a_dot_a_cell_in_the_colour_of_what_can_be_told():
    cells = {
        (0.01, 0.001): shaped(0.1, 0.01, 5),
        (0.01, 0.01): shaped(0.01, 0.1, 6),
        (0.02, 0.001): shaped(0.1, 0.02, 6),
        (0.02, 0.01): shaped(-0.1, 0.02, 8),
    }
    drawn = fidelity.paired_figure(differing(cells, NOISY), NOISY)
    names = ("α 0.02, β 0.001", "α 0.02, β 0.01", "α 0.01, β 0.01")
    found = {trace["name"]: trace for trace in drawn["data"]}
    for told, cell in zip((NEW, WRONG, "cannot tell"), names, strict=True):
        trace, values = found[told], cells[tuple(float(part[2:]) for part in cell.split(", "))]
        half = 100 * stats.t.isf(0.025, len(values) - 1) * stats.sem(values)
        assert list(trace["y"]) == [cell]
        assert list(trace["x"]) == pytest.approx([100 * np.mean(values)])
        assert list(trace["error_x"]["array"]) == pytest.approx([half])
        assert list(trace["error_x"]["arrayminus"]) == pytest.approx([half])


def test_groups_have_a_dot_for_every_value_and_a_line_at_the_mean():
    shares = {"unmarked (floor)": [0.01, 0.02, 0.06], NEW: [0.05], WRONG: [], "else": [0.4, 0.6]}
    figure = go.Figure(picture.plain(fidelity.groups(shares, "differ")))
    dots = {trace.name: trace for trace in figure.data if trace.mode == "markers"}
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines"}
    means = {"unmarked (floor)": "3.00%", NEW: "5.00%", WRONG: None, "else": "50.00%"}
    axis = figure.layout.xaxis
    names = [f"{name}<br>mean {mean}" if mean else name for name, mean in means.items()]
    assert list(axis.ticktext) == names and list(axis.tickvals) == [0, 1, 2, 3]
    assert figure.layout.yaxis.title.text == "differ" and list(dots) == list(shares)
    for place, (name, values) in enumerate(shares.items()):
        assert list(dots[name].y) == values and len(set(dots[name].x)) == len(values)
        assert all(abs(x - place) <= 0.25 for x in dots[name].x)
        if values:
            line = lines.pop(f"{name}, mean")
            assert line.y == pytest.approx([np.mean(values)] * 2)
            assert line.x == pytest.approx([place - 0.3, place + 0.3])
    assert not lines and axis.range[0] < -0.3 and axis.range[1] > 3.3
    assert len({(trace.marker.color, trace.marker.symbol) for trace in dots.values()}) == 4
    assert dots["unmarked (floor)"].marker.color == figures.COLOURS["unmarked"]


# checks


def grid_of(cells):
    """Runs of the new label, {(alpha, beta): key accuracies}, among others."""
    rows = [(NEW, *cell, value) for cell, values in cells.items() for value in values]
    rows += [(WRONG, *cell, 1.0) for cell in [*cells, (0.001, 0.001)]]
    return pd.DataFrame(rows, columns=["scheme", "alpha", "beta", KEY])


def cheapest(table):
    """The answer to 04.2, counted out."""
    kept = []
    for cell, runs in table[table.scheme == NEW].groupby(["alpha", "beta"]):
        if 10 * sum(p >= 0.9 for p in runs[KEY]) >= 9 * len(runs):
            kept.append(cell)
    return min(kept)


CELLS = {
    (0.02, 0.001): [0.1] * 6,
    (0.02, 0.01): [0.95] * 5 + [0.89],
    (0.04, 0.0035): [0.9] * 6,
    (0.04, 0.01): [1.0] * 6,
    (0.1, 0.001): [0.8] * 3 + [1] * 3,
    (0.1, 0.01): [1.0] * 6,
}


def test_the_cheapest_cell(said):
    table, right = grid_of(CELLS), (0.04, 0.0035)
    assert cheapest(table) == right
    for answer in (right, list(right), np.array(right), ("0.04", "0.0035"), pd.Series(right)):
        assert check("04.2", answer, table) is True
    low = stats.binomtest(6, 6, alternative="greater").proportion_ci(0.95, "exact").low
    assert f"6 of 6 still only says: more than {low:.0%} of seeds, at 95 %." in said[0]
    wrong = [
        ((0.1, 0.01), "there is a cheaper cell"),
        ((0.04, 0.01), "there is a cheaper cell"),
        ((0.02, 0.01), "There 83% of the seeds reach 0.9. Look at each seed"),
        ((0.1, 0.001), "There 50% of the seeds"),
        ((0.03, 0.01), "no cell α = 0.03, β = 0.01 on record"),
        ((0.0035, 0.04), "no cell"),
        ((0.02, np.nan), "no cell"),
    ]
    garbage = [(0.04,), (*right, 6), 0.04, "the first", (None, None), [], {"alpha": 0.04}, cheapest]
    for answer, words in [*wrong, *((each, "could not be used") for each in garbage)]:
        assert check("04.2", answer, table) is False and words in said[-1], answer
    assert check("04.2", ..., table) is None
    for values, enough in [
        ([0.9] * 9 + [0.0], True),
        ([0.9] * 8 + [0.0] * 2, False),
        ([0.9] * 27 + [0.0] * 3, True),
        ([0.9] * 17 + [0.0] * 3, False),
        ([0.95] * 5 + [np.nan], False),
        ([0.8999] * 10, False),
        ([0.9], True),
    ]:
        assert check("04.2", (0.01, 0.01), grid_of({(0.01, 0.01): values})) is enough
        assert ("still only says" in said[-1]) is (enough and 0 not in values)


def test_the_cheapest_cell_on_record(said):
    table = records.load("fig3_class")
    for cell in set(zip(table.alpha, table.beta, strict=True)):
        assert check("04.2", cell, table) is (cell == cheapest(table))


def test_the_pairs_that_see_half_a_deviation(said):
    right = [n for n in range(300) if check("04.3", n)]
    error = 4.5 * np.sqrt(0.8 * 0.2 / 100_000)
    assert len(right) == 1 and seen(5, 10, right[0], 100_000) > 0.8 - error
    assert seen(5, 10, right[0] - 1, 100_000) < 0.8 + error
    for answer in (34, 34.0, np.int64(34), "34"):
        assert check("04.3", answer) is True and "34 pairs" in said[-1]
    wrong = {33: "power is 79.5%", 6: "power is 17", 50: "is 93", 10**6: "is 100.0%", 2: "2 pairs"}
    few = dict.fromkeys((1, 0, -34, 0.5, np.nan), "at least two")
    for answer, words in (wrong | few).items():
        assert check("04.3", answer) is False and words in said[-1] and "nan" not in said[-1]
    for answer in ("many", [33, 34], lambda: 34, {}):
        assert check("04.3", answer) is False and "could not be used" in said[-1]
    assert check("04.3", None) is None


def test_false_alarms_are_counted(said):
    for answer in (stats.binom(100, 0.05).mean(), 5, np.float64(5)):
        assert check("04.4", answer) is True and "Five cells" in said[-1]
    for answer in (0, 0.05, 95, 1, 4.9, 6, 1 - 0.95**100, np.nan, "five", [5], {}, lambda: 5):
        assert check("04.4", answer) is False and said[-1].startswith("Not yet. ")
    assert check("04.4", ...) is None


def test_a_sign_flip_test_is_judged_in_stages(said):
    """Exercise 04.1; the twin in the lesson against the library's test."""
    rng = np.random.default_rng(1)
    flips = fidelity.sign_flip_p

    def sums(d):
        return np.array([np.dot(s, d) for s in itertools.product([1, -1], repeat=len(d))])

    for differences in rng.normal(0.3, 1, (4, 7)):
        p = stats.permutation_test(
            (differences,), lambda d: np.sum(d), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert np.isclose(flips(differences), p)
    found = {
        lambda d: sums(d): "This has the shape (4,)",
        lambda d: 7: "It is a share",
        lambda d: np.mean(np.abs(sums(d)) > abs(sum(d))): "compare with >=",
        lambda d: np.mean(sums(d) >= sum(d)): "compare absolute values",
        lambda d: np.mean(np.abs(sums(d)) >= -9): "as well",
        lambda d: np.mean(np.abs(sums(d)) >= sum(d)): "as well",
        lambda d: 0.3: "List all",
        lambda d: flips(np.round(d)): "let sums that differ",
        lambda d: flips(d) + (len(d) == 8) * 0.01: "none at random",
        lambda d: 1 / 0: "could not be used",
        lambda: 1: "could not be used",
    }
    for answer, words in found.items():
        assert check("04.1", answer) is False and words in said[-1], (words, said[-1])
    for answer in (0.5, "p", [0.5]):
        assert check("04.1", answer) is False and "could not be used" in said[-1]
    for answer in (flips, lambda d: np.mean(np.abs(sums(d)) + 1e-9 >= abs(sums(d)[0]))):
        assert check("04.1", answer) is True and "2/64" in said[-1]
    assert check("04.1", ...) is None
