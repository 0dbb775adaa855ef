// Builds what the pages load: one script that every page has, its islands as chunks that are loaded
// where they are needed, and the style sheet. File names carry a hash of their content.
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: "islands",
  base: "/assets/",
  publicDir: "static",
  cacheDir: "../node_modules/.vite",
  build: {
    outDir: process.env.BASALT_WEB_OUT ?? "../dist",
    emptyOutDir: true,
    assetsDir: "",
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    target: "es2022",
    // A content security policy without inline data is stricter.
    assetsInlineLimit: 0,
    rollupOptions: { input: ["islands/main.ts", "islands/basalt.css"] },
  },
  test: { include: ["**/*.test.ts"] },
});
