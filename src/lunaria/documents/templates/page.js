"use strict";
// Pages work without this; it adds the search, opening what a link points to, and the download.
(() => {
  const operations = [...document.querySelectorAll("details.operation")];

  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  const search = document.getElementById("search");
  if (search) {
    const entries = [...document.querySelectorAll("#index [data-entry]")];
    const groups = [...document.querySelectorAll("[data-group]")];
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = new Set();
      for (const operation of operations) {
        const matches = words.every((word) => operation.dataset.words.includes(word));
        operation.hidden = !matches;
        if (matches) found.add(operation.dataset.entry);
      }
      for (const entry of entries) entry.hidden = !found.has(entry.dataset.entry);
      for (const group of groups) group.hidden = !group.querySelector("[data-entry]:not([hidden])");
      document.getElementById("nothing").hidden = found.size > 0;
    };
    search.addEventListener("input", apply);
    addEventListener("keydown", (event) => {
      if (event.key === "/" && document.activeElement !== search) {
        event.preventDefault();
        search.focus();
      } else if (event.key === "Escape" && document.activeElement === search) {
        search.value = "";
        apply();
      }
    });
    if (search.value) apply();
  }

  const toggle = document.querySelector("[data-toggle]");
  if (toggle) {
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      const open = operations.some((operation) => !operation.open);
      for (const operation of operations) operation.open = open;
      toggle.textContent = open ? "Close all" : "Open all";
    });
  }

  const download = document.querySelector("[data-download]");
  if (download) {
    download.hidden = false;
    download.addEventListener("click", async () => {
      const reply = await fetch(download.dataset.download, { headers: { Accept: "application/x-yaml" } });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await reply.blob());
      link.download = "lunaria-openapi.yaml";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
})();
