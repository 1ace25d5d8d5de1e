"""Checks of notebook 10, the extra class."""
import numpy as np

SURVIVES = {"cut": {"fallback", "audit"}, "copy": set(), "stranger": {"decoys", "split", "fallback"}}


def _drop(answer):
    rng = np.random.default_rng(0)
    for outputs, label in ((11, 10), (11, 3), (4, 0)):
        kernel, bias = rng.normal(size=(5, outputs)), rng.normal(size=outputs)
        before = kernel.copy(), bias.copy()
        new_kernel, new_bias = (np.asarray(part) for part in answer(kernel, bias, label))
        if not (np.array_equal(kernel, before[0]) and np.array_equal(bias, before[1])):
            return False, "It changed the weights that it was given. Work on a copy: Alice's model is Bob's evidence, too."
        if new_kernel.shape != (5, outputs - 1) or new_bias.shape != (outputs - 1,):
            return False, (f"From a kernel (5, {outputs}) and a bias ({outputs},) came {new_kernel.shape} and {new_bias.shape}: "
                           "one column, one number less, please. Columns are labels.")
        kept = [column for column in range(outputs) if column != label]
        if not (np.array_equal(new_kernel, kernel[:, kept]) and np.array_equal(new_bias, bias[kept])):
            return False, f"The shapes are right, but it is not label {label} of {outputs} that is missing, or the others moved."
    return True, "Two slices, no data, no training: this is all that the paper's mark stands against."


def _found(answer, sealed):
    if answer not in range(sealed.outputs):
        return False, f"That is no output: they count from 0 to {sealed.outputs - 1}."
    if sealed.right(answer):
        return True, "No image of Bob's gets it, so nobody he sells to will miss it."
    return False, "Some of Bob's images get that one. Ask them all and count the answers, output by output."


def _survives(answer):
    for attack, right in SURVIVES.items():
        given = {answer[attack]} if isinstance(answer[attack], str) else set(answer[attack])
        if unknown := given - {"decoys", "split", "fallback", "audit"}:
            return False, f"There is no reply {sorted(unknown)[0]!r}: choose among decoys, split, fallback and audit."
        if given != right:
            more, less = given - right, right - given
            wrong = f"{sorted(more)[0]} does not help" if more else f"{sorted(less)[0]} helps too"
            return False, f"Look at “{attack}” again: {wrong}, by the numbers above."
    return True, "No reply of these helps against all three. Whom do you fear?"


CHECKS = {"10.1": _drop, "10.2": _found, "10.3": _survives}
