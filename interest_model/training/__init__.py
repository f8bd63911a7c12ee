"""Training: snapshots, batches, losses and the loop; the registry, and the gate to it."""
