"""Classifiers of texts, which enter as rows of token numbers."""

from genreg.model.text.base import TextClassifier as TextClassifier
from genreg.model.text.char_cnn import CharCNN as CharCNN
from genreg.model.text.encoder import Bert as Bert
from genreg.model.text.gru import GRU as GRU
from genreg.model.text.pretrained_encoder import PretrainedEncoder as PretrainedEncoder
from genreg.model.text.transformer import Transformer as Transformer
