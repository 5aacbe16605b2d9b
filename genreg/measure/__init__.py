"""Pure functions of a model and data, each with its standard error."""

from genreg.measure.classification import accuracy as accuracy
from genreg.measure.classification import cross_entropy as cross_entropy
from genreg.measure.classification import predict as predict
from genreg.measure.estimate import Estimate as Estimate
from genreg.measure.lds import LDS as LDS
