"""`python -m wmlab COMMAND`: the few things done from a shell."""

import argparse
import logging
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

    _report("stamped", notebooks.stamp())


def clean_notebooks(_options):
    """strip outputs and widget state from the notebooks"""
    from wmlab.tools import notebooks

    _report("cleaned", notebooks.clean_notebooks())


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

    given = "network epochs batch until workers scheduler answers attacks".split()
    changes = {name: vars(options)[name] for name in given if vars(options)[name] is not None}
    if options.rate:
        changes["schedule"] = options.rate
    try:
        runtime.setup(scale=options.scale)
        from wmlab.tools import sweeps  # loads keras, whose backend is chosen by now

        marks = sweeps.plan(
            options.schemes,
            options.alpha,
            options.beta,
            options.runs,
            classes=datasets.classes(options.dataset),
            kind=options.kind,
            decoys=options.decoys,
        )
        sweeps.sweep(
            options.experiment,
            options.dataset,
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


def _numbers(text):
    return [float(part) for part in text.split(",")]


def _words(text):
    return text.split(",")


def _sweep_options(parser):
    parser.add_argument("experiment", help="its name: the results go to EXPERIMENT.csv")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument(
        "--schemes",
        type=_words,
        default=["new", "wrong", "none"],
        help="of new, wrong, none, repeated, split, fallback, new-any, reject, noise, noisy, "
        "unreadable; joined by commas",
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
    parser.add_argument("--network", help="other than the recipe's, as in wmlab.networks")
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
        help="attack each network, too, and record what is left: pruning, table1, rates, others, "
        "filters; joined by commas",
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
        from wmlab import training  # loads keras, whose backend is chosen by now

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
    _sweep_options(_add(commands, sweep))
    _add(commands, models).add_argument("--out", type=pathlib.Path, default="data/models")
    _add(commands, toy_features).add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("data/toy_features.npz")
    )
    _serve_options(_add(commands, serve))
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("wmlab").setLevel(
        logging.INFO
    )  # what others have to say below a warning stays with them
    options.command(options)


def _add(commands, command):
    """Add the function `command` under its own name; the parser that comes back takes arguments."""
    name, text = command.__name__.replace("_", "-"), command.__doc__
    subparser = commands.add_parser(name, help=text, description=text)
    subparser.set_defaults(command=command)
    return subparser


if __name__ == "__main__":
    main()
