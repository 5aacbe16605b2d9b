"""The published code's objectives in float64, beside ours with translated parameters: of passes and losses.

Each function is a pair, ours and theirs, that must agree; `test_translation` has those of noise and weights.
"""

from typing import Any

import torch
import torch.nn.functional as F
from conftest import classifier, normal
from reviews import clean, model, reviews
from torch import Tensor, nn

from genreg import regularizer as r
from genreg import streams
from genreg.dataset import Batch
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward
from genreg.forward.critic import CriticForward
from genreg.model import MLPGan
from genreg.model.statistics import RunningStatistics
from genreg.regularizer.matrices import linear_layers
from genreg.regularizer.mixing import symmetric_beta

X, Y, POOL = normal(8, 5), torch.arange(8) % 3, normal(12, 5, seed=1)
B, K = len(X), 3
Pair = tuple[Any, Any]


def passes(net: nn.Module, method: r.Regularizer | None = None, loss: Any = None, y: Tensor = Y) -> Any:
    """The pass over X as the method changes it, with that over the pool."""
    draws = Draws(0, 0, X.device)
    batch = Batch(X, y, classes=0 if loss else K)
    batch = method.batch(batch, draws["m"]) if method else batch
    pool = ClassifierForward(net, Batch(POOL, Y[:0], classes=K), draws=draws)
    return ClassifierForward(net, batch, draws=draws, loss=loss, masks=1, unlabeled=pool).of("m")


def ours(method: r.Regularizer, net: nn.Module, loss: Any = None, y: Tensor = Y, seen: Any = None) -> Tensor:
    """What `task=classify` minimizes."""
    seen = seen or passes(net, method, loss, y)
    losses = method.losses(seen, seen.loss(seen.logits, seen.batch))
    return r.penalized(losses.mean(), {"m": method}, seen, 0)[0]


