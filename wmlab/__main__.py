"""`python -m wmlab COMMAND`: the few things done from a shell."""

import argparse
import contextlib
import csv
import importlib
import logging
import os
import pathlib
import sys
import time


def doctor(_options):
    """show what this machine offers: versions, device, data, what will be slow"""
    from wmlab import runtime

    try:
        print(runtime.doctor())
    except (RuntimeError, ValueError) as error:  # a sentence for the student, not a traceback
        sys.exit(str(error))


def stamp(_options):
    """write the repository's address, as git's remote has it, into the notebooks and the README"""
    from wmlab.tools import notebooks

    _report("stamped", _in_a_checkout(notebooks.stamp))


def clean_notebooks(_options):
    """strip outputs and widget state from the notebooks"""
    from wmlab.tools import notebooks

    _report("cleaned", _in_a_checkout(notebooks.clean_notebooks))


def _in_a_checkout(command):
    from wmlab.tools.notebooks import ROOT

    if not (ROOT / "notebooks").is_dir():
        sys.exit(f"There are no notebooks in {ROOT}: run this in a checkout of the repository.")
    try:
        return command()
    except OSError as error:
        sys.exit(str(error))


def without_solutions(options):
    """write copies of the notebooks without their folded solutions, for a class that is graded"""
    from wmlab.tools import notebooks

    _report("wrote", _in_a_checkout(lambda: notebooks.without_solutions(options.dest)))


def grade(options):
    """print a table of what a class handed in: the lines of wmlab.my_answers in a folder's files"""
    from wmlab.tools import notebooks

    try:
        handed = notebooks.grades(options.folder)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    numbers = sorted({number for _, exercises, *_ in handed for number in exercises})
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["name", "number", "right", "predictions right", *numbers])
    for name, exercises, predictions, students in handed:
        known = [each["right"] for each in predictions if each["right"] is not None]
        right = sum(each["right"] for each in exercises.values())
        cells = [_graded(exercises.get(number)) for number in numbers]
        student = " ".join(map(str, sorted(students)))
        table.writerow([name, student, right, f"{sum(known)} of {len(known)}", *cells])


def _graded(exercise):
    if not exercise:
        return ""
    verdict = "right" if exercise["right"] else f"not yet: {exercise['answer']}"
    return f"{verdict} ({exercise['tries']} tries)" if exercise["tries"] > 1 else verdict


def html(options):
    """write the course as pages to read, whose pictures need no kernel"""
    from wmlab.tools import pages

    log = logging.getLogger("wmlab")
    try:
        count = pages.build(options.dest, log=log.info)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{str(error).removesuffix('.')}. {options.dest} is as it was.")
    except KeyboardInterrupt:
        sys.exit(f"Stopped. {options.dest} is as it was.")
    log.info("%d pages are in %s; begin with %s", count, options.dest, options.dest / "index.html")


def sweep(options):
    """train the networks of an experiment, one for every setting and seed, and record every run"""
    from wmlab import datasets, runtime

    dataset = str(options.data.resolve()) if options.data else options.dataset
    given = "network epochs batch until workers scheduler answers attacks".split()
    changes = {name: vars(options)[name] for name in given if vars(options)[name] is not None}
    if options.rate:
        changes["schedule"] = options.rate
    try:
        runtime.setup(scale=options.scale)
        from wmlab.tools import sweeps  # loads keras, whose backend is chosen by now

        if ":" in changes.get("network", ""):
            changes["network"] = _named(changes["network"])
        marks = sweeps.plan(
            options.schemes,
            options.alpha,
            options.beta,
            options.runs,
            classes=datasets.classes(dataset),
            kind=options.kind,
            decoys=options.decoys,
        )
        sweeps.sweep(
            options.experiment,
            dataset,
            marks,
            options.results,
            options.runs_folder,
            scale=options.scale,
            alpha=options.alpha[0],
            beta=options.beta[0],
            **changes,
        )
    except (OSError, RuntimeError, ValueError, datasets.DataError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped. Finished runs are on record, and the same command does the rest.")
    print(f"on record: {options.results / options.experiment}.csv")


def _module(name):
    """The module of this name, of the folder that the command runs in too."""
    sys.path[:0] = [os.getcwd()]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"{name} cannot be imported ({error}): is it in this folder?") from error


def _named(text):
    """What module:function names."""
    module, _, function = text.partition(":")
    try:
        return getattr(_module(module), function)
    except AttributeError as error:
        raise ValueError(f"the module {module} has no function {function!r}") from error


def _numbers(text):
    return [float(part) for part in text.split(",")]


def _words(text):
    return text.split(",")


