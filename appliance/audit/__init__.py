"""The audit log: who did what, from where, with what before and after; append-only and chained by hashes."""
