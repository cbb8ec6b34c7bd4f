"""The `web` corpus: demonstrations of speech systems, fetched from public Git repositories."""
