"""A client of served runs, over gRPC or REST."""
