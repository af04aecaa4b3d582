"""Parts that serial protocols share: line splitting, frame sync, digests of records."""
