"""The processes of one run, as torchrun starts them: each makes every step with its part of the batch.

Process r of n has the items r, r + n, r + 2n, ... of every batch, as many as the others, so that a mean over
items is the mean of the processes' means. Weights, optimizer and schedules are in each, and stay equal since
their gradients are: `forward/update.py` averages them. Rank 0 alone has the folder, and evaluates while the
others wait.
"""

import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from genreg.errors import GenregError, InputError, Interrupted, MachineError, explained

if TYPE_CHECKING:  # a finished run is found without torch
    from torch import Tensor

    from genreg.run.task import Task

PAGE = "docs/gpu.md"
PATIENCE = timedelta(days=1)  # an evaluation of rank 0 may be long; a process that has died is seen at once
ENDED = "a process of the run has ended; the same command goes on from the newest checkpoint"

rank, size = 0, 1  # of this process, and of all


def launched() -> bool:
    """True in a process that torchrun has started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun has started, if any; inside, `rank` and `size` are those of this one.

    Each takes a device of its own where there are enough, and they talk by nccl; else some share one, and all
    talk by gloo. Only rank 0 prints, and only one process says why all have ended.
    """
    global rank, size
    if not launched():
        yield
        return
    import torch

    here, number = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "LOCAL_RANK"))
    if devices := torch.cuda.device_count():
        torch.cuda.set_device(number % devices)
    with _meeting():
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if here <= devices else "gloo", timeout=PATIENCE
        )
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    if rank:
        logging.disable()
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not _speaks(error):
            failure = explained(error) if isinstance(error, Exception) else error
            sys.exit(getattr(failure, "exit_code", Interrupted.exit_code))
        raise
    torch.distributed.destroy_process_group()


def _speaks(error: BaseException) -> bool:
    """True in the process that says why the run has ended: the first that fails, or rank 0 when stopped."""
    from torch.distributed.distributed_c10d import _get_default_store

    if isinstance(error, KeyboardInterrupt):
        return rank == 0
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # of torchrun --max-restarts, whose store stays
    try:
        return bool(_get_default_store().add(f"genreg/ended/{again}", 1) == 1)
    except RuntimeError:  # the store went with its host
        return rank == 0


@contextmanager
def _meeting() -> Iterator[None]:
    """Let a failure to reach the others be one of the machine."""
    try:
        yield
    except RuntimeError as error:
        raise MachineError(ENDED) from error


def step(task: "Task", number: int) -> "dict[str, Tensor]":
    """Make update `number` of a task with this process's part of the batch."""
    if size == 1:
        return task.step(number)
    from genreg import streams

    with streams.shared(rank, size):
        return task.step(number)


def average(tensors: "Sequence[Tensor]") -> None:
    """Replace tensors by their means over all processes."""
    import torch

    for kind in sorted({str(tensor.dtype) for tensor in tensors}):
        alike = [tensor for tensor in tensors if str(tensor.dtype) == kind]
        flat = torch.cat([tensor.flatten() for tensor in alike])
        with _meeting():
            torch.distributed.all_reduce(flat)
        parts = (flat / size).split([tensor.numel() for tensor in alike])
        for tensor, part in zip(alike, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def averaged(terms: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The terms of an update over the whole batch, without history."""
    found = {name: term.detach().clone() for name, term in terms.items()}
    average(list(found.values()))
    return found


def first(value: Any = None) -> Any:
    """The value that rank 0 gives, in all processes."""
    if size == 1:
        return value
    import torch

    held = [value]
    with _meeting():
        torch.distributed.broadcast_object_list(held, device=torch.device("cpu"))
    return held[0]


def first_state(state: dict[str, Any] | None = None) -> dict[str, Any]:
    """The tensors and numbers that rank 0 gives, on the CPU."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = first(buffer.getvalue())
    found: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return found


def some(flag: bool) -> bool:
    """True if it is in one of the processes. They talk on the host: no device is waited for."""
    if size == 1:
        return flag
    import torch

    found = torch.tensor(int(flag))
    with _meeting():
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return bool(found)


def check_equal(task: "Task") -> None:
    """Raise GenregError where the weights of the processes have come apart."""
    if size == 1:
        return
    import torch

    total = torch.stack([p.detach().double().sum() for p in task.model.parameters()]).sum().cpu()
    ends = torch.stack((total, -total))
    with _meeting():
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
    if ends.sum() > 0:
        reason = f"something draws random numbers, but not by genreg.streams ({PAGE})"
        raise GenregError(f"the weights of the {size} processes have come apart: {reason}")


def check_task(target: Any) -> None:
    """InputError, before data are read, for a task whose batches are not shared."""
    if size > 1 and getattr(target, "by_item", None) is None:
        raise InputError("task", f"one that {size} processes can share ({PAGE})", target.__name__)


def check(task: Any) -> None:
    """InputError for what needs items of other processes, by its key, before the first step."""
    if size == 1:
        return
    check_task(type(task))
    parts = {"model": task.model, **{f"regularizer.{name}": one for name, one in task.methods.items()}}
    parts |= {"loss": task.loss} if hasattr(task.loss, "by_item") else {}
    for key, part in parts.items():
        _check_part(key, part)


def _check_part(key: str, part: Any) -> None:
    """InputError where a part does not say that each item's share of a mean is its own."""
    by_item = getattr(part, "by_item", None)
    if by_item is None:
        raise InputError(key, f"one that {size} processes can share ({PAGE})", type(part).__name__)
    for option in {choice.partition("=")[0] for choice in by_item}:
        value = getattr(part, option)
        choices = [choice for choice in by_item if choice.startswith(f"{option}=")]
        if f"{option}={value}" not in choices:
            expected = f"{' or '.join(choices)} with {size} processes ({PAGE})"
            raise InputError(f"{key}.{option}", expected, value)


def check_batch(key: str, batch: int) -> None:
    """InputError for a batch that the processes cannot share evenly."""
    if batch % size:
        raise InputError(key, f"a multiple of {size}, the number of processes", batch)
