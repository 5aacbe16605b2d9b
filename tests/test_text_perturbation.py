"""Where texts are perturbed: an example, a batch, or the table; never padding. In float64."""

from typing import Any

import pytest
import torch
from conftest import draw, yaml_options
from reviews import MODELS, WORDS, classify, clean, model, reviews
from seam import method, methods
from torch import Tensor

from genreg.errors import InputError
from genreg.forward.perturbation import at_tokens, kl_divergence, noised, of_tokens, random_direction
from genreg.model import TextClassifier
from genreg.regularizer import FGM, VAT, Adversarial, InputNoise
from genreg.regularizer.vat import exact_product

X, Y = reviews().test.x[:8], reviews().test.y[:8]
SCOPES = ["example", "batch", "table"]


def moved(made: TextClassifier, table: Tensor) -> Tensor:
    """Logits of X with that added to the embeddings themselves."""
    weight = made.embeddings.weight  # type: ignore[union-attr]
    with torch.no_grad():
        weight.add_(table)  # type: ignore[operator]
        logits = made(X)
        weight.sub_(table)  # type: ignore[operator]
    return logits


@pytest.mark.parametrize("name", MODELS)
def test_a_direction_of_the_table_is_one_that_is_added_to_its_weights(name: str) -> None:
    made = model(name)
    seen = clean(made, X)
    d = random_direction(seen, "table", draw())
    e = seen.embedding + 3 * at_tokens(seen, d, "table")
    torch.testing.assert_close(seen.at(e), moved(made, 3 * d), rtol=1e-12, atol=1e-12)
    assert d.shape == (len(WORDS), seen.embedding.shape[2])
    assert d.norm() == pytest.approx(1)


@pytest.mark.parametrize("name", MODELS)
def test_vat_of_the_table_is_vat_in_its_weights(name: str) -> None:
    """One power iteration as the published code makes it: the whole matrix is one vector."""
    made = model(name)
    vat = VAT(scope="table", xi=10.0, epsilon=1.0)
    found = vat.penalty(clean(made, X))

    weight = made.embeddings.weight  # type: ignore[union-attr]
    seen = clean(made, X)
    u = random_direction(seen, "table", draw=seen.draw)
    p = made(X).detach()
    shift = (10 * u).requires_grad_()
    table = weight.detach() + shift  # type: ignore[operator]
    e = torch.nn.functional.embedding(X, table)
    (g,) = torch.autograd.grad(kl_divergence(p, made(embedding=e, mask=made.mask(X))), shift)
    expected = kl_divergence(p, moved(made, g / g.norm()))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scope", SCOPES)
