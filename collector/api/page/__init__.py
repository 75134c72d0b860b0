"""
The web pages: files of this folder, served as they are.
"""
