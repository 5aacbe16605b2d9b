"""One file per method; adding one is a file, a YAML that lists its parameters, and a line here."""

from genreg.regularizer.adversarial import Adversarial as Adversarial
from genreg.regularizer.base import Ramp as Ramp
from genreg.regularizer.base import Regularizer as Regularizer
from genreg.regularizer.base import Weight as Weight
from genreg.regularizer.base import added as added
from genreg.regularizer.dropout import Dropout as Dropout
from genreg.regularizer.entropy import Entropy as Entropy
from genreg.regularizer.fgm import FGM as FGM
from genreg.regularizer.fgsm import FGSM as FGSM
from genreg.regularizer.frobenius import Frobenius as Frobenius
from genreg.regularizer.frobenius import FrobeniusProjection as FrobeniusProjection
from genreg.regularizer.gradient_penalty import GradientPenalty as GradientPenalty
from genreg.regularizer.hidden_noise import HiddenNoise as HiddenNoise
from genreg.regularizer.input_noise import InputNoise as InputNoise
from genreg.regularizer.jacobian_penalty import JacobianPenalty as JacobianPenalty
from genreg.regularizer.l2 import L2 as L2
from genreg.regularizer.label_smoothing import LabelSmoothing as LabelSmoothing
from genreg.regularizer.laplacian_penalty import LaplacianPenalty as LaplacianPenalty
from genreg.regularizer.loss_gradient_penalty import LossGradientPenalty as LossGradientPenalty
from genreg.regularizer.noise_consistency import NoiseConsistency as NoiseConsistency
from genreg.regularizer.r_drop import RDrop as RDrop
from genreg.regularizer.random_affine import RandomAffine as RandomAffine
from genreg.regularizer.spectral_normalization import SpectralNormalization as SpectralNormalization
from genreg.regularizer.vat import VAT as VAT
from genreg.regularizer.weight_clipping import WeightClipping as WeightClipping
from genreg.regularizer.weight_noise import WeightNoise as WeightNoise