def test_gathering_is_the_transpose_of_spreading(scope: Any) -> None:
    seen = clean(model("transformer"), X)
    d, g = random_direction(seen, scope, draw(1)), torch.randn_like(seen.embedding)
    g = g if scope == "table" else g * seen.mask[..., None]  # type: ignore[index]
    there, back = (at_tokens(seen, d, scope) * g).sum(), (d * of_tokens(seen, g, scope)).sum()
    torch.testing.assert_close(there, back)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("direction", ["finite_difference", "exact"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_is_never_perturbed(name: str, direction: Any, scope: Any) -> None:
    seen = clean(model(name, pooling="mean"), X)  # of the largest states some tokens have no part
    vat = VAT(scope=scope, direction=direction)
    r = at_tokens(seen, vat.find_direction(seen, draw()), scope)
    assert (r[~seen.mask] == 0).all()  # type: ignore[index]
    assert (r[seen.mask].abs().sum(1) > 0).all()  # type: ignore[index]
    lengths = r.flatten(1).norm(dim=1)
    if scope == "example":
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
    elif scope == "batch":
        assert lengths.square().sum() == pytest.approx(1)
        assert (lengths < 1).all()


@pytest.mark.parametrize("scope", ["example", "batch"])
def test_a_random_direction_has_its_whole_length_at_tokens(scope: Any) -> None:
    """Also without a power iteration, whose gradient is zero at padding whatever it starts from."""
    seen = clean(model("transformer"), X)
    for d in (random_direction(seen, scope, draw()), VAT(power_iterations=0).find_direction(seen, draw())):
        assert (d[~seen.mask] == 0).all()  # type: ignore[index]
        assert (d[seen.mask] != 0).all()  # type: ignore[index]
    lengths = random_direction(seen, scope, draw()).flatten(1).norm(dim=1)
    if scope == "example":
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
    else:
        assert lengths.square().sum() == pytest.approx(1)


SCOPED = ("vat", "noise_consistency", "fgm")
OF_PICTURES = ("cutmix", "mirror", "random_affine", "random_crop")
ELSEWHERE = ("none", *OF_PICTURES, "gradient_penalty", "mixup")
"""Methods of pictures, and those that go between two items, whose texts are of two lengths."""
MOVING: list[tuple[str, dict[str, Any]]] = [
    *((name, {"scope": scope}) for name in SCOPED for scope in SCOPES),
    *((name, {}) for name in yaml_options("regularizer") if name not in (*SCOPED, *ELSEWHERE)),
    ("vat", {"power_iterations": 0}), ("vat", {"direction": "exact"}), ("vat", {"norm": "linf"}),
    ("adversarial", {"norm": "l2"}), ("input_noise", {"mode": "multiplicative"}),
]  # fmt: skip


@pytest.mark.pairs
@pytest.mark.parametrize(("chosen", "options"), MOVING)
def test_no_pass_of_an_update_sees_padding_moved(chosen: str, options: dict[str, Any]) -> None:
    made = methods(["r_drop", "dropout"]) if chosen == "r_drop" else {chosen: method(chosen, **options)}
    task, seen = classify("transformer", made), list[bool]()

    def look(_model: Any, _args: Any, given: dict[str, Any]) -> None:
        pad = task.model.table()[0]  # type: ignore[operator]
        e, mask = given["embedding"], given["mask"]
        seen.append(bool(torch.equal(e[~mask], pad.expand_as(e[~mask]))))

    task.model.register_forward_pre_hook(look, with_kwargs=True)
    for step in range(2):
        task.step(step)
    assert all(seen)
    assert len(seen) >= 2


def test_noise_and_attacks_leave_padding_alone() -> None:
    seen = clean(model("transformer"), X, Y)
    padding = ~seen.mask  # type: ignore[operator]
    noise = InputNoise(sigma=1.0).batch(seen.batch, draw()).e - seen.embedding
    for r in (noised(seen, 1.0, draw()) - seen.embedding, noise, Adversarial(epsilon=1.0).climb(seen)):
        assert (r[padding] == 0).all()
        assert (r[~padding] != 0).any(1).all()


def test_equal_tokens_move_alike_in_the_table_only() -> None:
    seen = clean(model("gru"), X)
    first = X[:, 0]
    assert len(set(first.tolist())) == 1  # every text begins alike
    for scope in ("example", "table"):
        r = at_tokens(seen, VAT(scope=scope).find_direction(seen, draw()), scope)  # type: ignore[arg-type]
        alike = torch.allclose(r[1:, 0], r[:1, 0].expand_as(r[1:, 0]))
        assert alike == (scope == "table")


@pytest.mark.full
def test_exact_direction_is_the_top_eigenvector_of_a_small_transformer() -> None:
    made = model("transformer", layers=1, seed=3)
    row = made.trimmed(X[:1])
    seen = clean(made, row)
    e, p = seen.embedding.detach(), seen.logits.detach()

    def divergence(r: Tensor) -> Tensor:
        return kl_divergence(p, made(embedding=e + r.view_as(e), mask=seen.mask))

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        hessian = torch.autograd.functional.hessian(divergence, torch.zeros(e.numel(), dtype=e.dtype))
    v = torch.randn_like(e)
    product = exact_product(seen, e, v).flatten()
    torch.testing.assert_close(product, hessian @ v.flatten(), rtol=1e-8, atol=1e-12)
    d = VAT(power_iterations=60, direction="exact").find_direction(seen, draw())
    top = torch.linalg.eigh(hessian)[1][:, -1]
    assert (d.flatten() @ top).abs() == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("scope", SCOPES)
def test_fgm_moves_along_the_gradient_of_what_its_scope_says(scope: Any) -> None:
    made = model("char_cnn")
    seen = clean(made, X, Y)
    found = FGM(epsilon=0.7, alpha=0.0, scope=scope).losses(seen, torch.zeros(len(X)).double()).mean()
    e = seen.embedding.detach().requires_grad_()
    losses = torch.nn.functional.cross_entropy(made(embedding=e, mask=seen.mask), Y, reduction="sum")
    (g,) = torch.autograd.grad(losses, e)
    g = at_tokens(seen, of_tokens(seen, g, scope), scope)
    size = g.flatten(1).norm(dim=1)[:, None, None] if scope == "example" else g.norm()
    if scope == "table":
        size = of_tokens(seen, torch.autograd.grad(
            torch.nn.functional.cross_entropy(made(embedding=e, mask=seen.mask), Y, reduction="sum"), e
        )[0], scope).norm()  # fmt: skip
    attacked = made(embedding=seen.embedding + 0.7 * g / size, mask=seen.mask)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(attacked, Y), rtol=1e-10, atol=0)


def refuses(name: str, chosen: str) -> bool:
    """Methods of pictures; and a recurrent model has no layer that is an activation."""
    on_layers = name == "gru" and chosen in ("dropout", "hidden_noise", "r_drop", "pi_model")
    return on_layers or chosen in OF_PICTURES


@pytest.mark.pairs
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("chosen", [n for n in yaml_options("regularizer") if n != "none"])
def test_every_method_trains_on_texts_or_says_why_not(chosen: str, name: str) -> None:
    names = [chosen, "dropout"] if chosen in ("r_drop", "pi_model") else [chosen]
    if refuses(name, chosen):
        with pytest.raises(InputError, match=r"pictures|no activation is one by itself"):
            classify(name, methods(names))
        return
    task = classify(name, methods(names))
    before = {key: w.clone() for key, w in task.model.state_dict().items()}
    for step in range(2):
        assert all(term.isfinite() for term in task.step(step).values())
    assert not torch.equal(before["output.bias"], task.model.state_dict()["output.bias"])


def test_a_table_is_only_that_of_texts() -> None:
    from conftest import small_task

    for chosen in ("vat", "noise_consistency", "fgm"):
        with pytest.raises(InputError, match=rf"regularizer\.{chosen}: .*no table of embeddings"):
            small_task({chosen: method(chosen, scope="table")})
