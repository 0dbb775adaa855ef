// Tests that look at the pages in Chromium. `cargo xtask test` starts them with the programs that
// they need; `BASALT_SHOWROOM` and `BASALT_BIN_DIR` say where those lie.
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: "e2e",
  cacheDir: "../node_modules/.vite",
  test: {
    include: ["**/*.test.ts"],
    // Bounds for those that have a mistake; nothing waits for them.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One browser at a time: the machine may have two cores.
    fileParallelism: false,
  },
});
