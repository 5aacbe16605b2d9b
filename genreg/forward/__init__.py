"""What one step shows a method: passes of a model, and perturbations of what enters it."""
