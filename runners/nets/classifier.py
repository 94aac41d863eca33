"""Which layer is the classifier: the one that pruning leaves alone by default."""

from torch import nn

from distortion.errors import StudyError


def mark_classifier(module: nn.Module) -> nn.Module:
    """Mark `module` as its network's classifier, and return it.

    Needed only where the classifier is not the last `nn.Linear` of the network.
    """
    module.is_classifier = True  # type: ignore[assignment]
    return module


def find_classifier(net: nn.Module) -> nn.Module:
    """Return the marked module, else the last `nn.Linear`; raise StudyError if there is neither."""
    marked = [module for module in net.modules() if getattr(module, "is_classifier", False)]
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not marked and not linear:
        raise StudyError(
            f"{type(net).__name__} has no nn.Linear to take for its classifier, which is never "
            f"pruned. Mark the module in the factory: runners.mark_classifier(module)."
        )
    return (marked or linear)[-1]
