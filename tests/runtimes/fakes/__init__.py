"""Three runtimes without an engine, one a shape of work: a token stream, a shot over arrays, forty steps."""
