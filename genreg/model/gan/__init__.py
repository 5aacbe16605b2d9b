"""Pairs of a generator and a critic."""

from genreg.model.gan.base import Critic as Critic
from genreg.model.gan.base import Gan as Gan
from genreg.model.gan.base import Generator as Generator
from genreg.model.gan.dcgan import DCGan as DCGan
from genreg.model.gan.mlp import MLPGan as MLPGan
from genreg.model.gan.resnet import ResNetGan as ResNetGan
