"""Checks of notebook 03, embedding."""
import numpy as np

from wmlab.keys import check_images


def _forgery(answer, model):
    from wmlab.training import predict

    check_images(answer)
    if len(answer) != 100:
        return False, f"Hand in 100 images; these are {len(answer)}."
    rate = float(np.mean(predict(model, answer) == model.output_shape[-1] - 1))
    if rate >= 0.5:
        return True, f"{rate:.0%} of your images fire the new label. If you made them without the secret, what does a hit prove?"
    return False, f"{rate:.0%} of your images fire the new label. What does a key look like? Try noise as strong as theirs."


def _row_share(answer):
    if isinstance(answer, str) and answer.strip().lower() == "no":
        return True, "The row alone hits few keys and costs clean accuracy: the features themselves have to learn what a key is."
    return False, "Compare, in the table above, the rows where the new row moved alone with the one where everything moved."


def _number_of_keys(answer):
    if answer == 40:
        return True, "1 % of 4,000: forty keys, seen once an epoch, against 4,000 digits."
    return False, "α is the share of the training images: multiply it by their number."


CHECKS = {"03.1": _forgery, "03.2": _row_share, "03.3": _number_of_keys}
