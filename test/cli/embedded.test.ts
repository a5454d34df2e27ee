/**
 * Transcripts of the command on the embedded kernel: what a user types, and all that comes back.
 */
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tsbpf, words } from "./_run.js";

let folder: string;
let env: Record<string, string>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsbpf-embedded-"));
  env = { TSBPF_IMAGE: join(folder, "kernel.image") };
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a transcript: after each line that begins with "$ ", what it prints, and its status where it is not 0. */
async function transcript(text: string, input = ""): Promise<void> {
  const lines = text.replace(/^\n/, "").replace(/ +$/, "").split("\n");
  const indent = /^ */.exec(lines[0] ?? "")?.[0] ?? "";
  const wanted = lines.map((line) => line.slice(indent.length)).join("\n");
  let got = "";
  for (const [, command = ""] of wanted.matchAll(/^\$ tsbpf(.*)$/gm)) {
    const { stdout, stderr, status } = await tsbpf(words(command), env, input);
    // The memory that a map takes is the kernel's business.
    const shown = (stdout + stderr).replace(/memlock \d+B/g, "memlock NB");
    got += `$ tsbpf${command}\n${shown}${shown === "" || shown.endsWith("\n") ? "" : "\n"}`;
    if (status !== 0) got += `status ${status}\n`;
  }
  expect(got).toBe(wanted);
}

const CREATE = "map create /sys/fs/bpf/h type hash key 4 value 8 entries 2 name h";

