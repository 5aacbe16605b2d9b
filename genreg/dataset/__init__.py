"""Data sets: whole on the device as tensors, indexed there."""

from genreg.dataset.base import Batch as Batch
from genreg.dataset.base import Dataset as Dataset
from genreg.dataset.base import Modes as Modes
from genreg.dataset.base import Split as Split
from genreg.dataset.base import drawn as drawn
from genreg.dataset.cifar import cifar10 as cifar10
from genreg.dataset.cifar import cifar100 as cifar100
from genreg.dataset.corruption import Kind as Kind
from genreg.dataset.corruption import corrupted as corrupted
from genreg.dataset.corruption import mislabeled as mislabeled
from genreg.dataset.diabetes import diabetes as diabetes
from genreg.dataset.emoji32 import emoji32 as emoji32
from genreg.dataset.gaussians import gaussian_grid as gaussian_grid
from genreg.dataset.gaussians import gaussian_ring as gaussian_ring
from genreg.dataset.image_folder import image_folder as image_folder
from genreg.dataset.images import digits as digits
from genreg.dataset.images import mnist as mnist
from genreg.dataset.npz import npz as npz
from genreg.dataset.rt_polarity import rt_polarity as rt_polarity
from genreg.dataset.svhn import svhn as svhn
from genreg.dataset.swiss_roll import swiss_roll as swiss_roll
from genreg.dataset.table import table as table
from genreg.dataset.text_csv import text_csv as text_csv
from genreg.dataset.two_moons import two_moons as two_moons
from genreg.dataset.zh_sentiment import zh_sentiment as zh_sentiment
from genreg.dataset.zh_sentiment_ngram import zh_sentiment_ngram as zh_sentiment_ngram
