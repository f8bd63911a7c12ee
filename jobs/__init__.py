"""One file per step: read, call, write. Each runs alone by spark-submit."""
