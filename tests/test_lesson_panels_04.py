"""Notebook 04's panel, maps and tables, on invented runs: every number against an independent
computation.
"""

import asyncio
import html
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import records, runtime, training
from wmlab.keys import perturb
from wmlab.lessons import fidelity
from wmlab.schemes import NewLabel, Scheme
from wmlab.show import figures
from wmlab.training import predict

NEW, WRONG = "new label", "wrong label"
ALPHAS, BETAS = (0.002, 0.01, 0.05), (0.001, 0.0035, 0.01)
COLUMNS = ("fresh_key_accuracy", "clean_accuracy", "noisy_accuracy")
SHIPPED = sorted(
    path.stem
    for path in (runtime.data_dir() / "results").glob("fig3_*.csv")
    if not path.stem.endswith("_curves")
)
every_column = pytest.mark.parametrize("column", COLUMNS)


def invented(runs=6, alphas=ALPHAS, betas=BETAS, unmarked=3, seed=0):
    """Runs as they are on record, of networks that nobody has trained; runs: a number, or a
    function of scheme, α and β.
    """
    rng, rows = np.random.default_rng(seed), []
    cells = [*itertools.product((NEW, WRONG), alphas, betas)] + [("unmarked", 0.0, 0.0)] * (
        unmarked > 0
    )
    for scheme, alpha, beta in cells:
        count = (
            unmarked
            if scheme == "unmarked"
            else runs(scheme, alpha, beta)
            if callable(runs)
            else runs
        )
        for number in range(count):
            hit = alpha * beta / (alpha * beta + 3e-5)
            key, clean, noisy = np.clip(
                rng.normal([hit, 0.95, 0.9 * (1 - hit)], [0.1, 0.01, 0.05]), 0, 1
            )
            wrong = rng.choice(200, 10, replace=False)
            rows.append(
                {
                    "scheme": scheme,
                    "alpha": alpha,
                    "beta": beta,
                    "seed": number,
                    "n_test": 200,
                    "fresh_key_accuracy": np.nan if scheme == "unmarked" else key,
                    "clean_accuracy": clean,
                    "noisy_accuracy": noisy,
                    "errors": " ".join(f"{image}:{rng.integers(10)}" for image in sorted(wrong)),
                    "network": "mnist_cnn",
                    "epochs": 4,
                    "batch": 64,
                    "device": "a laptop",
                }
            )
    return pd.DataFrame(rows)


def differing(cells):
    """Runs of both schemes of which the differences are given, {(alpha, beta): differences}."""
    rows = [
        {
            "scheme": scheme,
            "alpha": alpha,
            "beta": beta,
            "seed": seed,
            "fresh_key_accuracy": 0.5 + sign * difference / 2,
        }
        for (alpha, beta), differences in cells.items()
        for seed, difference in enumerate(differences)
        for scheme, sign in ((NEW, 1), (WRONG, -1))
    ]
    return pd.DataFrame(rows)


def student(values):
    """Student's interval of a mean, cut at 0 and 1."""
    return np.clip(
        stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values)), 0, 1
    )


