"""Analytic landscapes: losses of the weights alone, with known gradients, curvature and minima."""

from genreg.model.landscape.base import Landscape as Landscape
from genreg.model.landscape.matrix_sensing import MatrixSensing as MatrixSensing
from genreg.model.landscape.own import OwnLandscape as OwnLandscape
from genreg.model.landscape.quadratic import Quadratic as Quadratic
from genreg.model.landscape.quadratic import QuadraticParametrized as QuadraticParametrized
from genreg.model.landscape.rosenbrock import Rosenbrock as Rosenbrock
from genreg.model.landscape.valley import WideningValley as WideningValley
