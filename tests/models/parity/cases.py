"""All counterparts of what PyTorch recorded, by name: what it is, a colon, and the variant."""

from collections.abc import Mapping

from tests.models.parity import (
    attention_cases,
    layer_cases,
    loss_cases,
    network_cases,
    player_cases,
    recurrent_cases,
)
from tests.models.parity.comparing import Case

CASES: Mapping[str, Case] = {
    **layer_cases.CASES,
    **recurrent_cases.CASES,
    **attention_cases.CASES,
    **loss_cases.CASES,
    **player_cases.CASES,
    **network_cases.CASES,
}
