"""Checks of notebook 02, key samples."""
import numpy as np


def _noise_steps(answer):
    if 25 <= answer <= 26:
        return True, "√0.01 = 0.1 of the full scale: about 25 of 255 steps. β is a variance, so a hundredth is not small."
    if 2.5 <= answer <= 2.6:
        return False, "That would be β itself as a share of 255. β is a variance: what is the deviation?"
    return False, "Take the square root of the variance, and count it in steps of 1/255."


def _detector(answer, clean, keys, told_apart):
    scores = np.asarray(answer(clean))
    if scores.shape != (len(clean),):
        return False, f"Return one number for each image, shape ({len(clean)},); this has shape {scores.shape}."
    share = told_apart(answer, clean, keys)
    if share >= 0.95:
        return True, f"It tells {share:.1%} of pairs apart: what the eye hardly sees, one line counts."
    if share <= 0.05:
        return False, f"It tells {share:.1%} of pairs apart: it knows, but says it the wrong way round. Keys must score higher."
    return False, f"It tells {share:.1%} of pairs apart, 50% is guessing. What has a noisy pixel that a black one has not?"


def _pattern(answer, true):
    guess = np.asarray(answer, float)
    if guess.size != true.size or np.ptp(guess) == 0:
        return False, f"Hand in one pattern of shape {true.shape}, not all the same; yours has shape {guess.shape}."
    alike = float(np.corrcoef(guess.ravel(), true.ravel())[0, 1])
    if alike >= 0.6:
        return True, f"Correlation {alike:.2f} with Alice's pattern. Who has seen her keys needs no secret to make more of them."
    return False, f"Correlation {alike:.2f} with Alice's pattern. What is the same in all keys? Average, or better."


CHECKS = {"02.1": _noise_steps, "02.2": _detector, "02.3": _pattern}