def ce(logits: Tensor, y: Tensor = Y, **options: Any) -> Tensor:
    return F.cross_entropy(logits, y, **options)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of logits, of each item."""
    return (p.softmax(1) * (p.log_softmax(1) - q.log_softmax(1))).sum(1)


def unit(d: Tensor) -> Tensor:
    """takerum/vat_tf, get_normalized_vector, without its small constants."""
    return d / d.flatten(1).norm(dim=1)[:, None]


def weights(net: nn.Module) -> list[Any]:
    return [layer.weight for layer in linear_layers(net)]


def adversarial() -> Pair:
    """MadryLab/cifar10_challenge on pixels of 0 to 255, without the cut to their range."""
    net, x = classifier(), 255 * X
    start = 255 * (2 * torch.rand(X.shape, dtype=X.dtype, generator=Draws(0, 0, X.device)["m"]) - 1) * 8 / 255
    adv = x + start
    for _ in range(3):
        adv = adv.detach().requires_grad_()
        (g,) = torch.autograd.grad(ce(net(adv / 255)), adv)
        adv = torch.minimum(torch.maximum(adv + 2 * g.sign(), x - 8), x + 8)
    method = r.Adversarial(epsilon=8 / 255, step_size=2 / 255, ascent_steps=3)
    return ours(method, net), ce(net(adv / 255))


def entropy() -> Pair:
    """takerum/vat_tf, entropy_y_x."""
    net = classifier()
    p = net(POOL).softmax(1)
    H = -(p * p.log()).sum(1)
    sums = (B * ce(net(X)) + 0.3 * H.sum()) / B  # of log likelihoods and lambda times entropies
    found = [ours(r.Entropy(weight=w), net) for w in (1.0, 0.3 * len(POOL) / B)]
    return torch.stack(found), torch.stack([ce(net(X)) + H.mean(), sums])


def fgm() -> Pair:
    """Attack, second backward pass, restore: gradients of both losses add up in the weights."""
    net, x, y = model("gru"), reviews().labeled.x, reviews().labeled.y
    table = net.embeddings.weight
    loss = ce(net(net.trimmed(x)), y)
    (g,) = torch.autograd.grad(loss, table)
    found = 2 * ours(r.FGM(epsilon=0.7, scope="table"), net, seen=clean(net, x, y).of("m"))
    with torch.no_grad():
        table.add_(0.7 * g / g.norm())
        attacked = ce(net(net.trimmed(x)), y)
        table.sub_(0.7 * g / g.norm())
    return found, loss + attacked


def fgsm() -> Pair:
    net, x = classifier(), X.clone().requires_grad_()
    (g,) = torch.autograd.grad(ce(net(x)), x)
    theirs = 0.5 * ce(net(X)) + (1 - 0.5) * ce(net(X + 0.25 * g.sign()))
    return ours(r.FGSM(epsilon=0.25, alpha=0.5), net), theirs


def gradient_penalty() -> Pair:
    """igul222/improved_wgan_training, LAMBDA 10, and gamma / 2 |grad|^2 as weight gamma / 2 at target 0."""
    critic = MLPGan(input_shape=[5], classes=0, widths=[6], generator_widths=[6]).double().critic
    seen = CriticForward(
        critic, X, POOL[:8], None, draws=Draws(0, 0, X.device), statistics=RunningStatistics(critic),
        autocast=torch.no_grad,
    )  # fmt: skip
    x = seen.points.clone().requires_grad_()
    (g,) = torch.autograd.grad(critic(x).sum(), x)
    found = [r.penalized(torch.zeros(()), {"m": m}, seen, 0)[0] for m in (
        r.GradientPenalty(weight=10.0), r.GradientPenalty(weight=3.0 / 2, target=0.0))]  # fmt: skip
    theirs = [10 * ((g.square().sum(1).sqrt() - 1) ** 2).mean(), 3.0 / 2 * g.square().sum(1).mean()]
    return torch.stack(found), torch.stack(theirs)


def jacobian_penalty() -> Pair:
    """facebookresearch/jacobian_regularizer, exact: lambda times half the squared Jacobian."""
    net = classifier()
    J = torch.stack([torch.autograd.functional.jacobian(net, x[None])[0, :, 0] for x in X])
    lam = 0.4
    found = ours(r.JacobianPenalty(weight=lam / 2 / 0.1**2, sigma=0.1, divergence="mse"), net)
    return found, ce(net(X)) + lam * J.square().sum() / 2 / B


def label_smoothing() -> Pair:
    """torch's label_smoothing, and fairseq's eps, which leaves the true class out: epsilon K / (K - 1)."""
    net, eps = classifier(), 0.2
    log_p = net(X).log_softmax(1)
    nll, each = -log_p.gather(1, Y[:, None]).mean(), -log_p.sum(1).mean()
    fairseq = (1 - eps - eps / (K - 1)) * nll + eps / (K - 1) * each
    found = [ours(r.LabelSmoothing(epsilon=e), net) for e in (eps, eps * K / (K - 1))]
    return torch.stack(found), torch.stack([ce(net(X), label_smoothing=eps), fairseq])


def laplacian_penalty() -> Pair:
    net = classifier()
    traces = [torch.autograd.functional.hessian(lambda e, y=y: ce(net(e[None]), y[None]), x).trace()
              for x, y in zip(X, Y, strict=True)]  # fmt: skip
    return ours(r.LaplacianPenalty(sigma=0.3), net), ce(net(X)) + 0.3**2 / 2 * torch.stack(traces).mean()


def loss_gradient_penalty() -> Pair:
    """bert4keras: 0.5 times the squared gradient of the batch's mean loss, in inputs that no items share."""
    net, x = classifier(), X.clone().requires_grad_()
    (g,) = torch.autograd.grad(ce(net(x)), x)
    return ours(r.LossGradientPenalty(weight=0.5 / B), net), ce(net(X)) + 0.5 * (g**2).sum()


def vat_tf(net: nn.Module, epsilon: float, xi: float, iterations: int) -> Tensor:
    """takerum/vat_tf, vat.py: the pool's term."""
    d = torch.randn(POOL.shape, dtype=POOL.dtype, generator=Draws(0, 0, X.device)["m"])
    p = net(POOL).detach()
    for _ in range(iterations):
        d = (xi * unit(d)).requires_grad_()
        (d,) = torch.autograd.grad(kl(p, net(POOL + d)).mean(), d)
    return kl(p, net(POOL + epsilon * unit(d))).mean()


def noise_consistency() -> Pair:
    net = classifier()
    return ours(r.NoiseConsistency(epsilon=0.8), net), ce(net(X)) + vat_tf(net, 0.8, 1e-2, 0)


def vat() -> Pair:
    net = classifier()
    found = [ours(r.VAT(weight=w, epsilon=2.0, xi=1e-2, power_iterations=2), net) for w in (0.7, 0.7 / K)]
    averaged = vat_tf(net, 2.0, 1e-2, 2) / K  # by torch's kl_div with reduction="mean"
    assert averaged > 0
    return torch.stack(found), ce(net(X)) + torch.stack([0.7 * K * averaged, 0.7 * averaged])


