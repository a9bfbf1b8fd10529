"""Tasks: features, head, decoding and metric of a kind of experiment."""
