"""Figures: they draw the numbers they are given, in the course's look."""
import numpy as np
import pandas as pd
import pytest

from wmlab import figures


def test_confidences_are_shares_of_images():
    values = np.array([0.01, 0.01, 0.02, 0.99])
    figure = figures.confidences({"clean": {"unmarked": values}}, "probability")
    heights = np.asarray(figure.data[0].y)
    assert heights.sum() == pytest.approx(1)
    assert heights[0] == 0.75 and heights[-1] == 0.25


def test_bars_show_value_and_interval():
    figure = figures.bars({"clean": {"a": 0.5}}, "title", "share", intervals={"clean": {"a": (0.4, 0.7)}})
    (bar,) = figure.data
    assert list(bar.y) == [0.5]
    assert bar.error_y.array[0] == pytest.approx(0.2) and bar.error_y.arrayminus[0] == pytest.approx(0.1)
    assert bar.text[0] == "50%"


def test_pictures_keep_the_pixels():
    images = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    figure = figures.pictures({"row": images})
    assert np.array_equal(np.asarray(figure.data[0].z)[..., 0], np.round(images[0, ..., 0] * 255))


def test_recorded_curves_draw_mean_and_range_of_seeds():
    table = pd.DataFrame({"scheme": "new label", "seed": [0, 1, 0, 1], "epoch": [1, 1, 2, 2],
                          "fresh_key_accuracy": [0.0, 0.5, 0.8, 1.0]})
    band, line = figures.recorded_curves(table, "fresh_key_accuracy", "title").data
    assert list(line.y) == [0.25, 0.9] and "mean of 2" in line.name
    assert list(band.y) == [0.5, 1.0, 0.8, 0.0]


def test_no_two_networks_share_colour_dash_or_marker():
    for look in (figures.COLOURS, figures.DASHES, figures.MARKERS):
        assert len(set(look.values())) == len(look)


def test_the_upload_button_is_gone():
    assert "sendChartToCloud" in figures.blank().layout.template.layout.modebar.remove


def test_roles_names_all_four():
    texts = " ".join(note.text or "" for note in figures.roles().layout.annotations)
    assert all(role in texts for role in ("provider", "Alice", "Bob", "judge"))
