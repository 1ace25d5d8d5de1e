"""The lessons as texts: how they are built, where their links lead, and the cell that only a GPU
runs.
"""

import copy
import dataclasses
import pathlib
import re
import types

import nbformat
import pytest
from nbclient import NotebookClient

from wmlab import datasets, records, runtime, training
from wmlab.lessons import embedding
from wmlab.tools import sweeps

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
every_lesson = pytest.mark.parametrize("lesson", NOTEBOOKS)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def sources(lesson, kind):
    return [cell.source for cell in NOTEBOOKS[lesson].cells if cell.cell_type == kind]


@every_lesson
def test_one_title_and_headings_in_order(lesson):
    text = "\n".join(sources(lesson, "markdown"))
    levels = [len(mark) for mark in re.findall(r"^(#+) ", text, flags=re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), (
        "a level was skipped"
    )


@every_lesson
def test_says_what_it_is_for_and_what_it_takes(lesson):
    opening = sources(lesson, "markdown")[0]
    assert all(
        word in opening
        for word in (
            "**Purpose.**",
            "**You will be able to**",
            "**Time**",
            "**Device**",
            "**Before**",
        )
    )
    assert "## Summary" in "\n".join(sources(lesson, "markdown"))


@every_lesson
def test_cells_are_short(lesson):
    for source in sources(lesson, "code"):
        assert len(source.splitlines()) <= 20 and max(map(len, source.splitlines())) <= 120, source


@pytest.mark.parametrize(
    "path", ["README.md", *(f"notebooks/{lesson}.ipynb" for lesson in NOTEBOOKS)]
)
def test_links_lead_somewhere(path):
    lesson = pathlib.Path(path).stem
    text = (
        "\n".join(sources(lesson, "markdown"))
        if lesson in NOTEBOOKS
        else (ROOT / path).read_text(encoding="utf-8")
    )
    here = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in here if not (ROOT / path).parent.joinpath(link).exists()] == []


@every_lesson
def test_every_exercise_is_checked_and_starts_unanswered(lesson):
    asked = re.findall(r"\*\*Exercise (\d+)\.\*\*", "\n".join(sources(lesson, "markdown")))
    code = "\n".join(sources(lesson, "code"))
    checked = re.findall(r'checks\.check\("(\d\d)\.(\d+)", (\w+)', code)
    assert [number for _, number, _ in checked] == asked == [str(n + 1) for n in range(len(asked))]
    for chapter, _, name in checked:
        assert lesson.startswith(chapter) and f"{name} = ...\n" in code


def test_the_readme_shows_the_new_label_as_it_is():
    example = re.search(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S
    )[1]
    shown = [re.sub(r"\s+#.*", "", line) for line in example.splitlines() if line.strip()]
    code = (ROOT / "wmlab/schemes/new_label.py").read_text(encoding="utf-8").splitlines()
    assert len(shown) > 8 and [line for line in shown if line not in code] == []


RIGHT = {
    "01_boundary_twist": {
        "NEITHER": "dict(strength=0.1, count=10)",
        "BOTH": "dict(distance=2, angle=90, strength=1, count=120, overlap=1.5)",
        "WRONG_IS_BETTER": "dict(angle=90)",
    },
    "02_key_samples": {
        "STEPS": "25.5",
        "SCORE": "lambda images: (images > 0).sum(axis=(1, 2, 3))",
        "ESTIMATE": "seen_keys.min(axis=0)",
    },
    "04_fidelity": {
        "CHEAPEST": "min(cell for cell, p in full[full.scheme == 'new label'].groupby(['alpha', 'beta']).fresh_key_accuracy"
        " if (p >= 0.9).mean() >= 0.9)",
        "PAIRS": "next(n for n in range(2, 99) if stats.power(5, 10, n) >= 0.8)",
        "FALSE_ALARMS": "100 * 0.05",
    },
    "05_expected_queries": {
        "MEAN": "mean_queries(0.3, 5)",
        "SMALLEST": "next(n for n in count(1) if accuracy(0.7, n, Fraction('0.4')) >= 0.95)",
        "NULL": "(1 - 0.05 ** (1 / 50), count_test(0.8, 1 - 0.05 ** (1 / 50), 0.99, 0.01)[0])",
    },
    "06_the_judge": {
        "NETWORKS": "next(n for n in range(1, 999) if 1 / (n + 1) <= 0.01)",
        "CORRECTED": "10 * 0.008",
        # her pattern first, then a stranger's, then what is no digit: three answers are a majority
        "WHO": '{name: ("someone else\'s mark" if np.median(court.ask(name, strangers[:3])) == 10 else "Alice\'s mark")'
        " if np.median(court.ask(name, alices[:3])) == 10"
        " else 'rejects noise' if np.median(court.ask(name, junk[:3])) == 10 else 'unmarked' for name in court.names}",
    },
    "07_pruning": {
        "PRUNED": "np.where(np.argsort(np.argsort(np.abs(layer), kind='stable')) < 3, 0, layer)",
        "RATE": "small[(small.attack == 'pruning, global') & (small.scheme == 'new label')].groupby('strength').lost.mean()"
        ".loc[lambda lost: lost <= 2].index.max()",
        "REMOVES": "gone['new label'][['attack', 'strength']].to_numpy().tolist()",
    },
    "08_fine_tuning": {
        "CHEAPEST": "means[(means.scheme == 'new label') & (means.acquitted > 0.5)].sort_values('lost')"
        "[['attack', 'strength']].iloc[0].tolist()",
        "OMEGA": "omega([0.91, 0.73, 0.6, 0.44, 0.28], 0.98)",
        "RESTORED": "before['new label']['fresh keys hit']",
    },
    "09_evasion": {
        "THRESHOLD": "np.sort(aside_scores)[-3]",
        "PRECISION": "1 / (1 + 0.01 * 9999)",
        "QUERIES": "1 / (0.2 * 0.9)",
    },
    "10_extra_class": {
        "DROP": "lambda kernel, bias, label: (np.delete(kernel, label, axis=1), np.delete(bias, label))",
        "FOUND": "int(np.flatnonzero(np.bincount(sealed.ask(bob.x_train), minlength=11) == 0)[0])",
        "SURVIVES": "dict(cut=['fallback', 'audit'], copy=[], stranger=['split', 'decoys', 'fallback'])",
    },
}
WRONG = {
    "01_boundary_twist": {
        "NEITHER": "dict()",
        "BOTH": "dict(speed=3)",
        "WRONG_IS_BETTER": "'behind class 0'",
    },
    "02_key_samples": {"STEPS": "'many'", "SCORE": "lambda images: 1 / 0", "ESTIMATE": "seen_keys"},
    "04_fidelity": {"CHEAPEST": "'the first'", "PAIRS": "1", "FALSE_ALARMS": "lambda: 5"},
    "05_expected_queries": {
        "MEAN": "queries.paper_sum(0.3, 5)",
        "SMALLEST": "'forty'",
        "NULL": "0",
    },
    "06_the_judge": {
        "NETWORKS": "100",
        "CORRECTED": "'0.008'",
        "WHO": "dict.fromkeys('ABCD', 'unmarked')",
    },
    "07_pruning": {
        "PRUNED": "np.sort(layer)",
        "RATE": "60",
        "REMOVES": "[('pruning, global', 0.95)]",
    },
    "08_fine_tuning": {"CHEAPEST": "('FTAL', 0.0001)", "OMEGA": "'a half'", "RESTORED": "0"},
    "09_evasion": {"THRESHOLD": "nonzero", "PRECISION": "0.99", "QUERIES": "1 / 0.9"},
    "10_extra_class": {
        "DROP": "lambda kernel, bias, label: (kernel, bias)",
        "FOUND": "11",
        "SURVIVES": "['fallback']",
    },
}


