"""What became of one exchange: recorded with times and values, kept as a document, drawn on the policy's text."""
