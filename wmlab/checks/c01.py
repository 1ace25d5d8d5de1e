"""Checks of notebook 01, the boundary twist."""


def _neither(settings, settle):
    new = settle(**settings)[-1]["new label"]
    found = f"There the new label twists {new.twist:.1%} and hits {new.hits:.0%} of fresh keys"
    if new.twist < 0.01 and new.hits < 0.1:
        return True, f"{found}: nothing was learned, so nothing was twisted."
    return False, f"{found}. Where would a fourth label never win? Think of keys that lie where their carriers lay."


def _both(settings, settle):
    new = settle(**settings)[-1]["new label"]
    found = f"There the new label hits {new.hits:.0%} of fresh keys and twists {new.twist:.1%} of decisions"
    if new.hits >= 0.9 and new.twist >= 0.02:
        return True, f"{found}: learned, and paid for by the classes it had to squeeze in between."
    return False, f"{found}. When has a boundary much to lose? Try classes that overlap, and many keys."


def _wrong_is_better(settings, settle):
    heads = settle(**settings)[-1]
    wrong, new = heads["wrong label"], heads["new label"]
    found = f"There the wrong label hits {wrong.hits:.0%} and twists {wrong.twist:.1%}; the new label twists {new.twist:.1%}"
    if wrong.hits >= 0.95 and wrong.twist <= new.twist:
        return True, f"{found}. But the unmarked head calls {heads['unmarked'].hits:.0%} of those keys class 0 as well."
    return False, f"{found}. Which keys would a head call class 0 without being told? Move the cloud there."


CHECKS = {"01.1": _neither, "01.2": _both, "01.3": _wrong_is_better}
