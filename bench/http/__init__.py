"""What it adds to a request over HTTP, on uvicorn."""
