"""The bytes: content-addressed blobs, proofs that they are whole, folders linked from them."""
