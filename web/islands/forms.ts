// Forms: questions before what cannot be undone, filters that apply when they are chosen, and no form
// sent twice by a double click.

export function startForms(): void {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const question = form.dataset.confirm;
    if (question && !confirm(question)) {
      event.preventDefault();
      return;
    }
    if (form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "true";
    // A page that is come back to is whole again.
    addEventListener("pageshow", () => delete form.dataset.sent, { once: true });
  });
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field instanceof HTMLSelectElement) field.closest<HTMLFormElement>("form[data-filter]")?.requestSubmit();
  });
}
