"""What is shown to the pretend device: every option in the tasks that take it, and variants of some."""

from collections.abc import Iterator

from conftest import REPOSITORY, yaml_options

PLAIN = ["logger=none", "seed=3"]
MLP = ["dataset=two_moons", "model.widths=[8]", "model.batch_norm=true", "model.dropout=0.2",
       "task.batch_size=8", "task.unlabeled_batch_size=16"]  # fmt: skip
MLP_OF_PICTURES = [*MLP[1:], "dataset=npz", "dataset.labeled=20", "dataset.validation=20"]
VAT = [*MLP, "regularizer=vat"]
PICTURES = ["dataset=npz", "dataset.labeled=20", "dataset.validation=20"]
CONV = [*PICTURES, "model.widths=[4,4,4,4,4]", "regularizer=vat", "task.batch_size=4",
        "task.unlabeled_batch_size=4"]  # fmt: skip
RING = ["dataset.items=400", "dataset.validation=100", "dataset.test=100", "dataset.labeled=50"]
GAN = ["task=wgan", *RING, "model.widths=[8,8]", "model.generator_widths=[8]", "task.critic_steps=2",
       "task.batch_size=8", "measure.sliced_wasserstein.samples=50"]  # fmt: skip
CLIPPED = [*GAN, "regularizer=weight_clipping"]
PICTURE_GAN = ["task=wgan", *PICTURES, "task.critic_steps=2", "task.batch_size=4", "measure=none",
               "model.width=4"]  # fmt: skip
TEXTS = ["dataset=text_csv", "dataset.min_count=1", "dataset.max_length=8", "model.width=8",
         "task.batch_size=8", "optimizer=sgd", "dataset.stratify=false"]  # fmt: skip
POOL = ["task.unlabeled_batch_size=8"]
VALLEY = ["task=landscape", "model.replicas=3"]

NEEDS_FILES = ("cifar10", "cifar100", "emoji32", "fashion_mnist", "mnist", "rt_polarity", "rt_polarity_ngram",
               "svhn", "text_csv", "zh_sentiment", "zh_sentiment_ngram", "image_folder", "none")  # fmt: skip
OF_A_CRITIC = ("dropout", "frobenius", "frobenius_normalization", "frobenius_projection", "gradient_penalty",
               "hidden_noise", "l1", "l2", "orthogonal", "spectral_normalization", "spectral_penalty",
               "spectral_projection", "weight_average", "weight_clipping", "weight_noise")  # fmt: skip
ON_PICTURES = ("cutmix", "mirror", "random_affine", "random_crop")
OF_A_GENERATOR = ("conditional_wasserstein", "critic_wasserstein", "fid", "gradient_norm", "kid",
                  "lipschitz", "modes", "precision_recall", "sliced_wasserstein", "wasserstein")  # fmt: skip
OF_PICTURES = ("fid", "kid", "precision_recall")
UNSEEN = ("gru", "pretrained_encoder")  # needs a fused kernel of torch; needs an encoder's files
TEXT_MODELS = {"bert": ["model.layers=1", "model.heads=2", "model.positions=8"], "char_cnn": [],
               "transformer": ["model.layers=1", "model.heads=2"]}  # fmt: skip
LANDSCAPES = ("matrix_sensing", "quadratic", "quadratic_parametrized", "rosenbrock", "widening_valley")


def cases() -> Iterator[tuple[str, list[str]]]:
    """Name and overrides of every case: each option in the tasks that take it, and variants of some."""
    yield from ((f"model={name}", _model(name)) for name in yaml_options("model")
                if name not in UNSEEN)  # fmt: skip
    for name in yaml_options("regularizer"):
        yield (
            f"regularizer={name}",
            [*(MLP_OF_PICTURES if name in ON_PICTURES else MLP), f"regularizer={name}"],
        )
    for name in OF_A_CRITIC:
        yield f"critic {name}", [*GAN, f"regularizer={name}"]
    for path in sorted((REPOSITORY / "examples" / "regularizer").glob("*.yaml")):
        yield f"example {path.stem}", [*MLP, f"hydra.searchpath=[file://{REPOSITORY}/examples]",
                                       f"regularizer={path.stem}"]  # fmt: skip
    for name in yaml_options("optimizer"):
        yield f"optimizer={name}", [*VAT, f"optimizer={name}"]
        yield f"landscape {name}", [*VALLEY, f"optimizer={name}"]
        yield (
            f"players {name}",
            [*GAN, f"optimizer={name}", "optimizer.lr=1e-4", "regularizer=weight_clipping"],
        )
    yield from ((f"scheduler={name}", [*VAT, f"scheduler={name}"]) for name in yaml_options("scheduler"))
    yield from ((f"loss={name}", [*MLP, f"loss={name}"]) for name in yaml_options("loss") if name != "none")
    yield from ((f"dataset={name}", _dataset(name)) for name in yaml_options("dataset")
                if name not in NEEDS_FILES)  # fmt: skip
    yield from ((f"measure={name}", _measure(name)) for name in yaml_options("measure"))
    yield from VARIANTS.items()