def flips(differences):
    """p of the test that gives every difference one sign or the other."""
    means = [
        abs(np.dot(signs, differences))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return np.mean(np.array(means) >= means[0] - 1e-12)


def drawn(figure):
    """What a figure of `arms` shows: {("alpha" | "beta", scheme): {"band" | "line" | "dots": array
    (2, n) of x and y}}.
    """
    shown = {}
    for trace in figure.data:
        arm = {"x": "alpha", None: "alpha", "x2": "beta"}[trace.xaxis]
        part = (
            "band" if trace.fill == "toself" else {"lines": "line", "markers": "dots"}[trace.mode]
        )
        assert (
            shown.setdefault((arm, trace.legendgroup), {}).setdefault(
                part, np.array([trace.x, trace.y], float)
            )
            is not None
        )
    assert len(figure.data) == 12 and all(
        set(parts) == {"band", "line", "dots"} for parts in shown.values()
    )
    return shown


def arms_of(table, alpha, beta):
    """The rows of both arms of a cross, {"alpha" | "beta": {scheme: rows}}, by plain comparison."""
    return {
        arm: {
            scheme: table[(table[other] == fixed) & (table.scheme == scheme)]
            for scheme in (NEW, WRONG)
        }
        for arm, other, fixed in (("alpha", "beta", beta), ("beta", "alpha", alpha))
    }


def uneven(scheme, alpha, beta):
    return {0.002: 5, 0.01: 6, 0.05: 8}[alpha] - 2 * (scheme == WRONG and beta == 0.01)


@pytest.mark.parametrize(
    ("runs", "cell", "column"),
    [
        (1, (0.01, 0.0035), "noisy_accuracy"),
        (6, (0.002, 0.01), "clean_accuracy"),
        (uneven, (0.01, 0.01), "fresh_key_accuracy"),
        (uneven, (0.05, 0.001), "noisy_accuracy"),
    ],
)
class TestArms:
    def test_every_run_of_the_arms_is_a_dot_and_no_other(self, runs, cell, column):
        table = invented(runs)
        shown = drawn(fidelity.arms(table, *cell, column))
        for arm, schemes in arms_of(table, *cell).items():
            for scheme, rows in schemes.items():
                assert sorted(zip(*shown[arm, scheme]["dots"], strict=True)) == sorted(
                    zip(rows[arm], rows[column], strict=True)
                )

    def test_lines_are_means_and_bands_are_intervals_from_six_runs_on(self, runs, cell, column):
        table = invented(runs)
        shown = drawn(fidelity.arms(table, *cell, column))
        for arm, schemes in arms_of(table, *cell).items():
            for scheme, rows in schemes.items():
                groups = {place: group[column].tolist() for place, group in rows.groupby(arm)}
                assert np.allclose(
                    shown[arm, scheme]["line"],
                    [list(groups), [np.mean(values) for values in groups.values()]],
                )
                known = {
                    place: student(values) for place, values in groups.items() if len(values) >= 6
                }
                low, high = np.reshape(list(known.values()), (-1, 2)).T
                there = [*known]
                assert np.allclose(
                    shown[arm, scheme]["band"], [there + there[::-1], [*low, *high[::-1]]]
                )

    def test_lines_mark_the_cell_and_axes_have_room_for_every_dot(self, runs, cell, column):
        table = invented(runs)
        figure = fidelity.arms(table, *cell, column)
        marks = {shape.xref: (shape.x0, shape.x1) for shape in figure.layout.shapes}
        assert marks == {"x": (cell[0],) * 2, "x2": (cell[1],) * 2}
        low, high = figure.layout.yaxis.range
        assert (
            figure.layout.yaxis2.matches == "y"
            and figure.layout.yaxis.title.text == fidelity.TITLES[column]
        )
        for axis, values, arm in (
            (figure.layout.xaxis, ALPHAS, "alpha"),
            (figure.layout.xaxis2, BETAS, "beta"),
        ):
            assert axis.type == "log" and axis.tickvals == values
            assert [float(name) for name in axis.ticktext] == list(values)
            for scheme in (NEW, WRONG):
                x, y = drawn(figure)[arm, scheme]["dots"]
                assert (
                    axis.range[0] < min(np.log10(x))
                    and max(np.log10(x)) < axis.range[1]
                    and low < min(y)
                    and max(y) < high
                )

    def test_a_figure_that_is_drawn_again_is_that_of_the_other_cell(self, runs, cell, column):
        table = invented(runs)
        figure = fidelity.arms(table, 0.01, 0.001)
        fidelity.draw_arms(figure, fidelity.arm_values(table, *cell, column))
        assert figure.to_dict() == fidelity.arms(table, *cell, column).to_dict()


def test_runs_that_were_not_measured_are_no_dots_and_count_for_no_band():
    table = invented(6)
    table.loc[
        (table.seed == 2) & (table.alpha == 0.01) & (table.scheme == NEW), "noisy_accuracy"
    ] = np.nan
    shown = drawn(fidelity.arms(table, 0.01, 0.0035, "noisy_accuracy"))
    assert shown["alpha", NEW]["dots"].shape == (2, 17) and shown["beta", NEW]["dots"].shape == (
        2,
        15,
    )
    assert 0.01 not in shown["alpha", NEW]["band"][0] and shown["beta", NEW]["band"].size == 0
    assert shown["alpha", WRONG]["band"].shape == (2, 6) and shown["alpha", NEW]["line"].shape == (
        2,
        3,
    )


def test_a_cross_has_nothing_beside_its_arms():
    table = invented(6)
    table = table[(table.alpha == 0.01) | (table.beta == 0.0035)]
    for column in COLUMNS:
        shown = drawn(fidelity.arms(table, 0.05, 0.001, column))
        assert [shown[arm, NEW]["dots"][0].tolist() for arm in ("alpha", "beta")] == [
            [0.01] * 6,
            [0.0035] * 6,
        ]
    empty = fidelity.arms(table[table.scheme == WRONG], 0.05, 0.001, "clean_accuracy")
    assert drawn(empty)["alpha", NEW]["dots"].size == 0 and empty.layout.yaxis.range[0] < 0.95
    nothing = drawn(fidelity.arms(table, 0.3, 0.5, "clean_accuracy"))
    assert all(part.size == 0 for parts in nothing.values() for part in parts.values())


def expected(table, alpha, beta, column):
    """The parts that a sentence has to have."""
    at = table[(table.alpha == alpha) & (table.beta == beta)].dropna(subset=[column])
    runs = {scheme: at[at.scheme == scheme].set_index("seed")[column] for scheme in (NEW, WRONG)}
    parts = [f"At α = {alpha:g}, β = {beta:g}, {fidelity.TITLES[column]}: "]
    for scheme, values in runs.items():
        interval = " [{:.1%}, {:.1%}]".format(*student(values)) if len(values) >= 6 else ""
        if len(values):
            parts.append(
                f"{scheme} {np.mean(values):.1%}{interval}, {len(values)} {'run' if len(values) == 1 else 'runs'}"
            )
    both = sorted(set(runs[NEW].index) & set(runs[WRONG].index))
    if len(both) >= 6:
        differences = 100 * np.array([runs[NEW][seed] - runs[WRONG][seed] for seed in both])
        low, high = stats.t.interval(
            0.95, len(both) - 1, np.mean(differences), stats.sem(differences)
        )
        parts.append(
            f" Same seed, new minus wrong: {np.mean(differences):+.1f} points [{low:+.1f}, {high:+.1f}],"
            f" p = {flips(differences):.2g}."
        )
    return parts


class TestSentence:
    @every_column
    @pytest.mark.parametrize("runs", [1, 2, 5, 6, 9, uneven])
    def test_its_numbers_are_those_of_the_runs(self, runs, column):
        table = invented(runs)
        for alpha, beta in itertools.product(ALPHAS, BETAS):
            said, parts = (
                fidelity.sentence(table, alpha, beta, column),
                expected(table, alpha, beta, column),
            )
            assert all(part in said for part in parts), (said, parts)
            assert len(said) == sum(map(len, parts)) + len("; .")

    def test_pairs_are_of_one_seed_and_no_test_is_made_of_five(self):
        table = invented(7)
        table.loc[(table.scheme == WRONG) & (table.seed < 1), "seed"] = 100
        six = fidelity.sentence(table, 0.01, 0.0035, "fresh_key_accuracy")
        assert expected(table, 0.01, 0.0035, "fresh_key_accuracy")[-1] in six and "p = " in six
        table.loc[(table.scheme == WRONG) & (table.seed == 1), "seed"] = 101
        assert "Same seed" not in fidelity.sentence(table, 0.01, 0.0035, "fresh_key_accuracy")

    def test_one_scheme_alone_is_told_and_no_run_is_said(self):
        table = invented(6)
        new = fidelity.sentence(table[table.scheme == NEW], 0.01, 0.0035, "fresh_key_accuracy")
        assert NEW in new and WRONG not in new and "Same seed" not in new
        for alpha, beta in ((0.02, 0.0035), (0.01, 0.5)):
            said = fidelity.sentence(table, alpha, beta, "fresh_key_accuracy")
            assert said == f"At α = {alpha:g} and β = {beta:g} there is no run yet."
        table["noisy_accuracy"] = np.nan
        assert "no run yet" in fidelity.sentence(table, 0.01, 0.0035, "noisy_accuracy")


def text(value):
    return html.unescape(re.sub("<[^>]*>", "", value))


def buttons(panel):
    return {child.description: child for child in panel.widget.children[1].children}


def quick(data, how, name, alpha, beta, seed):
    """In place of training: a record at once."""
    return {
        "scheme": {"new": NEW, "wrong": WRONG}[name],
        "alpha": alpha,
        "beta": beta,
        "seed": seed,
        "fresh_key_accuracy": 0.25,
        "clean_accuracy": 0.5 + (name == "new") / 8,
        "noisy_accuracy": 0.75,
        "decision": None,
        "history": [{"epoch": 1}],
    }


@pytest.fixture
def trainer(monkeypatch):
    """A panel that can train, and does so at once."""
    monkeypatch.setattr(fidelity, "train_cell", quick)
    return fidelity.grid(invented(6), data="digits", how="quickly", seed=1000)


class TestGrid:
    def test_it_opens_with_one_slider_at_the_largest_keys_and_unfolds(self):
        panel = fidelity.grid(invented(6))
        assert (
            panel.settings() == {"alpha": 0.05, "beta": 0.01, "of": "keys"} and panel.error is None
        )
        assert panel._row.children == (panel.controls["alpha"],)
        buttons(panel)["More controls"].value = True
        assert panel._row.children == tuple(panel.controls.values())
        assert fidelity.TRAIN not in buttons(panel) and panel.jobs == {}
        with pytest.raises(ValueError, match="no job 'Train this cell now'"):
            panel.run(fidelity.TRAIN)

    def test_every_position_draws_the_arms_and_says_the_sentence(self):
        table = invented(uneven)
        before = table.copy()
        panel = fidelity.grid(table)
        for number, (alpha, beta) in enumerate(itertools.product(ALPHAS, BETAS)):
            of, column = list(fidelity.MEASURED.items())[(number + number // 3) % 3]
            panel.set(alpha=alpha, beta=beta, of=of)
            fresh = fidelity.arms(table, alpha, beta, column)
            for shown, wanted in zip(panel.figure.data, fresh.data, strict=True):
                assert np.array_equal(shown.x, wanted.x) and np.array_equal(shown.y, wanted.y)
            assert panel.figure.layout.shapes == fresh.layout.shapes
            assert panel.figure.layout.yaxis.to_plotly_json() == fresh.layout.yaxis.to_plotly_json()
            assert text(panel.caption.value) == fidelity.sentence(table, alpha, beta, column)
        assert table.equals(before) and panel.own == []

    def test_the_measures_are_those_of_the_titles(self):
        assert set(fidelity.MEASURED.values()) == set(fidelity.TITLES) == set(COLUMNS)

    @pytest.mark.parametrize(
        "wrong", [{"alpha": 0.03}, {"beta": 0}, {"of": "everything"}, {"gamma": 1}, {"alpha": 0.0}]
    )
    def test_a_value_that_is_not_on_record_is_refused(self, wrong):
        panel = fidelity.grid(invented(6))
        panel.set(alpha=0.01, beta=0.001)
        said = panel.caption.value
        with pytest.raises(ValueError, match="cannot be|has no gamma"):
            panel.set(**wrong)
        assert (
            panel.settings() == {"alpha": 0.01, "beta": 0.001, "of": "keys"}
            and panel.caption.value == said
        )

    def test_the_job_trains_both_schemes_and_draws_them(self, trainer):
        trainer.set(alpha=0.01, beta=0.001)
        before = {arm: parts["dots"].shape[1] for arm, parts in drawn(trainer.figure).items()}
        shares = []
        for share, result in trainer.jobs[fidelity.TRAIN](**trainer.settings()):
            shares.append(share)
            trainer._show(result)
            after = {arm: parts["dots"].shape[1] for arm, parts in drawn(trainer.figure).items()}
            trained = [record["scheme"] for record in trainer.own]
            assert after == {
                (arm, scheme): before[arm, scheme] + (scheme in trained) for arm, scheme in before
            }
        assert shares == [0.5, 1] and trained == [NEW, WRONG]
        assert trainer.own == [
            quick(None, None, name, 0.01, 0.001, 1000) for name in ("new", "wrong")
        ]
        for arm, place in (("alpha", 0.01), ("beta", 0.001)):
            assert all(
                (drawn(trainer.figure)[arm, scheme]["dots"].T == [place, 0.25]).all(axis=1).any()
                for scheme in (NEW, WRONG)
            )
        everything = pd.concat([invented(6), pd.DataFrame(trainer.own)])
        assert text(trainer.caption.value) == fidelity.sentence(
            everything, 0.01, 0.001, "fresh_key_accuracy"
        )
        assert trainer.caption.value.count("7 runs") == 2
        trainer.set(of="clean images")
        assert text(trainer.caption.value) == fidelity.sentence(
            everything, 0.01, 0.001, "clean_accuracy"
        )

    def test_a_cell_can_be_trained_again_and_another_after_it(self, trainer):
        for cell in ((0.05, 0.01), (0.05, 0.01), (0.01, 0.01), (0.05, 0.01)):
            trainer.set(alpha=cell[0], beta=cell[1])
            trainer.run(fidelity.TRAIN)
        assert trainer.error is None and trainer.caption.value.count("9 runs") == 2
        seeds = [record["seed"] for record in trainer.own]
        assert seeds[::2] == seeds[1::2] and len(set(seeds)) == 4 and seeds[0] == 1000, (
            "a pair is two runs of one seed"
        )

    def test_own_runs_are_drawn_when_the_slider_comes_back(self, trainer):
        trainer.run(fidelity.TRAIN)
        trainer.set(alpha=0.002)
        assert "6 runs" in trainer.caption.value
        trainer.reset()
        assert trainer.caption.value.count("7 runs") == 2

    def test_the_button_trains_outside_a_kernel_too(self, trainer):
        buttons(trainer)[fidelity.TRAIN].click()
        assert len(trainer.own) == 2 and trainer.error is None and "7 runs" in trainer.caption.value

    def test_who_cancels_keeps_what_was_trained_and_shares_whole_pairs_only(self, trainer):
        async def story():
            for kept in (1, 2):
                buttons(trainer)[fidelity.TRAIN].click()
                while len(trainer.own) < kept:
                    await asyncio.sleep(0)
                trainer._cancel.click()
                await asyncio.sleep(0.05)
                assert (
                    "Cancelled" in trainer.caption.value
                    and len(trainer.own) == kept
                    and trainer.error is None
                )
                with pytest.raises(ValueError, match="nothing to share"):
                    fidelity.line(trainer.own)
            buttons(trainer)[fidelity.TRAIN].click()
            while len(trainer.own) < 4 or trainer._task:
                await asyncio.sleep(0.001)
            whole = fidelity.line(trainer.own)
            buttons(trainer)[fidelity.TRAIN].click()
            while len(trainer.own) < 5:
                await asyncio.sleep(0)
            trainer._cancel.click()
            await asyncio.sleep(0.05)
            assert len(trainer.own) == 5 and fidelity.line(trainer.own) == whole

        asyncio.run(asyncio.wait_for(story(), 30))
        new, wrong = trainer.own[2:4]
        assert (
            fidelity.line(trainer.own)
            == f"0.05, 0.01, {new['seed']}, 0.2500, 0.2500, 0.6250, 0.5000"
        )
        assert (
            new["seed"] == wrong["seed"]
            and "7 runs" in trainer.caption.value
            and "10 runs" in trainer.caption.value
        )

    def test_an_error_in_training_is_shown_and_the_panel_goes_on(self, trainer, monkeypatch):
        def fails(*settings):
            raise MemoryError("a full machine")

        monkeypatch.setattr(fidelity, "train_cell", fails)
        buttons(trainer)[fidelity.TRAIN].click()
        assert (
            trainer.error == "MemoryError: a full machine"
            and "a full machine" in trainer.caption.value
        )
        with pytest.raises(MemoryError):
            trainer.run(fidelity.TRAIN)
        monkeypatch.setattr(fidelity, "train_cell", quick)
        trainer.controls["alpha"].value = 0.002
        assert trainer.error is None and trainer.own == []
        trainer.run(fidelity.TRAIN)
        assert trainer.caption.value.count("7 runs") == 2


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_on_record_can_be_drawn_at_every_position(name):
    table = records.load(name)
    marked = table[table.scheme != "unmarked"]
    assert not marked.duplicated(["scheme", "alpha", "beta", "seed"]).any(), (
        "a pair is one run of each scheme"
    )
    panel = fidelity.grid(table)
    for (of, column), alpha in itertools.product(
        fidelity.MEASURED.items(), sorted(set(marked.alpha))
    ):
        panel.set(alpha=alpha, of=of)
        beta = panel.settings()["beta"]
        parts = expected(table, alpha, beta, column)
        said = text(panel.caption.value)
        assert all(part in said for part in parts) if len(parts) > 1 else "no run yet" in said
        for arm, schemes in arms_of(table, alpha, beta).items():
            for scheme, rows in schemes.items():
                assert drawn(panel.figure)[arm, scheme]["dots"].shape == (2, rows[column].count())
    assert panel.error is None


@pytest.fixture(scope="module")
def trained_pair(data):
    """A cell of the tiny data set trained for real: (records, Runs behind them), both {scheme: …}."""
    behind, made, original = {}, {}, Scheme.embed

    def embed(self, *settings, **more):
        behind[self.name] = original(self, *settings, **more)
        return behind[self.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scheme, "embed", embed)
        for name in ("new", "wrong"):
            record = fidelity.train_cell(data, training.Recipe("dense", 3, 32), name, 0.3, 0.05, 7)
            made[record["scheme"]] = record
    return made, behind


@pytest.mark.trains
class TestTrainCell:
    def test_its_record_is_one_of_a_sweep_but_for_experiment_and_verdict(
        self, trained_pair, tmp_path
    ):
        for record in trained_pair[0].values():
            records.write(
                record | {"experiment": "mine", "decision": "marked", "queries": 1}, tmp_path
            )
        runs, curves = records.read(tmp_path)
        assert (
            sorted(runs.scheme) == [NEW, WRONG]
            and len(curves) == 6
            and set(runs.network) == {"dense"}
        )
        assert runs[["alpha", "beta", "seed", "n_train"]].drop_duplicates().to_numpy().tolist() == [
            [0.3, 0.05, 7, 300]
        ]

    def test_noisy_images_are_to_be_read_as_what_they_are(self, trained_pair, data):
        noisy = perturb(data.x_test[data.y_test != 0], "anyone", "noise", 0.05)
        for scheme, record in trained_pair[0].items():
            labels = predict(trained_pair[1][scheme].model, noisy)
            assert record["noisy_accuracy"] == np.mean(labels == data.y_test[data.y_test != 0])

    def test_both_schemes_get_the_same_images_and_noise_and_only_the_label_differs(
        self, trained_pair, data
    ):
        new, wrong = (trained_pair[1][scheme].keys for scheme in (NEW, WRONG))
        assert np.array_equal(new.images, wrong.images) and np.array_equal(
            new.carrier_labels, wrong.carrier_labels
        )
        assert set(new.labels) == {10} and set(wrong.labels) == {0} and len(new) == 90
        others = NewLabel(0.3, 0.05).embedded_keys(data, "my cell 8")
        assert not np.array_equal(new.images, others.images), "another seed has other keys"

    def test_its_two_records_make_a_line(self, trained_pair):
        made = trained_pair[0]
        parts = [float(part) for part in fidelity.line([made[NEW], made[WRONG]]).split(",")]
        shares = [made[scheme][column] for column in COLUMNS[:2] for scheme in (NEW, WRONG)]
        assert parts == [0.3, 0.05, 7, *(round(share, 4) for share in shares)]


def own_runs(alpha, beta, seed, shares):
    new_key, wrong_key, new_clean, wrong_clean = shares
    return [
        {
            "scheme": scheme,
            "alpha": alpha,
            "beta": beta,
            "seed": seed,
            "fresh_key_accuracy": key,
            "clean_accuracy": clean,
        }
        for scheme, key, clean in ((NEW, new_key, new_clean), (WRONG, wrong_key, wrong_clean))
    ]


share = st.integers(1, 10**4).map(lambda n: n / 10**4)
cells = st.lists(
    st.builds(own_runs, share, share, st.integers(0, 10**9), st.tuples(share, share, share, share)),
    min_size=1,
    max_size=8,
    unique_by=lambda runs: runs[0]["seed"],
)
HEADING = ", ".join(fidelity.SHEET)


def as_a_sheet_has_it(line, style):
    """A line as a spreadsheet hands it back."""
    separator, decimal, tail = style
    return (
        separator.join(f"{float(part):.10g}".replace(".", decimal) for part in line.split(","))
        + tail
    )


class TestSharing:
    @given(
        cells=cells,
        styles=st.lists(
            st.sampled_from(
                [
                    None,
                    (",", ".", ""),
                    (", ", ".", ""),
                    ("\t", ".", ""),
                    (";", ".", ""),
                    (" ; ", ".", ""),
                    ("\t", ",", ""),
                    ("; ", ",", ""),
                    ("\t", ".", "\t\t"),
                    (", ", ".", "  "),
                    (",", ".", "\r"),
                    (",", ".", ",,"),
                ]
            ),
            min_size=1,
        ),
        heading=st.booleans(),
        again=st.integers(0, 7),
        empty=st.sampled_from(["", "\n", "\n \n", "\n\t\t\n", "\n,,,\n"]),
    )
    def test_what_is_shared_comes_back(self, cells, styles, heading, again, empty):
        lines = [fidelity.line(runs) for runs in cells]
        wanted = pd.DataFrame([run for runs in cells for run in runs])
        styled = zip(lines, itertools.cycle(styles), strict=False)
        pasted = [as_a_sheet_has_it(line, style) if style else line for line, style in styled]
        pasted += lines[again : again + 1]  # one's own, which the sheet has too
        table = fidelity.pool(f"\n{HEADING}\n" * heading + empty + f"\n{empty}".join(pasted) + "\n")
        assert table.columns.tolist() == [
            "scheme",
            "alpha",
            "beta",
            "seed",
            "fresh_key_accuracy",
            "clean_accuracy",
        ]
        pd.testing.assert_frame_equal(table, wanted[table.columns.tolist()])

    def test_own_runs_need_both_schemes_of_one_seed(self):
        runs = own_runs(0.1, 0.01, 7, (0.9, 0.8, 0.95, 0.94))
        for own in ([], runs[:1], runs[1:], [runs[0], runs[1] | {"seed": 8}]):
            with pytest.raises(
                ValueError, match="nothing to share yet: press “Train this cell now” first"
            ):
                fidelity.line(own)
        assert (
            fidelity.line(runs)
            == fidelity.line(own_runs(0.2, 0.02, 6, (0, 0, 0, 0)) + runs)
            == fidelity.line(runs + [runs[0] | {"seed": 8}])
        )
        assert fidelity.line(runs) == "0.1, 0.01, 7, 0.9000, 0.8000, 0.9500, 0.9400"

    def test_the_pooled_runs_can_be_drawn_and_told(self):
        lines = [f"0.04, 0.0035, {seed}, 0.{seed}, 0.3, 0.95, 0.94" for seed in range(1, 8)]
        ours = fidelity.pool("\n".join(["alpha, beta, …", *lines, *lines[:3]]))
        assert (
            len(ours) == 14
            and fidelity.sentence(ours, 0.04, 0.0035, "fresh_key_accuracy").count("7 runs") == 2
        )
        assert drawn(fidelity.arms(ours, 0.04, 0.0035))["beta", NEW]["dots"][1].tolist() == [
            n / 10 for n in range(1, 8)
        ]

    def test_nothing_is_an_empty_table(self):
        for nothing in ("", "\n\n", HEADING, f"α\tβ\n{HEADING.title()}\n"):
            assert len(fidelity.pool(nothing)) == 0 and "scheme" in fidelity.pool(nothing)

    @pytest.mark.parametrize(
        ("broken", "words"),
        [
            ("0.1, 0.01, 7, 1.2, 0.8, 0.95, 0.94", "accuracies are shares from 0 to 1"),
            ("0.1, 0.01, 7, 0.9, 0.8, 95, 94", "accuracies are shares from 0 to 1"),
            ("0.1, 0.01, 7, 0.9, -0.1, 0.95, 0.94", "accuracies are shares from 0 to 1"),
            ("0.1, 0.01, 7, nan, 0.8, 0.95, 0.94", "accuracies are shares from 0 to 1"),
            ("0, 0.01, 7, 0.9, 0.8, 0.95, 0.94", "alpha is 0.0, but must lie above 0"),
            (
                "1.5, 0.01, 7, 0.9, 0.8, 0.95, 0.94",
                "alpha is 1.5, but must lie above 0 and not above 1",
            ),
            ("0.1, -1, 7, 0.9, 0.8, 0.95, 0.94", "beta is -1.0, but must lie above 0"),
            ("0.1, 0.01, 7.5, 0.9, 0.8, 0.95, 0.94", "a seed is a whole number"),
            ("0.1, 0.01, nan, 0.9, 0.8, 0.95, 0.94", "a seed is a whole number"),
            ("0.1, 0.01, inf, 0.9, 0.8, 0.95, 0.94", "a seed is a whole number"),
            ("0.1, 0.01, 7, 0.9, 0.8, 0.95", "6 parts, not 7"),
            ("0.1, 0.01, 7, 0.9, 0.8, 0.95, 0.94, 0.5", "8 parts, not 7"),
            ("0,1, 0,01, 7, 0,9, 0,8, 0,95, 0,94", "13 parts, not 7"),
            ("0.1 0.01 7 0.9 0.8 0.95 0.94", "1 parts, not 7"),
            ("0.1, 0.01, seven, 0.9, 0.8, 0.95, 0.94", "could not convert string to float"),
            ("0.1, , 7, 0.9, 0.8, 0.95, 0.94", "could not convert string to float"),
            ("my cell", "1 parts, not 7"),
            (
                "0.1, 0.01, 3, 0.9, 0.8, 0.95, 0.93",
                "its cell and seed stand above with other accuracies",
            ),
        ],
    )
    def test_a_broken_line_is_named(self, broken, words):
        good = [f"0.1, 0.01, {seed}, 0.9, 0.8, 0.95, 0.94" for seed in range(4)]
        pasted = "\n".join(["", HEADING, good[0], "", "", good[0], *good, "", broken, good[1]])
        with pytest.raises(
            ValueError, match=re.escape(f"line 11, {broken!r}, is no cell (")
        ) as raised:
            fidelity.pool(pasted)
        assert (
            words in str(raised.value)
            and str(raised.value).endswith(": it has " + HEADING)
            and "\n" not in str(raised.value)
        )

    def test_a_decimal_comma_is_read_where_something_else_stands_between(self):
        for separator in ("; ", ";", "\t"):
            table = fidelity.pool(
                separator.join(["0,1", "0,01", "1234", "0,9", "0,8", "1", "0,94"])
            )
            assert table.to_numpy().tolist() == [
                [NEW, 0.1, 0.01, 1234, 0.9, 1],
                [WRONG, 0.1, 0.01, 1234, 0.8, 0.94],
            ]


def shaped(mean, deviation, pairs, seed=0):
    """Differences with exactly this mean and deviation."""
    values = np.random.default_rng(seed).normal(size=pairs)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


def seen(mean, deviation, pairs, trials=20_000):
    """How many of the simulated paired t tests at 5 % see a difference."""
    drawn = np.random.default_rng(pairs).normal(mean, deviation, (trials, pairs))
    return np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)


class TestPairsNeeded:
    @pytest.mark.parametrize("ratio", [0.22, 0.35, 0.5, 0.8, 1, 1.5, 2, 3, 5, 10, 20, 50])
    def test_so_many_pairs_see_it_and_one_less_does_not(self, ratio):
        trials = 20_000
        for sign in (1, -1):
            needed = fidelity.pairs_needed(
                differing({(0.1, 0.01): shaped(sign * 0.02, 0.02 / ratio, 7)})
            ).loc[0.1, 0.01]
            assert needed == int(needed)
            error = np.sqrt(0.8 * 0.2 / trials)
            assert seen(0.02, 0.02 / ratio, int(needed), trials) > 0.8 - 4.5 * error
            assert (
                needed == 2 or seen(0.02, 0.02 / ratio, int(needed) - 1, trials) < 0.8 + 4.5 * error
            )

    @pytest.mark.parametrize("power", [0.5, 0.95])
    def test_another_power_and_another_column(self, power):
        table = differing({(0.1, 0.01): shaped(0.02, 0.03, 8)}).rename(
            columns={"fresh_key_accuracy": "clean_accuracy"}
        )
        needed, error = (
            int(fidelity.pairs_needed(table, "clean_accuracy", power).loc[0.1, 0.01]),
            np.sqrt(power * (1 - power) / 20_000),
        )
        assert (
            seen(0.02, 0.03, needed) > power - 4.5 * error
            and seen(0.02, 0.03, needed - 1) < power + 4.5 * error
        )

    def test_nobody_can_tell_beyond_the_most_from_one_pair_or_where_nothing_differs(self):
        needed = fidelity.pairs_needed(
            differing(
                {
                    (0.1, 0.01): shaped(0.02, 0.02 / 0.21, 9),
                    (0.1, 0.02): shaped(0.02, 0.02 / 0.19, 9),
                    (0.2, 0.01): [0.3],
                    (0.2, 0.02): [0.0] * 6,
                    (0.3, 0.01): [0.1] * 6,
                    (0.4, 0.01): [-0.2, -0.2],
                }
            )
        )
        assert (needed.index.tolist(), needed.columns.tolist()) == (
            [0.1, 0.2, 0.3, 0.4],
            [0.01, 0.02],
        )
        known = [[True, False], [False, False], [True, False], [True, False]]
        assert needed.loc[0.1, 0.01] == 180 and needed.notna().to_numpy().tolist() == known
        assert needed.loc[0.3, 0.01] == needed.loc[0.4, 0.01] == 2, (
            "differences that are all the same"
        )

    @pytest.mark.parametrize("name", SHIPPED)
    def test_of_the_runs_on_record(self, name):
        table = records.load(name)
        needed = fidelity.pairs_needed(table)
        for alpha, beta in itertools.product(needed.index, needed.columns):
            at = table[(table.alpha == alpha) & (table.beta == beta)]
            at = at.pivot(index="seed", columns="scheme", values="fresh_key_accuracy")
            both = (at[NEW] - at[WRONG]).dropna() if {NEW, WRONG} <= set(at) else []
            if len(both) < 2 or both.std() == 0:
                continue
            value = needed.loc[alpha, beta]
            most = fidelity.MOST if np.isnan(value) else int(value) - 1
            assert most < 2 or seen(both.mean(), both.std(), most, 5000) < 0.8 + 4.5 * np.sqrt(
                0.16 / 5000
            )


def test_a_cell_map_has_its_numbers_where_they_belong():
    values = pd.DataFrame(
        [[3.4, np.nan, 17], [0.2, 200, np.nan]], index=[0.02, 0.1], columns=[0.001, 0.0035, 0.01]
    )
    figure = fidelity.cell_map(values, "how many", "pairs")
    (heat,) = figure.data
    assert (list(heat.y), list(heat.x)) == (["0.02", "0.1"], ["0.001", "0.0035", "0.01"])
    assert [list(row) for row in heat.z] == [[3.4, None, 17], [0.2, 200, None]], (
        "grey cells have no number, and JSON no NaN"
    )
    assert [list(row) for row in heat.text] == [
        ["3", "", "17"],
        ["0", "200", ""],
    ] and heat.texttemplate == "%{text}"
    assert (
        figure.layout.plot_bgcolor == "#BDBDBD"
        and not figure.layout.xaxis.showgrid
        and not figure.layout.yaxis.showgrid
    )
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("β", "α")
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "category", (
        "else cells are as wide as steps"
    )
    assert (figure.layout.title.text, heat.colorbar.title.text) == ("how many", "pairs")


SEEDS = (0, 2, 9)  # of marked networks; unmarked ones have 0 to 3


@pytest.fixture
def labelled():
    """Labels that networks give to 50 images, {(scheme, seed): (50,)}, and their records."""
    rng, true = np.random.default_rng(3), np.arange(50) % 10
    answers = {}
    for scheme, seed in [("unmarked", s) for s in range(4)] + [
        (s, n) for s in (NEW, WRONG) for n in SEEDS
    ]:
        labels = np.where(rng.random(50) < 0.3, rng.integers(0, 10 + (scheme == NEW), 50), true)
        answers[scheme, seed] = true if (scheme, seed) == ("unmarked", 1) else labels
    rows = [
        {
            "scheme": scheme,
            "seed": seed,
            "alpha": 0.01,
            "beta": 0.01,
            "n_test": 50,
            "errors": " ".join(
                f"{image}:{label}" for image, label in enumerate(labels) if label != true[image]
            ),
        }
        for (scheme, seed), labels in answers.items()
    ]
    return answers, pd.DataFrame(rows)


def test_churn_is_the_share_of_images_with_another_label_than_unmarked_networks_of_other_seeds(
    labelled,
):
    answers, table = labelled
    wanted = {
        title: [
            np.mean(
                [
                    np.mean(answers[scheme, seed] != answers["unmarked", other])
                    for other in range(4)
                    if other != seed
                ]
            )
            for seed in seeds
        ]
        for title, scheme, seeds in (
            ("unmarked (floor)", "unmarked", range(4)),
            (NEW, NEW, SEEDS),
            (WRONG, WRONG, SEEDS),
        )
    }
    for rows in (table, table.sample(frac=1, random_state=1).sort_values("scheme", kind="stable")):
        shares = fidelity.churn(rows)
        assert list(shares) == list(wanted)
        for title, values in shares.items():
            assert sorted(values) == pytest.approx(sorted(wanted[title])) and min(values) > 0
    assert fidelity.churn(table) == {
        title: pytest.approx(values) for title, values in wanted.items()
    }


def test_churn_where_there_is_nobody_to_compare_with(labelled):
    table = labelled[1]
    one = fidelity.churn(table[(table.scheme != "unmarked") | (table.seed == 0)])
    assert [len(values) for values in one.values()] == [0, 2, 2], (
        "never with the network of the same seed"
    )
    assert [
        len(values) for values in fidelity.churn(table[table.scheme != "unmarked"]).values()
    ] == [0, 0, 0]


@pytest.mark.parametrize("name", SHIPPED)
def test_churn_of_what_is_on_record(name):
    table = records.load(name)
    shares, plain = fidelity.churn(table), table[table.scheme == "unmarked"]
    wrong = [dict(pair.split(":") for pair in errors.split()) for errors in plain.errors]
    differ = [
        np.mean(
            [
                sum(mine.get(image) != other.get(image) for image in mine.keys() | other.keys())
                / table.n_test.iloc[0]
                for other in wrong
                if other is not mine
            ]
        )
        for mine in wrong
        if len(wrong) > 1
    ]
    assert shares["unmarked (floor)"] == pytest.approx(differ)
    assert all(0 < value < 1 for values in shares.values() for value in values)


def test_an_inventory_tells_what_there_is():
    one = invented(lambda scheme, alpha, beta: 5 if alpha == 0.01 else 6, unmarked=4)
    other = invented(2, alphas=(0.1,), betas=(0.5, 0.7), unmarked=0).assign(
        network="dense", epochs=10, batch=128, device="a GPU"
    )
    table = fidelity.inventory(
        {
            "one": one,
            "other": pd.concat([other, other.assign(device="a laptop", seed=other.seed + 2)]),
        }
    )
    assert table.index.tolist() == ["one", "other"]
    assert table.loc["one"].tolist() == [
        9 * 12 - 6 + 4,
        "4, 5, 6",
        9,
        "mnist_cnn",
        "4",
        "64",
        "a laptop",
    ]
    assert table.loc["other"].tolist() == [16, "4", 2, "dense", "10", "128", "a GPU, a laptop"]
    assert table.columns.tolist() == [
        "runs",
        "seeds a cell",
        "cells a scheme",
        "network",
        "epochs",
        "batch",
        "device",
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_inventory_of_what_is_on_record(name):
    table = records.load(name)
    row = fidelity.inventory({name: table}).loc[name]
    new = table[table.scheme == NEW]
    assert row["runs"] == len(table) and row["cells a scheme"] == len(
        set(zip(new.alpha, new.beta, strict=True))
    )
    assert row["device"] == ", ".join(sorted(set(table.device))) and row["epochs"] == ", ".join(
        map(str, sorted(set(table.epochs)))
    )


def test_verdicts_are_those_of_the_tests():
    cells = {
        (0.01, 0.001): shaped(0.1, 0.01, 5),
        (0.01, 0.01): shaped(0.01, 0.1, 6),
        (0.02, 0.001): shaped(0.1, 0.02, 6),
        (0.02, 0.01): shaped(-0.1, 0.02, 8),
        (0.03, 0.01): [0.0] * 6,
        (0.04, 0.01): [0.1] * 5 + [-0.001],
        (0.05, 0.01): [0.1],
    }
    table = fidelity.verdicts(differing(cells))
    better = [
        "too few pairs",
        "cannot tell",
        NEW,
        WRONG,
        "cannot tell",
        "cannot tell",
        "too few pairs",
    ]
    assert table["better"].tolist() == better and table["pairs"].tolist() == [
        len(values) for values in cells.values()
    ]
    for (_, row), ((alpha, beta), differences) in zip(table.iterrows(), cells.items(), strict=True):
        assert (row["α"], row["β"]) == (f"{alpha:g}", f"{beta:g}")
        assert float(row["new − wrong, points"]) == pytest.approx(
            100 * np.mean(differences), abs=0.051
        )
        if len(differences) < 6:
            assert row["p"] == row["95 % interval"] == ""
            continue
        assert float(row["p"]) == pytest.approx(flips(differences), rel=0.051)  # two digits
        assert (row["better"] == "cannot tell") == (flips(differences) > 0.05)
        half = stats.t.isf(0.025, len(differences) - 1) * stats.sem(differences)
        ends = [float(end) / 100 for end in row["95 % interval"].strip("[]").split(", ")]
        assert ends == pytest.approx(
            [np.mean(differences) - half, np.mean(differences) + half], abs=0.00051
        )


def test_verdicts_of_another_column_and_of_nothing():
    table = differing({(0.02, 0.01): shaped(-0.1, 0.02, 8)}).rename(
        columns={"fresh_key_accuracy": "noisy_accuracy"}
    )
    assert fidelity.verdicts(table, "noisy_accuracy")["better"].tolist() == [WRONG]
    assert len(fidelity.verdicts(table[table.scheme == NEW], "noisy_accuracy")) == 0


def test_a_spread_has_a_dot_for_every_value_and_a_line_at_the_mean():
    shares = {"unmarked (floor)": [0.01, 0.02, 0.06], NEW: [0.05], WRONG: [], "else": [0.4, 0.6]}
    figure = fidelity.spread(shares, "differ")
    dots = {trace.name: trace for trace in figure.data if trace.mode == "markers"}
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    means = {"unmarked (floor)": "3.00%", NEW: "5.00%", WRONG: None, "else": "50.00%"}
    assert list(figure.layout.xaxis.ticktext) == [
        f"{name}<br>mean {mean}" if mean else name for name, mean in means.items()
    ]
    assert figure.layout.yaxis.title.text == "differ" and list(dots) == list(shares)
    for place, (name, values) in enumerate(shares.items()):
        assert figure.layout.xaxis.tickvals[place] == place and list(dots[name].y) == values
        assert all(abs(x - place) <= 0.25 for x in dots[name].x) and len(set(dots[name].x)) == len(
            values
        )
    full = [(place, values) for place, values in enumerate(shares.values()) if values]
    for line, (place, values) in zip(lines, full, strict=True):
        assert list(line.y) == pytest.approx([np.mean(values)] * 2) and list(
            line.x
        ) == pytest.approx([place - 0.3, place + 0.3])
    for look in ("color", "symbol"):
        assert len({trace.marker[look] for trace in dots.values()}) == len(shares), (
            f"{look} tells groups apart"
        )
    assert (
        dots["unmarked (floor)"].marker.color == figures.COLOURS["unmarked"]
        and dots[NEW].marker.color == figures.COLOURS[NEW]
    )
    low, high = figure.layout.xaxis.range
    assert low < -0.3 and high > 3.3 and figure.layout.yaxis.rangemode == "tozero"