def _sweep_options(parser):
    parser.add_argument("experiment", help="its name: the results go to EXPERIMENT.csv")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument(
        "--data", type=pathlib.Path, metavar="FILE.npz", help="own data, as Dataset.of takes them"
    )
    parser.add_argument(
        "--schemes",
        type=_words,
        default=["new", "wrong", "none"],
        help="of new, wrong, none, repeated, split, fallback, new-any, reject, noise, noisy, "
        "unreadable, or of the published systems: uchida, deepmarks, deepsigns-white, "
        "deepsigns-black, adi, frontier, exponential, badnets; joined by commas",
    )
    parser.add_argument(
        "--alpha", type=_numbers, default=[0.01], help="one or more, joined by commas"
    )
    parser.add_argument(
        "--beta", type=_numbers, default=[0.0035], help="one or more, joined by commas"
    )
    parser.add_argument("--kind", default="fresh", help="kind of key, as in wmlab.keys.perturb")
    parser.add_argument("--decoys", type=int, default=0)
    parser.add_argument("--runs", type=int, default=5, help="seeds of every setting")
    parser.add_argument("--scale", choices=["class", "paper"], default="paper")
    parser.add_argument(
        "--network",
        help="other than the recipe's: a name of wmlab.networks, or MODULE:FUNCTION of one's own",
    )
    parser.add_argument("--epochs", type=int, help="other than the recipe's")
    parser.add_argument("--batch", type=int, help="other than the recipe's")
    parser.add_argument(
        "--rate",
        choices=["constant", "cosine", "linear"],
        help="learning rate over the epochs, other than the recipe's",
    )
    parser.add_argument("--until", choices=["steps", "converged"])
    parser.add_argument(
        "--answers",
        action="store_true",
        default=None,
        help="record what each run answers to the public keys",
    )
    parser.add_argument(
        "--attacks",
        type=_words,
        help="attack each network, too, and record what is left: pruning, table1, rates, "
        "provider, others, filters; joined by commas; or gallery alone",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes; by default one a core")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="have the workers of this Dask scheduler train"
    )
    parser.add_argument(
        "--results", type=pathlib.Path, default="data/results", help="folder of the tables"
    )
    parser.add_argument(
        "--runs-folder",
        type=pathlib.Path,
        help="folder of the files of finished runs; by default runs, beside that of the tables",
    )


def models(options):
    """train the networks that ship with the course"""
    from wmlab import runtime

    runtime.setup(scale="class")
    from wmlab.tools.models import build  # loads keras, whose backend is chosen by now

    _report("trained", [options.out / name for name in build(options.out)])


def toy_features(options):
    """train the small network whose last features are a world of the toy"""
    from wmlab import runtime

    runtime.setup(scale="class")
    from wmlab.tools.models import toy_features as build  # loads keras

    accuracy = build(options.out)
    print(f"wrote {options.out.name}: the network is right on {accuracy:.1%} of these images")


def serve(options):
    """sell the labels of a model over HTTP until Ctrl-C; `wmlab/suspects.py` says more"""
    from wmlab import runtime, suspects

    log = options.log or options.model.with_suffix(".sqlite")
    try:
        runtime.setup()
        import keras  # whose backend is chosen by now

        from wmlab import training

        own = vars(_module(options.import_)) if options.import_ else {}
        with keras.saving.custom_object_scope({k: v for k, v in own.items() if callable(v)}):
            model = training.load(options.model)
        with suspects.serve(
            model,
            price=options.price,
            rate=options.rate,
            log=log,
            host=options.host,
            port=options.port,
        ) as url:
            logging.getLogger("wmlab").info(
                "%s answers at %s; its log is %s; Ctrl-C stops it", options.model.name, url, log
            )
            while True:
                time.sleep(3600)  # on Windows, Ctrl-C ends no other wait
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        logging.getLogger("wmlab").info(
            "Stopped. What was sold is in %s, from which the same command goes on.", log
        )


def _serve_options(parser):
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="0.0.0.0 lets other machines ask; by default only this one can",
    )
    parser.add_argument(
        "--import", dest="import_", metavar="MODULE", help="that defines layers of the model"
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--price", type=float, default=0.01, help="of one label")
    parser.add_argument(
        "--rate",
        type=float,
        help="images sold a second, to all clients together; without it any number",
    )
    parser.add_argument(
        "--log",
        type=pathlib.Path,
        help="SQLite file of every answer; if not given, MODEL.sqlite beside the model",
    )


def _report(done, paths):
    print(f"{done}: {', '.join(path.name for path in paths) or 'nothing to do'}")


def main(arguments=None):
    """Run one command; `arguments` is what follows `python -m wmlab` (default: sys.argv)."""
    parser = argparse.ArgumentParser(prog="python -m wmlab", description="Plumbing of the course.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, doctor)
    _add(commands, stamp)
    _add(commands, clean_notebooks)
    _add(commands, html).add_argument(
        "dest", type=pathlib.Path, nargs="?", default="html", help="the folder to write"
    )
    _add(commands, without_solutions).add_argument(
        "dest", type=pathlib.Path, help="the folder to write"
    )
    _add(commands, grade).add_argument(
        "folder", type=pathlib.Path, help="with a file for each student, texts or notebooks"
    )
    _sweep_options(_add(commands, sweep))
    _add(commands, models).add_argument("--out", type=pathlib.Path, default="data/models")
    _add(commands, toy_features).add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("data/toy_features.npz")
    )
    _serve_options(_add(commands, serve))
    options = parser.parse_args(arguments)
    _open_streams()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("wmlab").setLevel(
        logging.INFO
    )  # what others have to say below a warning stays with them
    try:
        options.command(options)
    except BrokenPipeError:  # who read the output has what they wanted
        sys.stdout = None


def _open_streams():
    """Have standard output and error to write to, whatever is closed or cannot show a letter."""
    while (free := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # a file opened later would else be taken for standard error
    os.close(free)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
        with contextlib.suppress(AttributeError):  # under a test
            getattr(sys, name).reconfigure(errors="replace")


def _add(commands, command):
    """Add the function `command` under its own name; the parser that comes back takes arguments."""
    name, text = command.__name__.replace("_", "-"), command.__doc__
    subparser = commands.add_parser(name, help=text, description=text)
    subparser.set_defaults(command=command)
    return subparser


if __name__ == "__main__":
    main()
