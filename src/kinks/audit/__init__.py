"""Audits: where are exact kinks met, and do gradients depend on the derivative chosen there?"""
