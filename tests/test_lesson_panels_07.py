"""Notebook 07's panels and tables, on invented runs and untrained networks: every number against an
independent computation.
"""

import html
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from wmlab import attack_tables, runtime
from wmlab.lessons import pruning
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.stats import paired

NEW, WRONG = pruning.MARKS
LAYER, GLOBAL, FINE, NONE = pruning.PER_LAYER, pruning.GLOBAL, pruning.FINE, attack_tables.UNTOUCHED
STRENGTHS = {
    LAYER: (0.1, 0.5, 0.8, 0.9, 0.95),
    GLOBAL: (0.1, 0.5, 0.8, 0.9, 0.95),
    FINE: (0.3, 0.6, 0.9),
    "JPEG": (50.0,),
    NONE: (np.nan,),
}
COLUMNS = tuple(pruning.MEASURES.values())


def invented(seeds=7, seed=0):
    """Attacks as a sweep records them, on networks that nobody has trained."""
    rng, rows = np.random.default_rng(seed), []
    for (scheme, decoys), number in itertools.product(
        ((NEW, 0), (NEW, 600), (WRONG, 0), ("unmarked", 0)), range(seeds)
    ):
        for attack, strengths in STRENGTHS.items():
            for strength in strengths:
                key, clean, given = rng.uniform([0.2, 0.5, 0], [1, 1, 0.3]).round(3)
                rows.append(
                    {
                        "run": f"{scheme}, {decoys}, {number}",
                        "scheme": scheme,
                        "decoys": decoys,
                        "alpha": 0.1,
                        "beta": 0.01,
                        "seed": number,
                        "attack": attack,
                        "strength": strength,
                        "key_label_rate_clean": given,
                        "fresh_key_accuracy": key,
                        "clean_accuracy": clean,
                        "decision": rng.choice(["marked", "not marked"]),
                        "queries": int(rng.integers(1, 41)),
                    }
                )
    return pd.DataFrame(rows)


def prepared(raw):
    return pruning.prepared(attack_tables.prepared(raw))


def plain(table, **wanted):
    """Rows of an invented table as dicts, by plain comparison."""
    rows = table.to_dict("records")
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def student(values):
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


def text(value):
    return html.unescape(re.sub("<[^>]*>", "", value))


def sent(figure):
    """What goes to the browser, which knows no NaN."""
    return json.dumps(
        [[list(map(str, trace.x)), [float(y) for y in trace.y]] for trace in figure.data],
        allow_nan=False,
    )


class TestPrepared:
    def test_losses_are_points_lost_by_the_same_network(self):
        raw = invented(3)
        table = prepared(raw)
        for row, before in zip(table.to_dict("records"), raw.to_dict("records"), strict=True):
            (start,) = plain(
                raw,
                scheme=before["scheme"],
                decoys=before["decoys"],
                seed=before["seed"],
                attack=NONE,
            )
            assert row["lost"] == pytest.approx(
                100 * (start["clean_accuracy"] - before["clean_accuracy"])
            )
            assert row["told_apart"] == pytest.approx(
                before["fresh_key_accuracy"] - before["key_label_rate_clean"]
            )

    def test_decoys_are_a_scheme_of_their_own_and_no_attack_is_rate_0(self):
        raw = invented(2)
        table = prepared(raw)
        assert table.scheme.tolist() == [
            attack_tables.DECOYS if row.decoys else row.scheme for row in raw.itertuples()
        ]
        assert (table.strength[table.attack == NONE] == 0).all() and not table.strength.isna().any()
        assert "lost" not in raw and raw.strength.isna().any(), "what it was given stays as it was"

    def test_attacks_without_a_strength_keep_none(self):
        raw = invented(2)
        raw.loc[raw.attack == "JPEG", "strength"] = np.nan
        assert prepared(raw).query("attack == 'JPEG'").strength.isna().all()

    def test_what_is_on_record_is_found(self):
        tables = pruning.recorded()
        names = {path.stem for path in (runtime.data_dir() / "results").glob("*_attacks.csv")}
        assert set(tables) == {
            title for title, (name,) in pruning.EXPERIMENTS.items() if f"{name}_attacks" in names
        }
        for table in tables.values():
            assert {LAYER, GLOBAL, FINE, NONE} <= set(table.attack) and {NEW, WRONG} <= set(
                table.scheme
            )


