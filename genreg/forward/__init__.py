"""The view of one step that methods have: passes of a model, and perturbations of its input."""

from genreg.dataset.base import Batch as Batch
from genreg.forward.base import Forward as Forward
