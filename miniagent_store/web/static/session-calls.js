// Calls of tools whose answers came later: the server has joined those that it read together.

/** @param {HTMLElement} list of entries */
export function join(list) {
  for (const open of list.querySelectorAll(".call [data-open]")) {
    const call = open.closest(".call");
    const id = call.dataset.call;
    const answer = id && list.querySelector(`.answer[data-answers="${CSS.escape(id)}"]`);
    if (!answer) continue;
    const failed = answer.classList.contains("failed");
    open.textContent = failed ? "failed" : "answered";
    open.classList.add(failed ? "bad" : "good");
    open.removeAttribute("data-open");
    const seq = answer.closest(".entry").dataset.seq;
    const label = document.createElement("p");
    label.className = "label";
    const link = document.createElement("a");
    link.href = `#m${seq}`;
    link.textContent = `#${seq}`;
    label.append("Answer, ", link);
    call.append(label, answer.querySelector("[data-answer]").cloneNode(true));
  }
}
