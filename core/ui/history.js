// One press, one entry in the browser's history. Streamlit makes an entry of every change of the address: one for the
// page that was pressed in the menu, one more for its knobs, one for a link that is written out as this server has it.
// What follows a press by itself belongs to the entry of that press.
{
  let pressed = false;
  for (const kind of ["pointerdown", "click", "keydown", "input", "change"])
    addEventListener(kind, () => { pressed = true; }, { capture: true });
  // Back and Forward lead to an entry that there is already.
  addEventListener("popstate", () => { pressed = false; }, { capture: true });
  const push = history.pushState;
  history.pushState = function (...entry) {
    const write = pressed ? push : history.replaceState;
    pressed = false;
    return write.apply(this, entry);
  };
}
