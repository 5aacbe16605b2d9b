"""A pretend accelerator: tensors that say they are on the device `fake`, computed on the CPU and watched.

    with Watch() as watch:                      # device="fake" works inside, and only inside
        task.step(0)                            # raises MixedDevices where CUDA would
    print(watch.kernels, watch.report())

It shows what a run on CUDA would do and a run on the CPU hides: tensors of two devices in one operation, a
generator of the wrong device, every wait of the host for the device (`.item()`, `bool`, masks as indices,
copies from and to pageable memory) with the line that asked for it, and how many operations a step launches.
Views launch none, any other operation one. Not shown: speed, memory, the order of sums, autocast, cuDNN.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

SUPPORTED = "2.13"  # the torch whose experimental Python backends this rests on
NAME = "fake"
SHOWN = "/genreg/"  # part of the paths of the files worth naming

WAITS = {  # operations whose CUDA kernels read a result back before they return
    "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "equal",
    "_local_scalar_dense", "_linalg_eigh", "linalg_eig", "_linalg_svd", "linalg_cholesky_ex", "linalg_qr",
    "_assert_async", "repeat_interleave", "is_nonzero",
}  # fmt: skip
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")  # take indices of the CPU
ONE_DEVICE = ("cat", "stack", "mm", "addmm", "bmm", "mv", "dot", "convolution", "gather", "scatter",
              "index_select")  # fmt: skip
"""Take not even a number of the CPU."""
# what launches nothing, by the beginning of its name
FREE = ("empty", "new_empty", "detach", "alias", "lift_fresh", "_efficientzero", "is_same_size", "_has_same")


class MixedDevices(RuntimeError):  # noqa: N818
    """What CUDA answers with "Expected all tensors to be on the same device"."""


def supported() -> bool:
    """Whether this torch is the one that the pretend device is written for."""
    return torch.__version__.startswith(f"{SUPPORTED}.")


class FakeTensor(Tensor):
    """`raw`: the tensor of the CPU that holds the numbers."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> "FakeTensor":
        made = Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            device=f"{NAME}:0",
        )  # fmt: skip
        made.raw = raw
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the pretend device outside of `with Watch()`")

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        made = self.detach().clone().requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            made = torch.nn.Parameter(made, self.requires_grad)
        return memo.setdefault(id(self), made)

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.raw.untyped_storage()

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as what `torch.load(map_location="cpu")` would make of it."""
        return self.raw.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"FakeTensor({self.raw})"


_Generator = torch.Generator
default_generator = torch.Generator()  # of the device; the CPU's stands where it was


class FakeGenerator(_Generator):
    """A generator that remembers which device it was made for.

    places: that device by the address of the generator, since an operation is shown another object of it.
    """

    places: ClassVar[dict[int, torch.device]] = {}
    place: torch.device

    def __new__(cls, device: Any = "cpu") -> "FakeGenerator":
        made = _Generator.__new__(cls, "cpu")
        cls.places[made._cdata] = made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(NAME, 0) if self.place.type == NAME else self.place


class Watch(TorchDispatchMode):
    """What happened on the device since the last `clear`.

    kernels: operations that are no views. calls: how often each; places: how often each line launched each.
    events: (kind, operation, place) -> how often. Kinds are `wait` (the host waits for the device), `upload`
    (a pageable copy to the device, which waits too), `scalar` (an upload of one number) and `default
    generator` (a draw from the generator that only `streams.begin_pass` seeds).
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        self.calls: Counter[str] = Counter()
        self.events: Counter[tuple[str, str, str]] = Counter()
        self.places: Counter[tuple[str, str]] = Counter()
        self.kernels = 0

    def __enter__(self) -> "Watch":
        _install()
        torch.Generator = FakeGenerator  # type: ignore[misc]
        self.overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # `.data =` would leave `raw` behind
        self.threads = torch.autograd.set_multithreading_enabled(False)  # so that backward has a stack
        self.threads.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.threads.__exit__(*error)
        torch.__future__.set_overwrite_module_params_on_conversion(self.overwrite)
        torch.Generator = _Generator  # type: ignore[misc]

    def report(self, *kinds: str) -> str:
        """The events of those kinds, or all, one a line."""
        chosen = {key: n for key, n in self.events.items() if not kinds or key[0] in kinds}
        return "\n".join(f"{n:5d} {' '.join(key)}" for key, n in sorted(chosen.items()))

    def note(self, kind: str, name: str) -> None:
        self.events[kind, name, _place()] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        everything = list(_leaves((args, kwargs)))
        leaves = [leaf for leaf in everything if isinstance(leaf, Tensor)]
        ours = [leaf for leaf in leaves if isinstance(leaf, FakeTensor)]
        target = kwargs.get("device")
        to_fake = target is not None and torch.device(target).type == NAME
        on_device = to_fake or (target is None and bool(ours))
        undirected = self._check_generators(func, everything, bool(ours) or to_fake)
        if not ours and not to_fake:
            return func(*args, **kwargs)
        if ours and name not in ("copy_", "_to_copy", "_copy_from"):
            self._check(name, func, args, leaves)
        if name == "copy_" and isinstance(args[0], FakeTensor) != isinstance(args[1], FakeTensor):
            on_device = isinstance(args[0], FakeTensor)
            self.note("upload" if on_device else "wait", name)
        elif name == "_to_copy" and (not ours or not on_device):
            self.note("wait" if ours else "upload" if leaves[0].ndim else "scalar", name)
        elif name in WAITS:
            self.note("wait", name)
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        self._count(func, name)
        return _compute(func, name, args, kwargs, ours, on_device, undirected)

    def _count(self, func: Any, name: str) -> None:
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if not view and not name.startswith(FREE):
            self.kernels += 1
            self.calls[name] += 1
            self.places[name, _place()] += 1

    def _check(self, name: str, func: Any, args: Any, leaves: Sequence[Tensor]) -> None:
        """Raise where CUDA would; note what makes it wait."""
        indices = self._indices(name, args) if name in INDEXED else []
        written = func._schema.name.endswith("_") and args and isinstance(args[0], Tensor)
        if written and not isinstance(args[0], FakeTensor):
            raise MixedDevices(f"{func} writes into a tensor of the CPU at {_place()}")
        for leaf in leaves:
            if isinstance(leaf, FakeTensor) or any(leaf is index for index in indices):
                continue
            if leaf.ndim or name in ONE_DEVICE:
                shapes = [(str(x.device), tuple(x.shape)) for x in leaves]
                raise MixedDevices(f"{func} of {shapes} at {_place()}")
            if name in ("where", "masked_fill", "masked_fill_", *INDEXED):
                self.note("scalar", name)  # others read a number of the CPU as a kernel's argument

    def _indices(self, name: str, args: Any) -> list[Tensor]:
        indices = [index for index in args[1] if isinstance(index, Tensor)]
        if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            self.note("wait", f"{name} by a mask")
        for index in indices:
            if not isinstance(index, FakeTensor):
                self.note("upload", f"{name} by an index of the CPU")
        return indices

    def _check_generators(self, func: Any, leaves: list[Any], ours: bool) -> bool:
        """Whether the device's default generator is drawn from; raises where one of another device is."""
        given = [leaf for leaf in leaves if isinstance(leaf, _Generator)]
        for leaf in given:
            place = FakeGenerator.places.get(leaf._cdata, torch.device("cpu"))
            if (place.type == NAME) != ours:
                raise MixedDevices(f"{func}: a generator of {place} at {_place()}")
        undirected = ours and torch.Tag.nondeterministic_seeded in func.tags and not given
        if undirected:
            self.note("default generator", func.overloadpacket.__name__)
        return undirected


