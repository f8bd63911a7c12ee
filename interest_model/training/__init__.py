"""Training: batches from histories, losses and the loop. torch, no Spark."""
