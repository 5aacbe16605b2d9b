"""Classifiers with the embed/classify seam."""

from genreg.model.base import Classifier as Classifier
from genreg.model.conv import Conv as Conv
from genreg.model.mlp import MLP as MLP
from genreg.model.resnet import ResNet as ResNet
