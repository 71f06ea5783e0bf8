"""Deployment forms and cloud segments as ONNX graphs."""
