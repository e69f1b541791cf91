"""Rows that are durable at once and reach the tables later, in batches."""
