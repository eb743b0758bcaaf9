"""What users declare: instruments, registries, domains, and snapshots of them."""
