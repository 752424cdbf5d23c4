"""Configuration: one frozen model for each section of `sia.yaml`, one file a subject.

Reading the file is `adapters/config`. Import from the subject's file.
"""
