"""The pages in a real Chromium, over a real service that real senders told of requests."""
