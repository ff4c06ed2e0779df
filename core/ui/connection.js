// Says why, where this page gets no further: its connection is refused, cut off on the way, or its files are missing.
// It stands in the page itself, ahead of all else, so that it runs whatever else is not found.
{
  const AFTER = 2500; // milliseconds: a page that has connected by then asks nothing
  const AGAIN = 1000;
  const ANSWER_WITHIN = 1500;
  const PROXY = "A proxy on the way";
  let missing = ""; // a file that did not come
  let cutOff = false; // whether a socket was closed before it opened
  let box = null;

  addEventListener("error", ({ target }) => { missing ||= target?.src ?? target?.href ?? ""; }, true);
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...given) {
      super(...given);
      let opened = false;
      this.addEventListener("open", () => { opened = true; });
      this.addEventListener("close", () => { cutOff ||= !opened; });
    }
  };

  const connected = () => document.querySelector('[data-test-connection-state="CONNECTED"]') !== null;

  async function sentence() {
    if (missing && document.querySelector("#root")?.childElementCount === 0) {
      return `The server gave this page, but not its file ${missing}. Reload the page. If that does not help: ${PROXY} ` +
        "changes the path; let it take the whole prefix off, or start the server with --server.baseUrlPath set to it.";
    }
    const about = new URL("gradient-lab/connection", document.baseURI);
    about.searchParams.set("opened", location.origin);
    let answer;
    try {
      answer = await fetch(about, { method: "POST", signal: AbortSignal.timeout(ANSWER_WITHIN) });
    } catch (cause) {
      if (cause.name === "TimeoutError") return ""; // it is busy, as when a class comes in at once
      return "The server does not answer. Look whether it still runs, and reload the page.";
    }
    const body = await answer.json().catch(() => null);
    if (typeof body?.error !== "string") return `${PROXY} sends this page's questions to something else than the server.`;
    if (body.error || !cutOff) return body.error;
    return `The server can be reached, but not by a WebSocket. ${PROXY} must pass on the headers Upgrade and Connection, ` +
      "and leave Host and Origin as they are.";
  }

  async function look() {
    if (connected()) {
      window.WebSocket = Socket;
      box?.remove();
      return;
    }
    say(await sentence());
    setTimeout(look, AGAIN);
  }

  function say(words) {
    if (!words || connected()) return;
    if (box === null) {
      box = document.createElement("div");
      box.id = "gradient-lab-connection";
      box.setAttribute("role", "alert");
      box.style.cssText = "position:fixed;z-index:2147483647;inset:4.5rem 1rem auto;max-width:40rem;margin:auto;" +
        "padding:1.2rem 1.4rem;border-radius:.6rem;border:1px solid #b3261e;background:#fff;color:#1b2430;" +
        "font:18px/1.45 system-ui,sans-serif;overflow-wrap:anywhere;box-shadow:0 1px 6px rgb(0 0 0 / 18%)";
      const heading = document.createElement("strong");
      heading.textContent = "This page cannot connect";
      box.append(heading, document.createElement("p"));
      box.lastChild.style.margin = ".4rem 0 0";
      document.body.append(box);
    }
    if (box.lastChild.textContent !== words) box.lastChild.textContent = words;
  }

  setTimeout(look, AFTER);
}
