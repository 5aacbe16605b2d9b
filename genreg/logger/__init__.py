"""Views of a run's rows: Weights & Biases and TensorBoard."""

from genreg.logger.base import Guarded as Guarded
from genreg.logger.base import Logger as Logger
from genreg.logger.tensorboard import TensorBoard as TensorBoard
from genreg.logger.wandb import WandB as WandB