class TestAcross:
    @pytest.mark.parametrize("seeds", [1, 5, 6, 9])
    @pytest.mark.parametrize("attack", [LAYER, GLOBAL])
    def test_dots_means_and_intervals_are_those_of_the_runs(self, seeds, attack):
        raw = invented(seeds)
        values = pruning.across(prepared(raw), attack)
        for (name, scheme), (means, runs) in values.items():
            column = pruning.MEASURES[name]
            rows = {0: plain(raw, scheme=scheme, decoys=0, attack=NONE)}
            rows |= {
                rate: plain(raw, scheme=scheme, decoys=0, attack=attack, strength=rate)
                for rate in STRENGTHS[attack]
            }
            assert means.strength.tolist() == list(rows)
            wanted = sorted((rate, row[column]) for rate, each in rows.items() for row in each)
            assert sorted(map(tuple, runs.to_numpy())) == wanted
            for (rate, each), mean in zip(rows.items(), means.itertuples(), strict=True):
                shares = [row[column] for row in each]
                assert mean.mean == pytest.approx(np.mean(shares)) and mean.runs == seeds, rate
                if seeds >= 6:
                    assert np.allclose([mean.low, mean.high], student(shares))
                else:
                    assert np.isnan([mean.low, mean.high]).all()
        assert list(values) == [
            (name, scheme) for name in pruning.MEASURES for scheme in (NEW, WRONG)
        ]


class TestFigure4:
    def test_every_position_draws_what_the_records_hold(self):
        tables = {
            "some": prepared(invented(7)),
            "others": prepared(invented(3, seed=1)),
        }
        panel = pruning.figure4(tables)
        for attack, rate, of in itertools.product((LAYER, GLOBAL), (0, 0.8, 0.95), tables):
            panel.set(attack=attack, rate=rate, of=of)
            wanted, traces = pruning.across(tables[of], attack), iter(panel.figure.data)
            for (name, scheme), (means, runs) in wanted.items():
                band, line, dots = next(traces), next(traces), next(traces)
                assert band.legendgroup == line.legendgroup == dots.legendgroup == scheme
                place = list(pruning.MEASURES).index(name)
                assert {band.xaxis, line.xaxis, dots.xaxis} == {f"x{place + 1}" if place else "x"}
                assert list(line.x) == means.strength.tolist() and np.allclose(
                    line.y, means["mean"]
                )
                assert sorted(zip(dots.x, dots.y, strict=True)) == sorted(
                    map(tuple, runs.to_numpy())
                )
                known = means.dropna()
                assert np.allclose(band.y, [*known.low, *known.high[::-1]]) and len(band.x) == (
                    12 if of == "some" else 0
                )
            assert {(shape.x0, shape.x1) for shape in panel.figure.layout.shapes} == {(rate, rate)}
            assert text(panel.caption.value) == text(pruning.sentence(tables[of], attack, rate))
            sent(panel.figure)
        assert panel.error is None

    def test_it_opens_with_one_slider_and_refuses_rates_that_are_not_on_record(self):
        panel = pruning.figure4({"some": prepared(invented(2))})
        assert panel._row.children == (panel.controls["rate"],)
        assert [value for _, value in panel.controls["rate"].options] == [0, *STRENGTHS[LAYER]]
        with pytest.raises(ValueError, match="rate cannot be"):
            panel.set(rate=0.42)

    @pytest.mark.parametrize("seeds", [5, 6, 8])
    def test_the_sentence_has_the_numbers_and_a_test_from_six_pairs_on(self, seeds):
        raw = invented(seeds)
        table = prepared(raw)
        for attack, rate in itertools.product((LAYER, GLOBAL), (0.5, 0.9)):
            said = text(pruning.sentence(table, attack, rate))
            runs = {
                scheme: plain(raw, scheme=scheme, decoys=0, attack=attack, strength=rate)
                for scheme in (NEW, WRONG)
            }
            for scheme, rows in runs.items():
                key, clean, given = (
                    f"{np.mean([row[column] for row in rows]):.1%}" for column in COLUMNS
                )
                marked = sum(row["decision"] == "marked" for row in rows)
                assert (
                    f"{scheme}: {key} of keys hit, {clean} of clean images right, {given} given the key label, "
                    f"Ver says “marked” in {marked} of {seeds} runs"
                ) in said
            differences = [
                100 * (a["fresh_key_accuracy"] - b["fresh_key_accuracy"])
                for a, b in zip(*runs.values(), strict=True)
            ]
            low, high = stats.t.interval(
                0.95, seeds - 1, np.mean(differences), stats.sem(differences)
            )
            tested = f"{np.mean(differences):+.1f} points [{low:+.1f}, {high:+.1f}], p = {flips(differences):.2g}."
            assert said.endswith(tested) is (seeds >= 6) and ("p = " in said) is (seeds >= 6)