def _compute(
    func: Any, name: str, args: Any, kwargs: Any, ours: list[FakeTensor], on_device: bool, undirected: bool
) -> Any:
    """What the CPU makes of the bare tensors, wrapped again if it is on the device."""
    if (
        torch.Tag.inplace_view in func.tags and name != "set_"
    ):  # `unsqueeze_` and its like move the wrapper too
        with no_dispatch():
            func(*args, **kwargs)
    wrapper: dict[int, Tensor] = {id(tensor.raw): tensor for tensor in ours}
    args, kwargs = _map(lambda x: x.raw if isinstance(x, FakeTensor) else x, (args, kwargs))
    if name == "_efficientzerotensor":  # has no memory, which a wrapper cannot say
        func = torch.ops.aten.zeros.default
    if undirected:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(default_generator.get_state())
            found = func(*args, **kwargs)
            default_generator.set_state(torch.get_rng_state())
    else:
        found = func(*args, **kwargs)

    def wrap(x: Any) -> Any:
        if not isinstance(x, Tensor) or isinstance(x, FakeTensor):
            return x
        return wrapper[id(x)] if id(x) in wrapper else FakeTensor(x) if on_device else x

    return _map(wrap, found)


def _leaves(tree: Any) -> Iterator[Any]:
    """What stands in tuples, lists and dicts; much faster than torch's own, which knows more containers."""
    if isinstance(tree, tuple | list):
        for node in tree:
            yield from _leaves(node)
    elif isinstance(tree, dict):
        yield from _leaves(list(tree.values()))
    else:
        yield tree


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, tuple | list):
        return type(tree)([_map(function, node) for node in tree])
    if isinstance(tree, dict):
        return {key: _map(function, node) for key, node in tree.items()}
    return function(tree)


def _place() -> str:
    """File and line of the innermost frame of the program."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if path != __file__ and SHOWN in path:
            return f"{'/'.join(path.split('/')[-2:])}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


@cache
def _install() -> None:
    """Make the device known to torch, for the rest of the process.

    The backward pass before it makes autograd start its threads, of which there are none yet: with a device
    it would start some, and refuse every backward pass of a forked process from then on.
    """
    torch.zeros(1, requires_grad=True).sum().backward()
    from torch.utils import backend_registration as registration

    class Module(registration._DummyBackendModule):  # type: ignore[misc]
        default_generators = (default_generator,)

        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

    registration._setup_privateuseone_for_python_backend(NAME, backend_module=Module())