def _model(name: str) -> list[str]:
    chosen = f"model={name}"
    if name in LANDSCAPES:
        return ["task=landscape", chosen, "model.replicas=3", "optimizer=anti_pgd", "optimizer.lr=1e-4"]
    if name.startswith("conv"):
        return [*CONV, chosen]
    if name == "resnet18":
        return [*CONV, chosen, "model.widths=[4,4]", "model.blocks=[1,1]"]
    if name in TEXT_MODELS:
        return [*TEXTS, *POOL, "regularizer=vat", chosen, *TEXT_MODELS[name]]
    if name == "mlp_gan":
        return GAN
    return [*PICTURE_GAN, chosen] if name.endswith("gan") else [*PICTURES, "regularizer=vat", chosen]


def _dataset(name: str) -> list[str]:
    if name == "swiss_roll":
        return [*[o for o in GAN if o != "dataset.labeled=50"], "dataset=swiss_roll"]
    chosen = [o for o in MLP if not o.startswith("dataset=")] + [f"dataset={name}"]
    more = {"diabetes": ["loss=mse"], "npz": PICTURES}
    return [*chosen, *more.get(name, [])]


def _measure(name: str) -> list[str]:
    small = {"lipschitz_lower": ["items=4", "steps=2"],
             "hessian_trace": ["max_samples=8"], "hessian_negative_share": ["max_samples=2", "steps=5"],
             "hessian_eigenvalue": ["max_products=10"]}  # fmt: skip
    chosen = [f"measure={name}", *(f"measure.{name}.{value}" for value in small.get(name, []))]
    if name in OF_PICTURES:
        return [*PICTURE_GAN, "model=dcgan", "features=random", "features.width=2", *chosen,
                f"measure.{name}.samples=50"]  # fmt: skip
    if name.startswith("conditional"):
        chosen.append("task.conditional=true")
    if name in OF_A_GENERATOR:
        return [*GAN[:-1], *chosen, f"measure.{name}.samples=50"]
    return [*MLP, *chosen]


EXACT = "regularizer.vat.direction=exact"
VARIANTS = {
    "vat exact": [*VAT, EXACT, "regularizer.vat.power_iterations=2"],
    "vat exact of a conv net with dropout": [*CONV, "model=conv_small", EXACT],
    "vat flow": [*VAT, "regularizer.vat.target=flow", "regularizer.vat.norm=linf"],
    "vat batch": [*VAT, "regularizer.vat.scope=batch"],
    "many methods": [*MLP, "regularizer=[vat,entropy,noise_consistency,l2,spectral_normalization]"],
    "vat and anti_pgd of signs": [*VAT, "optimizer=anti_pgd", "optimizer.noise=rademacher"],
    "landscape and pgd of signs": [*VALLEY, "optimizer=pgd", "optimizer.noise=rademacher"],
    "anti_pgd around adam": [*VAT, "optimizer=anti_pgd", "optimizer.base=adam", "optimizer.lr=1e-3"],
    "adaptive sam": [*VAT, "optimizer=sam", "optimizer.adaptive=true"],
    "conditional average": [*GAN, "task.conditional=true", "task.ema_decay=0.9", "task.loss=hinge"],
    "double backward": [*GAN, "regularizer=gradient_penalty", "task.loss=nonsaturating",
                        "regularizer.gradient_penalty.implementation=double_backward"],
    "interpolates across classes": [*GAN, "task.conditional=true", "regularizer=gradient_penalty",
                                    "regularizer.gradient_penalty.interpolate=across"],
    "batch norm in the critic": [*PICTURE_GAN, "model=dcgan", "model.critic_norm=batch",
                                 "regularizer=spectral_normalization"],
    "fully conditional pictures": [*PICTURE_GAN, "model=resnet_gan", "task.conditional=true",
                                   "regularizer=gradient_penalty"],
    "a table of embeddings": [*TEXTS, *POOL, "model=transformer", "regularizer=[vat,fgm]",
                              "regularizer.vat.scope=table", "regularizer.fgm.scope=table",
                              "model.normalize_embeddings=true"],
    "attention, differentiated twice": [*TEXTS, *POOL, "model=transformer",
                                        "regularizer=[vat,jacobian_penalty]", EXACT],
    "two updates a step": [*TEXTS, *POOL, "task=alternate", "model=transformer", "regularizer=vat"],
    "hidden tokens": ["task=pretrain", *TEXTS, "model=transformer"],
    "the next token": ["task=pretrain", *TEXTS, "model=transformer", "model.causal=true",
                       "task.objective=next"],
    "a critic under sam": [*PICTURE_GAN, "model=dcgan", "model.critic_norm=batch", "optimizer=sam"],
}  # fmt: skip
CASES = dict(cases())