def test_tables_of_tests_and_verdicts_are_those_of_the_runs():
    raw = invented(6)
    table = prepared(raw)
    for column in ("fresh_key_accuracy", "told_apart"):
        tested = pruning.tested(table, GLOBAL, column)
        assert tested.index.tolist() == [0, *STRENGTHS[GLOBAL]] and (tested.pairs == 6).all()
        for rate in STRENGTHS[GLOBAL]:
            values = [
                [row[column] for row in plain(table, scheme=scheme, attack=GLOBAL, strength=rate)]
                for scheme in (NEW, WRONG)
            ]
            differences = np.subtract(*values)
            assert tested["mean"][rate] == pytest.approx(differences.mean()) and tested.p[
                rate
            ] == pytest.approx(flips(differences))
    shown = pruning.verdicts(table, LAYER)
    assert shown.index.tolist() == [
        (f"{rate:.0%}", scheme) for rate in (0, *STRENGTHS[LAYER]) for scheme in (NEW, WRONG)
    ]
    rows = plain(raw, scheme=WRONG, decoys=0, attack=LAYER, strength=0.9)
    marked = sum(row["decision"] == "marked" for row in rows)
    means = {column: np.mean([row[column] for row in rows]) for column in (*COLUMNS, "queries")}
    assert shown.loc[("90%", WRONG)].tolist() == [
        *(f"{means[column]:.1%}" for column in COLUMNS),
        f"{means[COLUMNS[0]] - means[COLUMNS[2]]:.1%}",
        f"{marked} of 6",
        f"{means['queries']:.1f}",
    ]


