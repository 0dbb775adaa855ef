// Programs that tests start, and that end with them.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Program {
  child: ChildProcess;
  /** Everything that it has said so far. */
  said: string[];
  /** The first line that matches, said already or still to come. */
  line(pattern: RegExp, limitMs?: number): Promise<RegExpExecArray>;
  /** Asks it to end, and waits until it has. */
  end(): Promise<void>;
}

/** Starts a program; both of its outputs are read. */
export function start(path: string, args: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Program {
  const child = spawn(path, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const said: string[] = [];
  const listeners = new Set<() => void>();
  let isOver = false;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      said.push(line);
      for (const listener of listeners) listener();
    });
  }
  const over = new Promise<void>((done) => {
    child.once("error", (error) => {
      said.push(String(error));
      isOver = true;
      for (const listener of listeners) listener();
      done();
    });
    child.once("close", () => {
      isOver = true;
      for (const listener of listeners) listener();
      done();
    });
  });
  return {
    child,
    said,
    line: (pattern, limitMs = 60_000) =>
      new Promise((found, failed) => {
        const fail = (why: string) => {
          listeners.delete(look);
          clearTimeout(timer);
          failed(new Error(`${path} ${why} before it said ${pattern}; it said:\n${said.slice(-40).join("\n")}`));
        };
        const look = () => {
          for (const line of said) {
            const match = pattern.exec(line);
            if (match) {
              listeners.delete(look);
              clearTimeout(timer);
              found(match);
              return;
            }
          }
          if (isOver) fail("ended");
        };
        const timer = setTimeout(() => fail(`took ${limitMs} ms`), limitMs);
        listeners.add(look);
        look();
      }),
    end: async () => {
      if (!isOver) child.kill("SIGTERM");
      const hard = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await over;
      clearTimeout(hard);
    },
  };
}

/** Where a program lies, by the environment. */
export function program(variable: string): string {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} does not say where the program lies; start these tests with cargo xtask test`);
  return path;
}
