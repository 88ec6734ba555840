"""What stands out in an inspection, in plain words."""

from collections.abc import Sequence

from septet.inspection.findings import Part, Row

MUCH_DEAD = 0.1
MUCH_SATURATED = 0.5
FAR_APART = 1e3
"""Gradient norms of two layers that are so many times apart are remarked upon."""
MOST_NAMES = 4


def remarks_on(part: Part) -> list[str]:
    """Sentences, the gravest first; none if nothing stands out."""
    leaves = [row for row in part.layers if not row.has_parts]
    return [
        *_non_finite(part, leaves),
        *_gradient_by_layer(leaves),
        *_gradient_by_time(leaves),
        *_without_gradient(leaves),
        *_dead(leaves),
        *_saturated(leaves),
        *_not_run(part),
        *_loops(leaves),
    ]


def _non_finite(part: Part, leaves: Sequence[Row]) -> list[str]:
    for row in leaves:
        if row.signal and row.signal.non_finite:
            count = row.signal.non_finite
            return [
                f"{row.name}: {count:,} of its outputs are infinite or not a number; "
                "it is the first layer with such."
            ]
    weights = [weight for weight in part.total.weights if weight.non_finite]
    if not weights:
        return []
    return [
        f"{_listed([weight.name for weight in weights])}: infinite numbers, or none at all, "
        "among weights or their gradients."
    ]


def _gradient_by_layer(leaves: Sequence[Row]) -> list[str]:
    """Whether the weights of some layer have far less, or far more, gradient than the last."""
    norms = [(row, row.weight_gradient_norm) for row in leaves]
    known = [(row, norm) for row, norm in norms if norm]
    if len(known) < 2:
        return []
    last, reference = known[-1]
    found = []
    least, low = min(known[:-1], key=lambda pair: pair[1])
    most, high = max(known[:-1], key=lambda pair: pair[1])
    if reference > FAR_APART * low:
        found.append(
            f"The gradient norm falls by {_power(reference / low)} from {last.name} "
            f"({reference:.2g}) to {least.name} ({low:.2g}): it vanishes."
        )
    if high > FAR_APART * reference:
        found.append(
            f"The gradient norm grows by {_power(high / reference)} from {last.name} "
            f"({reference:.2g}) to {most.name} ({high:.2g}): it explodes."
        )
    return found


def _gradient_by_time(leaves: Sequence[Row]) -> list[str]:
    """Whether the gradient of a recurrent layer's input dies out, or grows, through time."""
    found = []
    for row in leaves:
        norms = row.step_gradient_norms or []
        far, near = ("last", "first") if row.reads_backwards else ("first", "last")
        # From the step read first to that read last; what is padding has no gradient at all.
        reached = [norm for norm in (norms[::-1] if row.reads_backwards else norms) if norm > 0]
        if len(reached) < 2:
            continue
        early, late = reached[0], reached[-1]
        if late > FAR_APART * early:
            found.append(
                f"{row.name}: the gradient falls by {_power(late / early)} from the {near} to the "
                f"{far} of {len(reached)} time steps: it vanishes through time."
            )
        elif early > FAR_APART * late:
            found.append(
                f"{row.name}: the gradient grows by {_power(early / late)} from the {near} to the "
                f"{far} of {len(reached)} time steps: it explodes through time."
            )
    return found


def _without_gradient(leaves: Sequence[Row]) -> list[str]:
    names = [row.name for row in leaves if row.weight_gradient_norm == 0.0]
    if not names:
        return []
    are = "has weights that get" if len(names) == 1 else "have weights that get"
    return [f"{_listed(names)} {are} no gradient from this batch."]


def _dead(leaves: Sequence[Row]) -> list[str]:
    return [
        f"{row.name}: {row.signal.dead:.0%} of its units are dead for this batch "
        "(zero for every example)."
        for row in leaves
        if row.signal and row.activation and row.signal.dead >= MUCH_DEAD
    ]


def _saturated(leaves: Sequence[Row]) -> list[str]:
    found = []
    for row in leaves:
        share = row.signal.saturated if row.signal else None
        if share is None or share < MUCH_SATURATED:
            continue
        where = (
            "are above 0.99 for one unit" if row.activation == "softmax" else "lie at its bounds"
        )
        found.append(
            f"{row.name}: {share:.0%} of its outputs {where} ({row.activation}), "
            "where hardly any gradient passes."
        )
    return found


def _not_run(part: Part) -> list[str]:
    """Weights of the network that no layer's row has."""
    counted = {weight.name for row in part.layers for weight in row.weights}
    left = [weight for weight in part.total.weights if weight.name not in counted]
    if not left or not part.layers:
        return []
    size = sum(weight.size for weight in left)
    return [
        f"{size:,} parameters ({_listed([weight.name for weight in left])}) belong to no layer "
        "above: to the network itself, or to layers that this batch does not run through."
    ]


def _loops(leaves: Sequence[Row]) -> list[str]:
    names = [row.name for row in leaves if row.is_least_flops]
    if not names:
        return []
    return [f"{_listed(names)}: a loop of unknown length was counted as one turn in the FLOPs."]


def _listed(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(unique[:MOST_NAMES])
    more = len(unique) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _power(ratio: float) -> str:
    """About so many, as "10^5"."""
    return f"10^{len(f'{ratio:.0f}') - 1}"
