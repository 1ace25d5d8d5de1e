"""Tables of attacks: every loss against plain loops over invented rows."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wmlab import attack_tables, runtime
from wmlab.attack_tables import DECOYS, UNTOUCHED


def invented(experiment="toy"):
    """Attacks on three networks with one seed, in a mixed order."""
    rng, rows = np.random.default_rng(0), []
    for (scheme, decoys), attack in itertools.product(
        [("new label", 0), ("new label", 600), ("wrong label", 0)], ["JPEG", UNTOUCHED, "FTAL"]
    ):
        about = dict(run=f"{experiment}, {scheme}, {decoys}", scheme=scheme, decoys=decoys, seed=0)
        about |= dict(decision="marked", key_label_rate_clean=0.0)
        rows.append(about | dict(attack=attack, clean_accuracy=rng.uniform(0.5, 1)))
    return pd.DataFrame(rows)


def test_a_loss_is_in_points_and_compares_a_network_with_itself():
    raw = invented().sample(frac=1, random_state=0)
    kept = raw.copy()
    table = attack_tables.prepared(raw)
    for row, old in zip(table.itertuples(), raw.itertuples(), strict=True):
        before = {each.run: each for each in raw.itertuples() if each.attack == UNTOUCHED}[row.run]
        assert row.lost == pytest.approx(100 * (before.clean_accuracy - old.clean_accuracy))
        assert row.scheme == ("new label, decoys" if old.decoys else old.scheme)
    assert (table.lost[table.attack == UNTOUCHED] == 0).all() and table.lost.abs().max() > 1
    assert raw.equals(kept), "what it was given stays as it was"


def test_a_network_without_its_row_before_is_refused():
    raw = invented()
    for table in (raw[raw.index != 1], pd.concat([raw, raw])):
        with pytest.raises(ValueError, match="each run needs one row “no attack”"):
            attack_tables.prepared(table)


def test_what_is_on_record_is_joined_and_what_is_not_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "data_dir", lambda: tmp_path)
    (tmp_path / "results").mkdir()
    wanted = {"both": ["one", "two"], "one": ["one", "missing"], "none": ["missing"]}
    assert attack_tables.recorded(wanted) == {}
    for name in ("one", "two"):
        invented(name).to_csv(tmp_path / "results" / f"{name}_attacks.csv", index=False)
    found = attack_tables.recorded(wanted)
    assert list(found) == ["both", "one"] and found["one"].equals(attack_tables.load("one"))
    assert found["both"].run.nunique() == 6 and found["one"].scheme.unique()[1] == DECOYS
    with pytest.raises(ValueError, match="missing_attacks"):
        attack_tables.load("one", "missing")


def test_all_attacks_that_ship_can_be_read():
    names = [path.stem for path in (runtime.data_dir() / "results").glob("*_attacks.csv")]
    assert names
    for name in names:
        table = attack_tables.load(name.removesuffix("_attacks"))
        assert table.lost.between(-100, 100).all()


def attacked(outcomes, **about):
    """Rows of one setting: points lost, keys hit and a decision a network."""
    columns = ["lost", "fresh_key_accuracy", "decision"]
    same = dict(scheme="new label", attack="FTAL", strength=np.nan, epochs=8, images=500)
    return pd.DataFrame(outcomes, columns=columns).assign(seconds=2, proved=False, **same | about)


def test_costs_are_means_of_a_setting_with_intervals_from_six_runs_on():
    rng = np.random.default_rng(0)
    few, many = (
        [(*rng.uniform(size=2), decision) for decision in ["marked"] * 3 + ["not marked"] * other]
        for other in (1, 4)
    )
    table = pd.concat([attacked(few), attacked(many, strength=0.5), attacked(few, epochs=4)])
    found = attack_tables.costs(pd.concat([table, attacked(few, attack=UNTOUCHED)]))
    assert found.strength.tolist()[1] == 0.5 and np.isnan(found.strength.tolist()[0])
    assert found.runs.tolist() == [4, 7, 4] and found.acquitted.tolist() == [1 / 4, 4 / 7, 1 / 4]
    for row, runs in zip(found.itertuples(), (few, many, few), strict=True):
        for place, name in enumerate(("lost", "keys")):
            values = [run[place] for run in runs]
            ends = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
            assert getattr(row, name) == pytest.approx(np.mean(values))
            if len(runs) < 6:
                assert np.isnan(ends).all()
            else:
                student = scipy.stats.t.interval(
                    0.95, len(values) - 1, np.mean(values), scipy.stats.sem(values)
                )
                assert ends == pytest.approx(student)


OUTCOME = st.tuples(st.floats(-5, 40), st.just(0.5), st.sampled_from(["marked", "not marked"]))


@given(st.lists(OUTCOME, min_size=1, max_size=6), st.floats(0, 30))
def test_removed_is_within_the_loss_and_acquitted_in_more_than_half(outcomes, loss):
    means = attack_tables.costs(attacked(outcomes))
    mean = np.mean([lost for lost, *_ in outcomes])
    acquitted = [decision for *_, decision in outcomes].count("not marked")
    if abs(mean - loss) > 1e-9:
        wanted = mean <= loss and 2 * acquitted > len(outcomes)
        assert len(attack_tables.removed(means, "new label", loss)) == wanted
        assert len(attack_tables.removed(means, "wrong label", loss)) == 0
