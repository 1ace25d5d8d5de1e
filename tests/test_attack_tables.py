"""Tables of attacks: every loss against plain loops over invented rows."""

import itertools

import numpy as np
import pandas as pd
import pytest

from wmlab import attack_tables, runtime
from wmlab.attack_tables import DECOYS, UNTOUCHED


def invented(experiment="toy"):
    """Attacks on three networks with one seed, in a mixed order."""
    rng, rows = np.random.default_rng(0), []
    for (scheme, decoys), attack in itertools.product(
        [("new label", 0), ("new label", 600), ("wrong label", 0)], ["JPEG", UNTOUCHED, "FTAL"]
    ):
        about = dict(run=f"{experiment}, {scheme}, {decoys}", scheme=scheme, decoys=decoys, seed=0)
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
