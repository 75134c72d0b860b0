"""
What is learned in the background from what is stored: lags, clocks, likely partners.
"""