def r_drop() -> Pair:
    """The paper's sum with alpha; kexue.fm 8496, alpha / 4 on both divergences; dropreg/R-Drop's BERT, which
    sums divergences over the batch: halves of the first and the last, and the second, are ours."""
    net, alpha = classifier(dropout=0.5), 0.9
    seen = passes(net)
    p, q = seen.logits, seen.again()
    assert not torch.equal(p, q)
    both, divergence = ce(p) + ce(q), kl(p, q) + kl(q, p)
    paper = both + alpha * divergence.mean() / 2
    kexue = ce(torch.cat((p, q)), torch.cat((Y, Y))) + divergence.mean() / 4 * alpha
    bert = both + alpha * divergence.sum() / 2
    found = [ours(r.RDrop(weight=w), net, seen=seen) for w in (alpha / 2, alpha / 2, alpha * B / 2)]
    return torch.stack(found), torch.stack([paper / 2, kexue, bert / 2])


def of_oliver(student: Tensor, target: Tensor, net: nn.Module, multiplier: float, mode: str) -> Tensor:
    """brain-research/realistic-ssl-evaluation: sums over both batches, divided by all of their items."""
    if mode == "mean_squared_error":
        term = (student.softmax(1) - target.softmax(1)).square().mean(1)
    else:
        term = kl(target, student)
    return (ce(net(X)) * B + multiplier * term.sum()) / (B + len(POOL))


def pi_model() -> Pair:
    net, multiplier = classifier(dropout=0.5), 20.0
    seen, weight = passes(net), multiplier * len(POOL) / (B * K)
    p, q = seen.unlabeled.logits, seen.unlabeled.again()
    found = ours(r.PiModel(weight=weight, target="stop"), net, seen=seen)
    streams.begin_pass(1, X.device)  # the labeled pass under its mask
    return found * B / (B + len(POOL)), of_oliver(p, q.detach(), net, multiplier, "mean_squared_error")


def mean_teacher() -> Pair:
    net, multiplier = classifier(), 8.0
    method = r.MeanTeacher(weight=multiplier * len(POOL) / (B * K), decay=0.95)
    method.attach(net)
    start = [p.detach().clone() for p in net.parameters()]
    with torch.no_grad():
        [p.add_(1.0) for p in net.parameters()]
    method.project(net)
    averaged = [0.95 * s + 0.05 * p for s, p in zip(start, net.parameters(), strict=True)]
    names = [name for name, _ in net.named_parameters()]
    teacher = torch.func.functional_call(net, dict(zip(names, averaged, strict=True)), POOL)
    theirs = of_oliver(net(POOL), teacher, net, multiplier, "mean_squared_error")
    return ours(method, net) * B / (B + len(POOL)), theirs


def pseudo_label() -> Pair:
    """The gradient of Oliver's divergence from almost one-hot targets, and Lee's mean over both batches."""
    net, multiplier, threshold = classifier(), 0.6, 0.4
    logits = net(POOL)
    sure = (logits.softmax(1).amax(1, keepdim=True) > threshold).double()
    assert 0 < sure.sum() < len(POOL)
    hard = F.one_hot(logits.argmax(1), K).double()
    target = (sure * 1e3 * hard + (1 - sure) * logits).detach()  # 10 there: one-hot but for 4e-4
    theirs = of_oliver(logits, target, net, multiplier, "reverse_kl")
    method = r.PseudoLabel(weight=multiplier * len(POOL) / B, threshold=threshold)
    lee = ce(net(X)) + 0.3 * -(hard * net(POOL).log_softmax(1)).sum(1).mean()
    found = ours(r.PseudoLabel(weight=0.3, threshold=0.0), net)
    slopes = [torch.autograd.grad(loss, weights(net)[0])[0] for loss in (
        ours(method, net) * B / (B + len(POOL)), theirs, found, lee)]  # fmt: skip
    return [slopes[0], slopes[2], found], [slopes[1], slopes[3], lee]


def mixup() -> Pair:
    """facebookresearch/mixup-cifar10: the loss against both targets."""
    net, draw = classifier(), Draws(0, 0, X.device)["m"]
    u, v = torch.rand(2, 1, dtype=X.dtype, generator=draw)
    lam, index = float(symmetric_beta(0.3, u, v)), torch.randperm(B, generator=draw)
    outputs = net(lam * X + (1 - lam) * X[index])
    return ours(r.Mixup(alpha=0.3), net), lam * ce(outputs) + (1 - lam) * ce(outputs, Y[index])


def flooding() -> Pair:
    """takashiishida/flooding, above the level and below it."""
    net, theirs = classifier(), []
    for b in (0.5, 2.0):
        loss = ce(net(X))
        theirs.append((loss - b).abs() + b)
    return torch.stack([ours(r.Flooding(level=b), net) for b in (0.5, 2.0)]), torch.stack(theirs)


CASES = (
    mixup, flooding, pi_model, mean_teacher, pseudo_label, adversarial, entropy, fgm, fgsm, gradient_penalty,
    jacobian_penalty, label_smoothing, laplacian_penalty, loss_gradient_penalty, noise_consistency, vat,
    r_drop,
)  # fmt: skip
