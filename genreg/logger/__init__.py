"""Views of a run's rows in other programs."""

from genreg.logger.mlflow import MLflow as MLflow
from genreg.logger.tensorboard import TensorBoard as TensorBoard
from genreg.logger.trackio import Trackio as Trackio
from genreg.logger.wandb import WandB as WandB
