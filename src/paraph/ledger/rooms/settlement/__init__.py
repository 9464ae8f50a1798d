"""Receipts become payments: each is verified, debited once, split and kept under a batch root."""