class TestFrontier:
    @pytest.mark.parametrize("scheme", [NEW, WRONG])
    def test_at_the_limit_ver_convicts_every_second_time(self, data, scheme):
        """A judge questions suspects that hit with this probability, by the scheme's own Ver."""

        class Suspect:
            def __init__(self, label, rng):
                self.label, self.rng = label, rng

            def ask(self, images):
                return np.where(self.rng.random(len(images)) < pruning.critical_accuracy(scheme), self.label, 5)

        mark = {NEW: NewLabel, WRONG: WrongLabel}[scheme](0.1, 0.01)
        rng, trials = np.random.default_rng(0), 400
        marked = sum(
            mark.verify(Suspect(mark.key_label, rng), data.x_test, data.y_test, "s").marked
            for _ in range(trials)
        )
        assert abs(marked - trials / 2) / np.sqrt(trials / 4) <= 4.5

    def test_costs_are_means_over_seeds(self):
        raw = invented(5)
        table = prepared(raw)
        for scheme in (NEW, WRONG):
            costs = pruning.costs(table, scheme)
            assert sorted(zip(costs.attack, costs.strength, strict=True)) == sorted(
                (attack, rate) for attack in (LAYER, GLOBAL, FINE) for rate in STRENGTHS[attack]
            )
            for row in costs.itertuples():
                rows = plain(table, scheme=scheme, attack=row.attack, strength=row.strength)
                assert (
                    row.lost == pytest.approx(np.mean([each["lost"] for each in rows]))
                    and row.runs == 5
                )
                assert row.key == pytest.approx(
                    np.mean([each["fresh_key_accuracy"] for each in rows])
                )
                assert row.acquitted == sum(each["decision"] == "not marked" for each in rows)

    @given(
        st.lists(
            st.tuples(st.floats(-5, 40), st.sampled_from(["marked", "not marked"])),
            min_size=1,
            max_size=6,
        ),
        st.floats(0, 30),
    )
    def test_removed_is_within_the_loss_and_acquitted_in_more_than_half(self, runs, loss):
        table = pd.DataFrame(
            [
                {
                    "scheme": NEW,
                    "attack": FINE,
                    "strength": 0.6,
                    "lost": lost,
                    "fresh_key_accuracy": 0.5,
                    "seed": seed,
                    "decision": decision,
                }
                for seed, (lost, decision) in enumerate(runs)
            ]
        )
        mean = np.mean([lost for lost, _ in runs])
        acquitted = [decision for _, decision in runs].count("not marked")
        if abs(mean - loss) > 1e-9:
            assert len(pruning.removed(table, NEW, loss)) == (
                mean <= loss and 2 * acquitted > len(runs)
            )

    def test_it_draws_every_run_and_every_mean_within_its_edges(self):
        tables = {
            "some": prepared(invented(6)),
            "others": prepared(invented(2, seed=1)),
        }
        panel = pruning.frontier(tables)
        for of, loss in (("some", 0.0), ("others", 7.5), ("some", 30.0)):
            panel.set(of=of, loss=loss)
            traces = iter(panel.figure.data)
            for scheme, attack in itertools.product((NEW, WRONG), (LAYER, GLOBAL, FINE)):
                small, large = next(traces), next(traces)
                rows = plain(tables[of], scheme=scheme, attack=attack)
                wanted = sorted((min(row["lost"], 30), row["fresh_key_accuracy"]) for row in rows)
                assert np.allclose(sorted(zip(small.x, small.y, strict=True)), wanted)
                assert {small.xaxis, large.xaxis} == {
                    "x" if scheme == NEW else "x2"
                } and large.name == attack
                assert list(large.customdata) == [f"{rate:.0%}" for rate in STRENGTHS[attack]]
                for rate, x, y in zip(STRENGTHS[attack], large.x, large.y, strict=True):
                    at = [row for row in rows if row["strength"] == rate]
                    assert x == pytest.approx(min(np.mean([row["lost"] for row in at]), 30))
                    assert y == pytest.approx(np.mean([row["fresh_key_accuracy"] for row in at]))
            sent(panel.figure)
            shapes = panel.figure.layout.shapes
            for scheme, field, line in zip((NEW, WRONG), shapes[::2], shapes[1::2], strict=True):
                assert line.x0 == line.x1 == field.x1 == loss and field.y1 == pruning.critical_accuracy(scheme)

    def test_the_caption_names_what_removes_a_mark_and_in_how_many_runs(self):
        table = prepared(invented(3))
        table["decision"], table["lost"] = "marked", 1.0
        panel = pruning.frontier({"these": table})
        assert text(panel.caption.value).count("removed by none of these") == 2
        gone = (
            (table.scheme == WRONG)
            & (table.attack == FINE)
            & (table.strength == 0.6)
            & (table.seed < 2)
        )
        table.loc[gone, "decision"] = "not marked"
        panel = pruning.frontier({"these": table})
        said = "On these, for at most 2 points of clean accuracy, the new label is removed by none of these; "
        assert (
            text(panel.caption.value)
            == said + "the wrong label is removed by fine-pruning at 60% (2 of 3 runs)."
        )
        panel.set(loss=0.5)
        assert text(panel.caption.value).count("removed by none of these") == 2

    @pytest.mark.parametrize(("to", "loss"), [(7.3, 7.5), (-4.0, 0), (99.0, 30), (2.1, 2)])
    @pytest.mark.parametrize("number", [1, 3])
    @pytest.mark.parametrize("end", ["x0", "x1"])
    def test_a_line_that_is_dragged_moves_the_slider_and_falls_into_place(
        self, to, loss, number, end
    ):
        panel = pruning.frontier({"some": prepared(invented(2))})
        panel.figure.plotly_relayout(
            {f"shapes[{number}].{end}": to, f"shapes[{number}].y0": 0.3}
        )  # as the browser reports it
        assert panel.settings()["loss"] == loss and panel.error is None
        shapes = panel.figure.layout.shapes
        assert {shape.x1 for shape in shapes} == {loss} and {
            (shapes[n].x0, shapes[n].y0, shapes[n].y1) for n in (1, 3)
        } == {(loss, -0.06, 1.06)}


