// Asks in a dialog what a page of its own would ask; without scripts it is that page.

const dialog = document.createElement("dialog");
dialog.className = "asking";
document.body.append(dialog);

/** @param {string} address of the page; its section #act is shown. */
async function ask(address) {
  let section = null;
  try {
    const response = await fetch(address, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    section = page.getElementById("act");
  } catch {
    // No answer: the browser says so better than we could.
  }
  if (!section) {
    location.href = address;
    return;
  }
  dialog.replaceChildren(document.adoptNode(section));
  dialog.setAttribute("aria-labelledby", "act-question");
  if (!dialog.open) dialog.showModal();
  // Not on the button that does it.
  (dialog.querySelector("input[autofocus]") || dialog.querySelector("[data-cancel]")).focus();
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a[data-act]");
  if (link) {
    event.preventDefault();
    ask(link.href);
  } else if (dialog.contains(event.target) && event.target.closest("[data-cancel]")) {
    event.preventDefault();
    dialog.close();
  }
});

// A form that only asks for more goes on in the dialog.
dialog.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "get") return;
  event.preventDefault();
  const address = new URL(form.action);
  address.search = new URLSearchParams(new FormData(form)).toString();
  ask(address.href);
});

// A menu closes by a click beside it, by Escape, and when something of it was chosen.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest("a")) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
