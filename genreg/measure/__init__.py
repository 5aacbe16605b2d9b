"""Pure functions of a model and data, each with its standard error."""

from genreg.measure.classification import accuracy as accuracy
from genreg.measure.classification import cross_entropy as cross_entropy
from genreg.measure.classification import predict as predict
from genreg.measure.curvature import GradientNoise as GradientNoise
from genreg.measure.curvature import HessianEigenvalue as HessianEigenvalue
from genreg.measure.curvature import HessianNegativeShare as HessianNegativeShare
from genreg.measure.curvature import HessianTrace as HessianTrace
from genreg.measure.curvature import Sharpness as Sharpness
from genreg.measure.estimate import Estimate as Estimate
from genreg.measure.hessian import Hessian as Hessian
from genreg.measure.hessian import hessian_trace as hessian_trace
from genreg.measure.lanczos import hessian_density as hessian_density
from genreg.measure.lanczos import hessian_eigenvalues as hessian_eigenvalues
from genreg.measure.lds import LDS as LDS
from genreg.measure.sharpness import gradient_noise as gradient_noise
from genreg.measure.sharpness import sharpness as sharpness
