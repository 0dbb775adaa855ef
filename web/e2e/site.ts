// A lab of simulated boards that truly serves: a rack, the files that describe it, `basalt serve`.
import { type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { until } from "./browser";
import { type Program, program, start } from "./program";

/** Boards with these names; each has its console by TCP and its outlet of one Tasmota relay. */
const BOARDS = ["sim-1", "sim-2"];

/** What the planted kernel prints of itself. */
export const KERNEL = "6.1.0-sim-rt";
const VERSION = `Linux version ${KERNEL} (basalt@test) (gcc 12.2.0) #1 SMP PREEMPT_RT Debian 6.1.1-1 (2026-11-01)`;

export interface Lab {
  /** Where the pages are. */
  url: string;
  /** A login link that has not been used. */
  link: string;
  /** The text of a job of this site: its name, and the tests it runs. */
  job(name: string, tests: string, wants?: string): string;
  /** Sets knobs of a board. */
  knobs(board: string, knobs: object): Promise<void>;
  /** Asks the API as the administrator. */
  api(method: string, path: string, body?: string): Promise<unknown>;
  serve: Program;
  end(): Promise<void>;
}

/** All of 127/8 is this host: a network that other tests on it hardly have. */
const NETWORK = `127.78.${1 + (process.pid % 254)}`;

function cpio(name: string, content: string): Buffer {
  const entry = (path: string, mode: number, data: Buffer) => {
    const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length + 1, 0];
    const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${path}\0`);
    const pad = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
    return Buffer.concat([head, pad(head.length), data, pad(data.length)]);
  };
  return Buffer.concat([entry(name, 0o100755, Buffer.from(content)), entry("TRAILER!!!", 0, Buffer.alloc(0))]);
}

function writeFiles(root: string): void {
  mkdirSync(join(root, "files"), { recursive: true });
  const kernel = Buffer.alloc(20_000, 0x5a);
  kernel.write(`\0Linux version %s (%s)\n\0${VERSION}\n\0`);
  writeFileSync(join(root, "files/vmlinuz-rt"), kernel);
  writeFileSync(join(root, "files/initramfs.cpio.gz"), gzipSync(cpio("hello.txt", "from the ramdisk\n")));
}

function rackConfig(): string {
  const boards = BOARDS.map(
    (name, index) => `[[board]]
kind = 'simulated'
name = '${name}'
tcp = '127.0.0.1:0'
address = '${index === 0 ? "127.0.0.1" : `${NETWORK}.${10 + index}`}'
tftp_port = 6969
tftp_timeout_ms = 250
cpus = 2
`,
  );
  return `version = 1
run_dir = 'rack'
[http]
listen = '127.0.0.1:0'
files = 'files'
[[relay]]
kind = 'tasmota'
name = 'pdu'
listen = '127.0.0.1:0'
outlets = [${BOARDS.map((name) => `'${name}'`).join(", ")}]
${boards.join("")}`;
}

interface Ready {
  http: string;
  relays: Record<string, { http: string }>;
  boards: Record<string, { tcp: string }>;
}

function writeLab(root: string, ready: Ready): void {
  const put = (path: string, text: string) => {
    mkdirSync(join(root, "lab", path, ".."), { recursive: true });
    writeFileSync(join(root, "lab", path), text);
  };
  put("lab.yaml", `version: 1
name: browser-lab
dispatcher:
  address: ${NETWORK}.100
  tftp: ${NETWORK}.100:6969
  nfs: ${NETWORK}.100:2049
  allow_hosts: [127.0.0.1]
`);
  put("device-types/simulated-test.yaml", `version: 1
name: simulated-test
extends: simulated
timeouts: {http-download: 60s, reset-device: 60s, bootloader-interrupt: 60s, bootloader-commands: 60s, auto-login-action: 60s, login-action: 60s, expect-shell-connection: 60s, environment-record: 120s, lava-test-shell: 300s, realtime-phase: 120s, realtime-transfer: 120s, finalize: 60s}
`);
  put("relays/pdu.yaml", `version: 1\nname: pdu\ndriver: tasmota\nurl: http://${ready.relays.pdu?.http}\ntimeout: 5s\n`);
  BOARDS.forEach((name, index) => {
    put(`boards/${name}.yaml`, `version: 1
name: ${name}
type: simulated-test
power: {relay: pdu, outlet: ${index + 1}}
console: {tcp: ${ready.boards[name]?.tcp}}
network: {mac: "52:54:00:78:00:0${index}", address: ${index === 0 ? "127.0.0.1" : `${NETWORK}.${10 + index}`}/8}
`);
  });
}

/** Starts it all; `end` ends it all, whatever happened between. */
export async function startLab(): Promise<Lab> {
  const root = mkdtempSync(join(tmpdir(), "basalt-pages-"));
  const programs: Program[] = [];
  const end = async () => {
    for (const one of programs.reverse()) await one.end();
    rmSync(root, { recursive: true, force: true });
  };
  try {
    writeFiles(root);
    writeFileSync(join(root, "rack.toml"), rackConfig());
    const readyPath = join(root, "ready.json");
    const rack = start(program("BASALT_RACK"), ["--config", join(root, "rack.toml"), "--ready", readyPath], { cwd: root });
    programs.push(rack);
    const ready = await until("the rack's ready file", async () => readReady(readyPath, rack.child), (found) => found !== null);
    if (!ready) throw new Error("the rack is not ready");
    writeLab(root, ready);
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("BASALT_"));
    const serve = start(program("BASALT_BIN"), ["serve", "--listen", "127.0.0.1:0", "--lab", join(root, "lab")], {
      cwd: root,
      env: { ...Object.fromEntries(own), BASALT_STATE: join(root, "state"), XDG_CONFIG_HOME: join(root, "config"), NO_COLOR: "1" },
    });
    programs.push(serve);
    const link = (await serve.line(/http:\S+\/login\?token=\S+/))[0];
    await serve.line(/Ctrl-C/);
    const url = new URL(link).origin;
    const token = (JSON.parse(readFileSync(join(root, "config/basalt/client.json"), "utf8")) as { token: string }).token;
    const api = async (method: string, path: string, body?: string) => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": body?.startsWith("{") ? "application/json" : "application/yaml" },
        ...(body === undefined ? {} : { body }),
      });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
      return answer.json();
    };
    return {
      url,
      link,
      api,
      serve,
      end,
      job: (name, tests, wants = "device_type: simulated-test") => `job_name: ${name}
${wants}
visibility: public
priority: medium
timeouts:
  job: {minutes: 20}
actions:
  - deploy:
      to: tftp
      kernel: {url: "http://${ready.http}/files/vmlinuz-rt", type: image}
      ramdisk: {url: "http://${ready.http}/files/initramfs.cpio.gz"}
  - boot:
      method: u-boot
      commands: ramdisk
      prompts: ['/ # ']
${tests}`,
      knobs: async (board, knobs) => {
        const answer = await fetch(`http://${ready.http}/boards/${board}/knobs`, { method: "POST", body: JSON.stringify(knobs) });
        if (!answer.ok) throw new Error(`the rack refused ${JSON.stringify(knobs)}: ${await answer.text()}`);
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

function readReady(path: string, rack: ChildProcess): Ready | null {
  if (rack.exitCode !== null) throw new Error(`the rack ended with ${rack.exitCode}`);
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Ready;
  } catch {
    // Not there yet, or half written.
    return null;
  }
}
