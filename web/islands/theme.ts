// The theme's button. The choice is a cookie, so that the next page comes in it from the start.

const COOKIE = "basalt_theme";

function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

export function startTheme(): void {
  const button = document.querySelector<HTMLButtonElement>("[data-theme-toggle]");
  if (!button) return;
  const show = () => {
    const dark = isDark();
    const offer = dark ? "Light theme" : "Dark theme";
    button.setAttribute("aria-label", offer);
    button.title = offer;
    button.querySelector("use")?.setAttribute("href", dark ? "#icon-sun" : "#icon-moon");
  };
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.cookie = `${COOKIE}=${theme}; path=/; max-age=31536000; samesite=lax`;
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  button.hidden = false;
}
