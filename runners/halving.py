"""Work in stacks that are halved where memory runs out, so that the rest goes on."""

import gc
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_stacks(
    items: Iterable[Item],
    size: int,
    work: Callable[[Sequence[Item]], Sequence[Result]],
    key: Callable[[Item], Hashable] = lambda _: None,
) -> Iterator[tuple[Item, Result | Exception]]:
    """Work on up to `size` items of one key at a time; yield each with its result.

    Items are taken until the stack of a key is full; what is left at the end makes smaller
    stacks. A stack that raises is worked on again in halves, so that an error reaches only the
    item that causes it, as its result; results that are there are not computed again. Where
    memory was short, later stacks are as small. A lost device is the end of all: that is raised.
    """
    waiting: dict[Hashable, list[Item]] = {}

    def attempt(stack: Sequence[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        nonlocal size
        memory_ran_out = False
        try:
            results: Sequence[Result | Exception] = work(stack)
        except Exception as error:  # whatever it is, the other items go on
            if is_device_lost(error):
                raise
            memory_ran_out = is_out_of_memory(error)
            # its frames hold what the work had allocated
            results = [error.with_traceback(None) if memory_ran_out else error]
        if memory_ran_out:
            gc.collect()
            torch.cuda.empty_cache()  # without a GPU nothing happens
        if len(results) == len(stack):
            yield from zip(stack, results, strict=True)
            return
        half = (len(stack) + 1) // 2
        if memory_ran_out:
            size = min(size, half)
        yield from attempt(stack[:half])
        yield from attempt(stack[half:])

    for item in items:
        stack = waiting.setdefault(key(item), [])
        stack.append(item)
        if len(stack) >= size:
            del waiting[key(item)]
            yield from attempt(stack)
    for stack in waiting.values():
        yield from attempt(stack)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = ("can't allocate memory", "CUDA error: out of memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)


def is_device_lost(error: Exception) -> bool:
    """Return whether an error says that nothing more can be computed on the GPU by this process.

    Such errors of CUDA stay, and reach whatever is computed next. Those of a capture do not.
    """
    accelerator = getattr(torch, "AcceleratorError", ())  # since torch 2.8
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    of_device = isinstance(error, accelerator) or str(error).startswith("CUDA error")
    return of_device and "captur" not in str(error)
