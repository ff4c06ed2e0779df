"""The look that Streamlit's theme does not reach: spacing, cards, and large type for a room."""

import streamlit as st

# Drawn here, since Streamlit fetches icons by name from another host, and there may be no network.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f83d6"/>'
    '<path d="M5 8c5 0 5 15 11 15s4-6 11-6" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>'
)

COMPARE_ICON = ":material/stacked_line_chart:"

EVERYWHERE = """
<style>
[data-testid="stMainBlockContainer"] { max-width: 1480px; padding-top: 4.2rem; padding-bottom: 3rem; }
[data-testid="stMain"] h1 { font-size: 2rem; line-height: 1.2; padding: 0 0 .2rem; }
[data-testid="stMain"] h2 { font-size: 1.35rem; }
[data-testid="stMain"] h3 { font-size: 1.1rem; }
[data-testid="stCaptionContainer"] { opacity: .78; }
/* The theme's blue is for white type on it; as type on the page's own ground it takes these two. */
[data-testid="stSliderThumbValue"] p, button[data-selected="true"] p { color: light-dark(#155a96, #7fbcf2); }
.gl-files { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; margin: 0; }
.gl-files a { color: inherit; }
.gl-card { display: block; border-radius: .5rem; overflow: hidden; background: rgba(128,140,155,.10); }
.gl-card img { display: block; width: 100%; aspect-ratio: 16 / 9; }
/* The first link below a picture reaches over it. */
[class*="st-key-card-"] { position: relative; }
[class*="st-key-card-"] :is([data-testid="stElementContainer"], [data-testid="stLayoutWrapper"],
  [data-testid="stHorizontalBlock"], [data-testid="stPageLink"]) { position: static; }
[class*="st-key-card-"] [data-testid="stElementContainer"]:nth-child(1 of :has(a)) a::after {
  content: ""; position: absolute; top: 0; left: 0; width: 100%; aspect-ratio: 16 / 9;
}
.gl-card .gl-none { display: grid; place-items: center; aspect-ratio: 16 / 9; opacity: .7; }
.gl-qr { display: block; max-width: 100%; border-radius: .5rem; background: #fff; }
.gl-invited { margin: .6rem 0 0; text-align: center; font-size: clamp(1.4rem, 5vw, 2.6rem); line-height: 1.3; }
.gl-votes { width: 100%; border-collapse: collapse; }
.gl-votes th { padding: .2rem 1rem .2rem 0; font-weight: 400; text-align: left; }
.gl-votes td:nth-child(2) { padding-right: .8rem; text-align: right; font-variant-numeric: tabular-nums; }
.gl-votes td:last-child { width: 70%; }
.gl-votes div { height: 1rem; min-width: 2px; border-radius: .25rem; background: #1f83d6; }
.gl-beside { overflow-x: auto; }
.gl-beside table { border-collapse: collapse; font-size: .93rem; line-height: 1.35; }
.gl-beside th, .gl-beside td { padding: .35rem 1.6rem .35rem 0; text-align: left; vertical-align: top; }
.gl-beside tbody th { font-weight: 400; }
.gl-beside tr { border-bottom: 1px solid rgba(128,140,155,.3); }
.gl-beside thead th { font-weight: 600; min-width: 8rem; max-width: 20rem; }
.gl-beside tbody th { min-width: 7rem; max-width: 22rem; overflow-wrap: anywhere; }
.gl-beside td { font-variant-numeric: tabular-nums; }
.gl-beside td span { display: inline-block; min-width: 5.2em; }
.gl-beside small { display: inline-block; margin-right: 1.2em; opacity: .8; }
.gl-letter {
  display: inline-block; min-width: 1.5em; margin-right: .45em; padding: 0 .3em; border-radius: .3em;
  color: #fff; text-align: center; font-weight: 700;
}
@media (max-width: 640px) {
  .gl-beside table { font-size: .85rem; }
  .gl-beside th, .gl-beside td { padding-right: .8rem; }
  .gl-beside thead th, .gl-beside tbody th { min-width: 5.5rem; }
  .gl-beside small { display: block; margin: 0; }
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
  [data-testid="stMain"] h1 { font-size: 1.5rem; }
}
/* On paper: dark on white whatever the theme, what was folded open, and nothing that is there to be pressed. */
@page { margin: 12mm; }
@media print {
  .stApp { color-scheme: light !important; }
  body, .stApp, .stApp [data-testid="stAppViewContainer"] { background: #fff !important; }
  [data-testid="stMain"] :not(.gl-player, .gl-player *, .gl-letter) {
    color: #1b2430 !important; background-color: transparent !important;
  }
  [data-testid="stMainBlockContainer"] { padding: 0 !important; }
  [data-testid="stSidebar"], [data-testid="stMain"] :is(.stButton, .stDownloadButton, [data-testid="stPopover"],
    .stPageLink, .gl-files, .st-key-projector_switch, .st-key-predict, .st-key-neighbours) { display: none !important; }
  .stExpander details::details-content { content-visibility: visible !important; block-size: auto !important; }
  /* What is drawn only while it is open, and is not. */
  .stExpander:not(:has([data-testid="stExpanderDetails"] [data-testid="stElementContainer"])) { display: none; }
  .katex-mathml { display: none; } /* what screen readers read would make the page wider than the paper */
  .gl-beside { overflow: visible; }
  .gl-beside tr { break-inside: avoid; }
}
</style>
"""

FOR_A_ROOM = """
<style>
html { font-size: 21px; }
[data-testid="stMainBlockContainer"] { max-width: 100%; padding-left: 2.5rem; padding-right: 2.5rem; }
[data-testid="stMain"] [data-testid="stCaptionContainer"] { opacity: 1; }
</style>
"""


# What Streamlit does not do by itself, once in each tab. On a phone it leaves the menu open over the page that was
# chosen there, even after a reload. And where the server has started anew and asks for its code again, it shows the
# refusal as it travels; loaded once more, the page is the door.
ONCE = """
<script>
window.gradientLab ??= (() => {
  addEventListener("click", ({ target }) => {
    const chosen = target instanceof Element && target.closest('[data-testid="stSidebarNavLink"]');
    const close = document.querySelector('[data-testid="stSidebarCollapseButton"] button');
    if (chosen && matchMedia("(max-width: 768px)").matches) close?.click();
  });
  const refused = (list) => list.getEntries().some(({ responseStatus }) => responseStatus === 401);
  new PerformanceObserver((list) => refused(list) && location.reload()).observe({ type: "resource" });
  return true;
})();
</script>
"""


def apply(projector: bool) -> None:
    """Put the look on the page; `projector` makes type large and hides what is not needed in a room."""
    st.html(EVERYWHERE + (FOR_A_ROOM if projector else ""))
    st.html(ONCE, unsafe_allow_javascript=True)
