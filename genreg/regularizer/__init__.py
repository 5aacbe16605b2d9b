"""One file per method; adding one is a file, a YAML that lists its parameters, and a line here."""

from genreg.regularizer.base import Ramp as Ramp
from genreg.regularizer.base import Regularizer as Regularizer
from genreg.regularizer.base import Weight as Weight
from genreg.regularizer.base import added as added
from genreg.regularizer.entropy import Entropy as Entropy
from genreg.regularizer.frobenius import Frobenius as Frobenius
from genreg.regularizer.frobenius import FrobeniusProjection as FrobeniusProjection
from genreg.regularizer.frobenius_normalization import FrobeniusNormalization as FrobeniusNormalization
from genreg.regularizer.gradient_penalty import GradientPenalty as GradientPenalty
from genreg.regularizer.l1 import L1 as L1
from genreg.regularizer.l2 import L2 as L2
from genreg.regularizer.noise_consistency import NoiseConsistency as NoiseConsistency
from genreg.regularizer.orthogonal import Orthogonal as Orthogonal
from genreg.regularizer.spectral_normalization import SpectralNormalization as SpectralNormalization
from genreg.regularizer.spectral_penalty import SpectralPenalty as SpectralPenalty
from genreg.regularizer.spectral_projection import SpectralProjection as SpectralProjection
from genreg.regularizer.vat import VAT as VAT
from genreg.regularizer.weight_clipping import WeightClipping as WeightClipping
