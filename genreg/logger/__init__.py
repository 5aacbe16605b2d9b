"""Views of a run's rows: Weights & Biases and TensorBoard."""

from genreg.logger.tensorboard import TensorBoard as TensorBoard
from genreg.logger.wandb import WandB as WandB
