"""The only part of `core` that imports Streamlit: knob widgets, the player, what the pages are made of."""
