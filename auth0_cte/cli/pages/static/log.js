// Keeps the tenant log fresh. Without it the page works as well: there is a link that reloads it.
const log = document.getElementById("log");
if (log) {
  setInterval(async () => {
    if (document.hidden || log.contains(document.activeElement)) return;
    try {
      const response = await fetch("/log");
      if (response.ok) {
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html").body.firstElementChild;
        if (fresh && fresh.outerHTML !== log.firstElementChild.outerHTML) log.replaceChildren(fresh);
      }
    } catch {
      // The playground was stopped.
    }
  }, 2000);
}