describe("tsbpf on the embedded kernel", () => {
  it("a hash, from create to unpin", async () => {
    await transcript(`
      $ tsbpf ${CREATE}
      $ tsbpf map show
      1: hash  name h  flags 0x0
      \tkey 4B  value 8B  max_entries 2  memlock NB
      $ tsbpf map getnext name h
      Error: can't get next key: No such file or directory
      status 254
      $ tsbpf map update name h key 1 0 0 0 value 10 0 0 0 0 0 0 0
      $ tsbpf map update pinned /sys/fs/bpf/h key hex 0a 0 0 0 value hex ff 0 0 0 0 0 0 0 noexist
      $ tsbpf map update name h key 1 0 0 0 value 0 0 0 0 0 0 0 0 noexist
      Error: update failed: File exists
      status 239
      $ tsbpf map update name h key 2 0 0 0 value 0 0 0 0 0 0 0 0 exist
      Error: update failed: No such file or directory
      status 254
      $ tsbpf map update name h key 2 0 0 0 value 0 0 0 0 0 0 0 0
      Error: update failed: Argument list too long
      status 249
      $ tsbpf map lookup name h key 1 0 0 0
      key: 01 00 00 00  value: 0a 00 00 00 00 00 00 00
      $ tsbpf -j map lookup name h key 10 0 0 0
      {"key":["0x0a","0x00","0x00","0x00"],"value":["0xff","0x00","0x00","0x00","0x00","0x00","0x00","0x00"]}
      $ tsbpf map delete name h key 10 0 0 0
      $ tsbpf map delete name h key 10 0 0 0
      Error: delete failed: No such file or directory
      status 254
      $ tsbpf map dump id 1
      key: 01 00 00 00  value: 0a 00 00 00 00 00 00 00
      Found 1 element
      $ tsbpf map pin name h /sys/fs/bpf/again
      $ tsbpf -f map show id 1
      1: hash  name h  flags 0x0
      \tkey 4B  value 8B  max_entries 2  memlock NB
      \tpinned /sys/fs/bpf/again
      \tpinned /sys/fs/bpf/h
      $ tsbpf map unpin /sys/fs/bpf/h
      $ tsbpf map unpin /sys/fs/bpf/h
      Error: can't unpin (/sys/fs/bpf/h): No such file or directory
      status 254
      $ tsbpf -p map dump pinned /sys/fs/bpf/again
      [{
              "key": ["0x01","0x00","0x00","0x00"
              ],
              "value": ["0x0a","0x00","0x00","0x00","0x00","0x00","0x00","0x00"
              ]
          }
      ]
      $ tsbpf map unpin /sys/fs/bpf/again
      $ tsbpf -j map show
      []
    `);
  });

  it("arrays and per-CPU maps", async () => {
    await transcript(`
      $ tsbpf map create /sys/fs/bpf/a type array key 4 value 2 entries 2 name a
      $ tsbpf map update name a key 1 0 0 0 value 7 8
      $ tsbpf map dump name a
      key: 00 00 00 00  value: 00 00
      key: 01 00 00 00  value: 07 08
      Found 2 elements
      $ tsbpf map delete name a key 1 0 0 0
      Error: delete failed: Invalid argument
      status 234
      $ tsbpf map create /sys/fs/bpf/p type percpu_hash key 1 value 3 entries 2 name p
      $ tsbpf map update name p key 9 value 1 2 3
      $ tsbpf map lookup name p key 9
      key:
      09
      value (CPU 00): 01 02 03
      value (CPU 01): 01 02 03
      value (CPU 02): 01 02 03
      value (CPU 03): 01 02 03
      value (CPU 04): 01 02 03
      value (CPU 05): 01 02 03
      value (CPU 06): 01 02 03
      value (CPU 07): 01 02 03
      $ tsbpf map getnext name p
      key: None
      next key:
      09
    `);
  });

  it("queues and stacks", async () => {
    await transcript(`
      $ tsbpf map create /sys/fs/bpf/q type queue key 0 value 2 entries 2 name q
      $ tsbpf map push name q value 1 2
      $ tsbpf map enqueue name q value 3 4
      $ tsbpf map push name q value 5 6
      Error: update failed: Argument list too long
      status 249
      $ tsbpf map peek name q
      value: 01 02
      $ tsbpf -j map pop name q
      {"key":[],"value":["0x01","0x02"]}
      $ tsbpf map dequeue name q
      value: 03 04
      $ tsbpf map pop name q
      Error: pop failed: the map is empty
      status 254
      $ tsbpf --bpftool map pop name q
      Error: empty map
      status 254
      $ tsbpf map peek name q
      Error: lookup failed: the map is empty
      status 254
      $ tsbpf map pop name q more
      Error: what is 'more'?
      status 255
      $ tsbpf btf dump prog name q
      Error: no program has the name 'q'
      status 255
      $ tsbpf map event_pipe name q
      Error: map is not a perf event array
      status 255
    `);
  });

  it("what bpftool lets pass is an error", async () => {
    await transcript(`
      $ tsbpf ${CREATE}
      $ tsbpf map lookup name h key 1 0 0 0
      Error: lookup failed: the map has no key 01 00 00 00
      status 254
      $ tsbpf -j map lookup name h key 1 0 0 0
      {"error":"lookup failed: the map has no key 01 00 00 00"}
      status 254
      $ tsbpf map update name h key 300 0 0 0 value 0 0 0 0 0 0 0 0
      Error: byte out of range 0..255: 300
      status 255
      $ tsbpf map update name h key hex 1ff 0 0 0 value 0 0 0 0 0 0 0 0
      Error: byte out of range 0..255: 1ff
      status 255
      $ tsbpf -- map lookup name h key -1 0 0 0
      Error: error parsing byte: -1
      status 255
      $ tsbpf map lookup name h key "" 0 0 0
      Error: error parsing byte: 
      status 255
      $ tsbpf map show name nosuch
      Error: no map has the name 'nosuch'
      status 255
      $ tsbpf -j map dump name nosuch
      {"error":"no map has the name 'nosuch'"}
      status 255
      $ tsbpf map show name sixteen_characters
      Error: map name 'sixteen_characters' is too long: names have at most 15 bytes
      status 255
      $ tsbpf map create /sys/fs/bpf/x type hash key 4 value 4 entries 1 name sixteen.charact.
      Error: map name 'sixteen.charact.' is too long: names have at most 15 bytes
      status 255
      $ tsbpf map create /sys/fs/bpf/x type hash key 4294967300 value 4 entries 1 name x
      Error: key size out of range 0..4294967295: 4294967300
      status 255
      $ tsbpf map create /sys/fs/bpf/x type hash key 4 value 4 entries 1 name x name y
      Error: name already specified
      status 255
      $ tsbpf map create /sys/fs/bpf/x type hash key 0 key 4 value 4 entries 1 name x
      Error: key size already specified
      status 255
      $ tsbpf map pin name h /sys/fs/bpf/x y
      Error: what is 'y'?
      status 255
      $ tsbpf map create /sys/fs/bpf/a.b type hash key 4 value 4 entries 1 name x
      Error: can't pin the object (/sys/fs/bpf/a.b): Operation not permitted (names in a BPF file system have no dot)
      status 255
      $ tsbpf map create /tmp/x type hash key 4 value 4 entries 1 name x
      Error: can't pin the object (/tmp/x): names of the embedded kernel begin with /sys/fs/bpf/
      status 255
      $ tsbpf map create /sys/fs/bpf/h type hash key 4 value 4 entries 1 name x
      Error: can't pin the object (/sys/fs/bpf/h): File exists
      status 239
      $ tsbpf map create /sys/fs/bpf/x type hash key 4 value 4 entries 1 name x dev lo
      Error: the embedded kernel has no network devices
      status 255
    `);
  });

  it("--bpftool takes it", async () => {
    await transcript(`
      $ tsbpf --bpftool ${CREATE}
      $ tsbpf --bpftool map update name h key 300 0 0 0 value -- 0 0 0 0 0 0 0 0
      $ tsbpf --bpftool map lookup name h key 44 0 0 0
      key: 2c 00 00 00  value: 00 00 00 00 00 00 00 00
      $ tsbpf --bpftool map lookup name h key 1 0 0 0
      key:
      01 00 00 00

      Not found
      status 254
      $ tsbpf --bpftool -j map lookup name h key 1 0 0 0
      null
      status 254
      $ tsbpf --bpftool map show name nosuch
      status 255
      $ tsbpf --bpftool map create /sys/fs/bpf/x type hash key 4 value 4 entries 1 name sixteen.charact.
      $ tsbpf map show pinned /sys/fs/bpf/x
      2: hash  name sixteen.charact  flags 0x0
      \tkey 4B  value 4B  max_entries 1  memlock NB
    `);
  });

  it("a batch keeps what it did before it failed", async () => {
    const commands = `${CREATE}\nmap update name h key 1 0 0 0 value 1 0 0 0 0 0 0 0\nmap lookup name h key 2 0 0 0\nmap delete name h key 1 0 0 0\n`;
    await transcript(
      `
      $ tsbpf batch file -
      Error: lookup failed: the map has no key 02 00 00 00
      status 254
      $ tsbpf map dump name h
      key: 01 00 00 00  value: 01 00 00 00 00 00 00 00
      Found 1 element
    `,
      commands,
    );
  });

  it("JSON escapes what JSON wants escaped", async () => {
    const { stdout } = await tsbpf(["-j", "map", "show", "name", 'a\\b"c'], env);
    expect(JSON.parse(stdout)).toEqual({ error: `no map has the name 'a\\b"c'` });
  });

  it("every JSON answer parses, errors too", async () => {
    const forms = [
      CREATE,
      CREATE,
      "map show",
      "map show name nosuch",
      "map dump name h",
      "map lookup name h key 1 0 0 0",
      "map getnext name h",
      "map foo",
      "version",
      "help",
      "-x",
      "-h",
      "-V",
      "batch file /nosuch",
    ];
    for (const form of forms) {
      const { stdout, stderr } = await tsbpf(["-j", ...words(form)], env);
      expect(() => JSON.parse(stdout), `${form}: ${stdout}`).not.toThrow();
      expect(stderr).toBe("");
      expect(stdout.endsWith("\n")).toBe(true);
    }
    const { stdout } = await tsbpf(["-j", "batch", "file", "-"], env, "map show name nosuch\nversion\n");
    expect(JSON.parse(stdout)).toEqual([
      { command: ["map", "show", "name", "nosuch"], output: { error: "no map has the name 'nosuch'" } },
    ]);
  });

  it("--debug tells every call", async () => {
    const { stderr, status } = await tsbpf(["-d", "map", "show", "id", "9"], env);
    expect(stderr).toBe("bpf(BPF_MAP_GET_FD_BY_ID) = -1 ENOENT\nError: get map by id (9): No such file or directory\n");
    expect(status).toBe(255);
  });

  it("says its version, and what kernel it uses", async () => {
    const text = await tsbpf(["version"], env);
    expect(text.stdout).toMatch(/^tsbpf v\d+\.\d+\.\d+\nkernel embedded, 8 possible CPUs, image .*kernel\.image\n$/);
    const { stdout } = await tsbpf(["-j", "version"], env);
    expect(JSON.parse(stdout)).toMatchObject({
      kernel: { name: "embedded", possible_cpus: 8, image: env.TSBPF_IMAGE },
    });
    expect(existsSync(env.TSBPF_IMAGE ?? "")).toBe(false);
  });

  it("help tells of every command", async () => {
    const { stderr, status } = await tsbpf(["map", "help"], env);
    const commands =
      "show list create dump update lookup getnext delete pin unpin event_pipe peek push enqueue pop dequeue freeze top watch";
    for (const command of commands.split(" ")) {
      expect(stderr).toMatch(new RegExp(`\\b${command}\\b`));
    }
    expect(status).toBe(0);
    expect((await tsbpf(["help"], env)).stderr).toContain("Exit status");
  });

  it("--kernel wants a kernel that there is, and --image a file", async () => {
    const kernel = await tsbpf(["--kernel", "windows", "map", "show"], env);
    expect(kernel.stderr).toContain("Error: expected kernel 'embedded' or 'linux', got: 'windows'\nUsage:");
    expect(kernel.status).toBe(255);
    const variable = await tsbpf(["map", "show"], { ...env, TSBPF_KERNEL: "windows" });
    expect(variable.stderr).toContain("Error: TSBPF_KERNEL: expected kernel");
    expect((await tsbpf(["--image"], env)).stderr).toContain("Error: option '--image' needs a value");
    expect((await tsbpf(["--image="], env)).status).toBe(255);
  });

  it("--image, TSBPF_IMAGE, XDG_STATE_HOME and HOME say where the kernel is, in this order", async () => {
    const home = { HOME: join(folder, "home") };
    const create = words(CREATE);
    expect((await tsbpf(["map", "show"], home)).status).toBe(0);
    expect(existsSync(join(folder, "home"))).toBe(false);
    expect((await tsbpf(create, home)).status).toBe(0);
    expect(existsSync(join(folder, "home/.local/state/tsbpf/kernel.image"))).toBe(true);
    const state = { ...home, XDG_STATE_HOME: join(folder, "state") };
    expect((await tsbpf(create, state)).status).toBe(0);
    expect(existsSync(join(folder, "state/tsbpf/kernel.image"))).toBe(true);
    const image = { ...state, ...env };
    expect((await tsbpf(create, image)).status).toBe(0);
    expect(existsSync(env.TSBPF_IMAGE ?? "")).toBe(true);
    expect((await tsbpf([`--image=${join(folder, "other")}`, ...create], image)).status).toBe(0);
    expect(existsSync(join(folder, "other"))).toBe(true);
  });

  it("an image behind a symbolic link stays there", async () => {
    const link = join(folder, "link");
    await tsbpf(words(CREATE), env);
    symlinkSync(env.TSBPF_IMAGE ?? "", link);
    const before = statSync(env.TSBPF_IMAGE ?? "").ino;
    const update = "map update name h key 1 0 0 0 value 1 0 0 0 0 0 0 0";
    expect((await tsbpf(["--image", link, ...words(update)])).status).toBe(0);
    expect(statSync(env.TSBPF_IMAGE ?? "").ino).not.toBe(before);
    expect((await tsbpf(words("map dump name h"), env)).stdout).toContain("Found 1 element");
  });
});
