"""Run folder, durable commit, checkpoints, index, receipt, model folder, report."""