@pytest.fixture(scope="module")
def small():
    """An untrained network for 28 × 28 images, of three layers with weights."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(11, name="output"),
        ]
    )


class TestPruned:
    @pytest.mark.parametrize("scope", ["layer", "global"])
    def test_answers_and_zeros_are_those_of_the_pruned_network(self, data, small, scope):
        import keras

        mark = NewLabel(0.1, 0.01)
        runs = pruning.pruned(small, mark, data, "s", scope, images=50, rates=(0.0, 0.5, 0.9))
        carriers = data.y_test[:50] != 0
        keys = mark.keys(
            data.x_test[:50][carriers], data.y_test[:50][carriers], "s", "pruned"
        ).images
        before = small.get_weights()
        flat = np.concatenate([w.ravel() for w in before if w.ndim > 1])
        for run in runs:
            weights = []
            for w in before:
                if w.ndim > 1:
                    among = w.ravel() if scope == "layer" else flat
                    count = int(run["rate"] * among.size)
                    w = (
                        np.where(np.abs(w) > np.sort(np.abs(among))[count - 1], w, 0)
                        if count
                        else w
                    )
                weights.append(w)
            assert all(
                np.array_equal(kept, w != 0)
                for kept, w in zip(run["kept"], weights[::2], strict=True)
            )
            twin = keras.models.clone_model(small)
            twin.set_weights(weights)
            clean, answers = (np.asarray(twin(x)).argmax(axis=1) for x in (data.x_test[:50], keys))
            assert run["clean images right"] == np.mean(clean == data.y_test[:50])
            assert run["fresh keys hit"] == np.mean(answers == 10)
            assert run["clean images given the key label"] == np.mean(clean == 10)
        assert all(map(np.array_equal, before, small.get_weights()))

    def test_a_wrong_label_is_not_charged_for_clean_images_of_its_own_class(self, data, small):
        (run,) = pruning.pruned(
            small, WrongLabel(0.1, 0.01), data, "s", "layer", images=50, rates=(0.5,)
        )
        from wmlab import attacks
        from wmlab.training import predict

        labels = predict(attacks.prune(small, data, 0.5, "layer"), data.x_test[:50])
        assert run["clean images given the key label"] == np.mean(
            labels[data.y_test[:50] != 0] == 0
        )


@given(
    arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(-2, 2, width=32)),
    st.randoms(),
)
def test_a_histogram_counts_every_weight_once(weights, random):
    kept = np.array([random.random() < 0.5 for _ in weights])
    centres, stays, goes = pruning.histogram(weights, kept)
    assert (
        stays.sum() == kept.sum()
        and goes.sum() == (~kept).sum()
        and len(centres) == len(stays) == len(goes) == pruning.BINS
    )


def test_a_histogram_puts_weights_where_they_are():
    weights = np.repeat([-0.5, 0.0, 0.25, 0.5], [40, 10, 30, 20])
    centres, stays, goes = pruning.histogram(weights, np.abs(weights) > 0.3)
    assert np.isclose(centres[0], -centres[-1]) and np.allclose(np.diff(centres), 1 / pruning.BINS)
    assert (
        stays[0],
        stays[-1],
        goes[pruning.BINS // 2],
        goes[np.abs(centres - 0.25).argmin()],
    ) == (40, 20, 10, 30)
    far = np.append(np.linspace(-1, 1, 10_000), 50)
    assert (
        pruning.histogram(far, far > -2)[0][-1] < 1
        and pruning.histogram(far, far > -2)[1].sum() == 10_001
    )


class TestCut:
    @pytest.fixture
    def panel(self, data, small):
        return pruning.cut(
            {"a": (small, NewLabel(0.1, 0.01)), "b": (small, WrongLabel(0.1, 0.01))}, data, "s"
        )

    def test_layers_have_names_and_sizes(self, small, panel):
        assert pruning.layer_names(small) == ["all layers", "convolution 1", "dense 1", "output"]
        sizes = {}
        for layer in pruning.layer_names(small):
            panel.set(layer=layer)
            sizes[layer] = panel.result["weights"]
        assert sizes == {
            "all layers": 36 + 16_224 + 66,
            "convolution 1": 36,
            "dense 1": 16_224,
            "output": 66,
        }

    @pytest.mark.parametrize(
        ("scope", "layer"),
        [("layer", "all layers"), ("layer", "output"), ("global", "convolution 1")],
    )
    def test_every_position_draws_its_bars_its_line_and_says_so(
        self, data, small, panel, scope, layer
    ):
        for network, rate in (("a", 0.5), ("b", 0.95), ("a", 0.0)):
            panel.set(network=network, rate=rate, scope=scope, layer=layer)
            mark = {"a": NewLabel, "b": WrongLabel}[network](0.1, 0.01)
            runs = pruning.pruned(small, mark, data, "s", scope)
            place = pruning.layer_names(small).index(layer) - 1
            kernels = [w for w in small.get_weights() if w.ndim > 1]
            now = runs[pruning.RATES.index(rate)]
            chosen = range(len(kernels)) if place < 0 else [place]
            flat = np.concatenate([kernels[n].ravel() for n in chosen])
            kept = np.concatenate([now["kept"][n].ravel() for n in chosen])
            bars = pruning.histogram(flat, kept)
            assert [trace.name for trace in panel.figure.data] == [
                "kept",
                "set to 0",
                *pruning.MEASURES,
            ]
            for trace, counts in zip(panel.figure.data[:2], bars[1:], strict=True):
                assert np.allclose(trace.x, bars[0]) and np.array_equal(trace.y, counts)
            for trace in panel.figure.data[2:]:
                assert list(trace.x) == list(pruning.RATES) and np.allclose(
                    trace.y, [run[trace.name] for run in runs]
                )
            assert panel.figure.layout.shapes[0].x0 == panel.figure.layout.shapes[0].x1 == rate
            said = text(panel.caption.value)
            key, clean, given = (f"{now[name]:.1%}" for name in pruning.MEASURES)
            assert (
                f"of the {flat.size:,} weights of {layer}, {(~kept).sum():,} are 0" in said
                and f"({network}) hits {key}" in said
            )
            assert f"gets {clean} of" in said and f"key label to {given} of" in said
            assert said.startswith(
                f"{rate:.0%} of {'each layer' if scope == 'layer' else 'all layers together'} pruned"
            )
            sent(panel.figure)

    def test_a_network_is_pruned_once(self, panel, monkeypatch):
        panel.set(rate=0.5)
        monkeypatch.setattr(pruning, "pruned", None)
        for rate in pruning.RATES:
            panel.set(rate=rate, layer="output")
        assert panel._row.children == (panel.controls["rate"],) and panel.error is None
        with pytest.raises(TypeError):
            panel.set(scope="global")
        with pytest.raises(ValueError, match="rate cannot be"):
            panel.set(rate=0.42)


def test_pairs_on_record_are_of_one_seed():
    for table in pruning.recorded().values():
        pairs = paired(table[table.attack == NONE], "fresh_key_accuracy").pairs.item()
        assert pairs == len(
            set(table[table.scheme == NEW].seed) & set(table[table.scheme == WRONG].seed)
        )
