"""What llama.cpp can bind an answer to: it makes a grammar of a schema."""

RESPONSE_FORMATS = ("json_object", "json_schema")
