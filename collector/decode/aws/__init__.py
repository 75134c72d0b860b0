"""
Envelopes of AWS: Firehose deliveries and CloudWatch Logs.
"""