def answered(lesson, answers):
    """Run a lesson with answers in place of the dots, in a kernel; returns what each check said, in
    order.

    Of 01 only what comes before the two hundred worlds, which no answer touches, and the end.
    """
    whole = copy.deepcopy(NOTEBOOKS[lesson])
    code = [cell for cell in whole.cells if cell.cell_type == "code"]
    stop = next(
        (n for n, cell in enumerate(code) if "boundary_twist.averaged(" in cell.source),
        len(code) - 1,
    )
    whole.cells = code[:stop] + code[-1:]
    for name, answer in answers.items():
        (cell,) = [cell for cell in whole.cells if f"{name} = ...\n" in cell.source]
        cell.source = cell.source.replace(f"{name} = ...\n", f"{name} = {answer}\n")
    assert not any("= ...\n" in cell.source for cell in whole.cells), (
        "an exercise has no answer here"
    )
    NotebookClient(
        whole,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(ROOT / "notebooks")}},
    ).execute()
    asked = [cell for cell in whole.cells if "check(" in cell.source]
    shown = [
        output.data["text/html"]
        for cell in asked
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    return [re.sub("<[^>]*>", "", said) for said in shown]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", list(RIGHT))
def test_right_answers_are_right_where_they_are_asked(lesson):
    said = answered(lesson, RIGHT[lesson])
    assert len(said) == len(RIGHT[lesson]) and all(
        sentence.startswith("Right. ") for sentence in said
    ), said


@pytest.mark.slow
@pytest.mark.parametrize("lesson", list(WRONG))
def test_a_lesson_runs_to_its_end_with_wrong_answers(lesson):
    said = answered(lesson, WRONG[lesson])
    assert len(said) == len(WRONG[lesson]) and all(
        sentence.startswith("Not yet. ") for sentence in said
    ), said


@pytest.mark.slow
@pytest.mark.trains
def test_the_cell_for_a_gpu_trains_and_records_every_data_set(data, colours, tmp_path, monkeypatch):
    (cell,) = [
        cell
        for cell in NOTEBOOKS["03_embedding"].cells
        if "paper-scale" in cell.metadata.get("tags", [])
    ]
    hundred = dataclasses.replace(colours, name="cifar100", classes=100)
    small = {"mnist": data, "cifar10": colours, "cifar100": hundred}
    monkeypatch.setattr(sweeps, "load", lambda name, scale: small[name])
    quick = {"mnist": training.Recipe("dense", 1, 64), "cifar": training.Recipe("cifar_cnn", 1, 64)}
    monkeypatch.setitem(training.RECIPES, "paper", quick)
    monkeypatch.setattr(runtime, "_scale", "paper")
    monkeypatch.chdir(tmp_path)
    shown = []
    scope = {
        "lab": types.SimpleNamespace(scale="paper"),
        "show": lambda *parts: shown.extend(parts),
        "embedding": embedding,
        "training": training,
        "sweeps": sweeps,
        "datasets": datasets,
        "records": records,
    }
    # so few images want a larger share of keys
    source = cell.source.replace("(0.01, 0.0035)", "(0.3, 0.05)").replace(
        "(0.01, 0.01)", "(0.3, 0.05)"
    )
    exec(source, scope)
    drawn = [part.widget for part in shown if isinstance(part, embedding.LiveCurves)]
    assert [[len(line.y) for line in widget.data] for widget in drawn] == [[1, 0, 1, 1, 1, 1]] * 3
    assert len(shown[-1]) == 9 and len(list(tmp_path.glob("my_results/*.json"))) == 9
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("my_results/*.json")}
    exec(source, scope)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("my_results/*.json")} == before
