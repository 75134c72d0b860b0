"""What is deployed with Hopline: gateway and mesh configuration, and the demo."""
