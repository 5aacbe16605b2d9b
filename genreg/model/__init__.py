"""Models: classifiers with the embed/classify seam, and pairs of players."""

from genreg.model.base import Classifier as Classifier
from genreg.model.conv import Conv as Conv
from genreg.model.gan import DCGan as DCGan
from genreg.model.gan import Gan as Gan
from genreg.model.gan import MLPGan as MLPGan
from genreg.model.gan import ResNetGan as ResNetGan
from genreg.model.mlp import MLP as MLP
from genreg.model.own import Wrapped as Wrapped
from genreg.model.resnet import ResNet as ResNet
from genreg.model.text import GRU as GRU
from genreg.model.text import Bert as Bert
from genreg.model.text import CharCNN as CharCNN
from genreg.model.text import PretrainedEncoder as PretrainedEncoder
from genreg.model.text import TextClassifier as TextClassifier
from genreg.model.text import Transformer as Transformer
