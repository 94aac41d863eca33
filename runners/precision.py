"""The precision of training."""

import torch


def lowered(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which matrix products and convolutions are of a recipe's precision.

    Weights, their updates, normalisation statistics and the loss stay float32. No cache of
    weights, which a captured graph could not renew.
    """
    wanted = torch.bfloat16 if precision == "bfloat16" else None
    return torch.autocast(device.type, wanted, enabled=wanted is not None, cache_enabled=False)
