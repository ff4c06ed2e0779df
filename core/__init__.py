"""Gradient Lab without its screen: lessons, training, runs. Nothing here but `core.ui` knows Streamlit."""
