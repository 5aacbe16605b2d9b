"""What one step shows a method: passes of a model, and perturbations of what enters it."""

from genreg.dataset.base import Batch as Batch
from genreg.forward.base import Forward as Forward
