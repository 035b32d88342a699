"""What the kernel tells and does: processes, control groups, files, pipes."""
