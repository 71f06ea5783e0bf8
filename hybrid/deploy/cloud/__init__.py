"""The cloud as a process: a bundle in, logits for the bytes of edges out.

bundle       what the cloud needs of a bundle, checked, with its graph warmed up
batching     images that wait become batches; the queue is bounded
refusals     what is answered instead, and with which status
requests     a body within its bounds of length and time; tokens
app          the addresses: an ASGI application
metrics      counters for Prometheus
connections  bounded connections of uvicorn
serving      address, TLS and the server's start
"""
