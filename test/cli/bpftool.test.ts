/**
 * Forms of the command, right and wrong, given to bpftool and to `tsbpf --bpftool` (see _beside.ts).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { besideBpftool, fill, whyNotBeside, type Beside } from "./_beside.js";

const why = whyNotBeside();

const LONG_KEY = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";

describe.skipIf(why !== undefined)("tsbpf --bpftool beside bpftool 7.1", () => {
  let sides: Beside;
  beforeAll(() => {
    sides = besideBpftool();
  });
  afterAll(() => sides?.unmount());
  const bothOnTheirOwn = (form: string): Promise<void> => sides.bothOnTheirOwn(form);
  const bothOnTheSame = (form: string, input = ""): Promise<void> => sides.bothOnTheSame(form, input);

  it.each([
    "map create {d}/h type hash key 4 value 8 entries 4 name {n}h",
    "map create {d}/h2 type hash key 4 value 4 entries 4 name {n}h flags 1",
    "map cr {d}/ar ty array k 4 v 4 en 2 na {n}ar fl 0",
    "map create {d}/pa type percpu_array key 4 value 5 entries 2 name {n}pa",
    "map create {d}/pv type percpu_array key 4 value 17 entries 1 name {n}pv",
    "map create {d}/ph type percpu_hash key 3 value 8 entries 4 name {n}ph flags 1",
    "map create {d}/pl type percpu_hash key 20 value 16 entries 4 name {n}pl",
    "map create {d}/big type hash key 20 value 40 entries 4 name {n}big",
    "map create {d}/s16 type hash key 8 value 16 entries 4 name {n}s16",
    "map create {d}/s17 type hash key 8 value 17 entries 4 name {n}s17",
    "map create {d}/k16 type hash key 17 value 1 entries 4 name {n}k17",
    "map create {d}/q type queue key 0 value 4 entries 4 name {n}q",
    "map create {d}/aom type array_of_maps key 4 value 4 entries 2 name {n}aom inner_map pinned {d}/ar",
    "map create {d}/hom type hash_of_maps key 4 value 4 entries 2 name {n}hom inner_map name {n}ar",
    "map create {d}/hin type hash key 4 value 4 entries 2 name {n}hin inner_map name {n}ar",
    "map create {d}/pra type prog_array key 4 value 4 entries 2 name {n}pra",
    "map create {d}/pea type perf_event_array key 4 value 4 entries 2 name {n}pea",
    "map create {d}/rb type ringbuf key 0 value 0 entries 4096 name {n}rb",
    "map create {d}/lpm type lpm_trie key 8 value 1 entries 4 name {n}lpm flags 1",
    "map create {d}/lru type lru_hash key 4 value 1 entries 4 name {n}lru",
    "map create {d}/lrup type lru_percpu_hash key 4 value 1 entries 4 name {n}lrup flags 2",
    "map create {d}/sm type sockmap key 4 value 8 entries 1 name {n}sm",
    "map create {d}/sm4 type sockmap key 4 value 4 entries 1 name {n}sm4",
    "map create {d}/rus type reuseport_sockarray key 4 value 4 entries 1 name {n}rus",
    "map create {d}/bl type bloom_filter key 0 value 4 entries 1 name {n}bl",
    "map create {d}/dm type devmap key 4 value 4 entries 1 name {n}dm",
    'map create {d}/nn type hash key 4 value 4 entries 2 name ""',
    "map create {d}/tr type hash key 4 value 4 entries 2 name {n}sixteen_characters",
    "map create {d}/quo'te\"\\\\␣t type hash key 4 value 4 entries 2 name {n}quo",
  ])("%s", async (form) => {
    await bothOnTheirOwn(form);
  });

  it.each([
    "map create",
    "map create {d}/x",
    "map create {d}/x type",
    "map create {d}/x type hash",
    "map create {d}/x type hash foo",
    "map create {d}/x type hash key 4x",
    "map create {d}/x type nosuch key 4 value 8 entries 4 name {n}x",
    "map create {d}/x type has key 4 value 8 entries 4 name {n}x",
    "map create {d}/x type 1 key 4 value 8 entries 4 name {n}x",
    "map create {d}/x type unspec key 4 value 8 entries 4 name {n}x",
    "map create {d}/x type hash key 4 value 8 entries 4",
    "map create {d}/x type hash key 4 value 8 name {n}x",
    "map create {d}/x type hash key 4 key 5 value 4",
    "map create {d}/x type hash key 4 value 4 value 4",
    "map create {d}/x type hash key 4 value 4 entries 1 entries 1 name {n}x",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x flags 0 flags 1 flags 1",
    "map create {d}/x type hash type hash key 4 value 4 entries 1",
    "map create {d}/x type hash key x value 4 entries 1 name {n}x",
    "map create {d}/x type hash key 4 value y entries 1 name {n}x",
    "map create {d}/x type hash key 4 value 4 entries 1z name {n}x",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x flags q",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x foo",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x foo bar",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x key",
    "map create {d}/x type hash key 99999999999 value 4 entries 4 name {n}x",
    "map create {d}/x type hash key 4 value 4 entries 18446744073709551616 name {n}x",
    'map create {d}/x type hash key "" value 4 entries 4 name {n}x',
    "map create {d}/x type hash key -4 value 4 entries 4 name {n}x",
    "map create {d}/x type hash key 4 value 4 entries 4 name a-b",
    "map create {d}/x type lru_hash key 4 value 4 entries 4 name {n}x flags 1",
    "map create {d}/x type array key 4 value 0 entries 4 name {n}x",
    "map create {d}/x type array_of_maps key 4 value 4 entries 1 name {n}x",
    "map create {d}/x type array_of_maps key 4 value 4 entries 1 name {n}x inner_map",
    "map create {d}/x type array_of_maps key 4 value 4 entries 1 name {n}x inner_map name nosuch",
    "map create {d}/x type array_of_maps key 4 value 4 entries 1 name {n}x inner_map name {n}h",
    "map create {d}/x type array_of_maps key 4 value 4 entries 1 name {n}x inner_map foo bar",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x dev nosuchdev",
    "map create {d}/x type hash key 4 value 4 entries 1 name {n}x dev lo",
    "map create {d}/a.b type hash key 4 value 4 entries 1 name {n}x",
    "map create {d}/h type hash key 4 value 4 entries 1 name {n}x",
    "-n map create /tmp/x type hash key 4 value 4 entries 1 name {n}x",
    "-n map create /nosuchfolder/x type hash key 4 value 4 entries 1 name {n}x",
    "map pin",
    "map pin name {n}pa",
    "map pin name {n}pa {d}/pa",
    "map pin name {n}nosuch {d}/pa2",
    "map pin name {n}h {d}/pa2",
    "-n map pin name {n}pa /tmp/x",
  ])("%s", async (form) => {
    await bothOnTheirOwn(form);
  });

  it("forms that are taken though they should not", async () => {
    await bothOnTheirOwn("map create {d}/l1 type hash key 4 value 4 entries 0x100000001 name {n}l1");
    await bothOnTheirOwn("map create {d}/l2 type hash key 4294967300 value 4 entries 1 name {n}l2");
    await bothOnTheirOwn("map create {d}/l3 type hash key 4294967296 key 4 value 4 entries 2 name {n}l3");
    await bothOnTheirOwn("map create {d}/l4 type hash key 4 value 4 entries 2 name {n}l4 name {n}l5");
    await bothOnTheirOwn("map show pinned {d}/l1");
    await bothOnTheirOwn("map show pinned {d}/l4");
    await bothOnTheirOwn("map pin name {n}pa {d}/pa2 foo");
  });

  it.each([
    "map update pinned {d}/h key 1 0 0 0 value 10 0 0 0 0 0 0 0",
    "map update pinned {d}/h key hex 2 0 0 0 value hex ff 0xfe 0 0 0 0 0 0 any",
    "map update pinned {d}/h value hex 05 0 0 0 0 0 0 0 key 0 0 0 9",
    "map update pinned {d}/h key 1 0 0 0 value 10 0 0 0 0 0 0 0 noexist",
    "map update pinned {d}/h key 7 0 0 0 value 10 0 0 0 0 0 0 0 exist",
    "map update pinned {d}/h key 1 0 0 0 value 9 0 0 0 0 0 0 0 e",
    "map update pinned {d}/h key 1 0 0 0 value 9 0 0 0 0 0 0 0 n",
    "map up p {d}/h k 1 0 0 0 v 1 2 3 4 5 6 7 010 a",
    "map update pinned {d}/h key 7 0 0 0 value 10 0 0 0 0 0 0 0",
    "map update pinned {d}/h key 8 0 0 0 value 10 0 0 0 0 0 0 0",
    "map delete pinned {d}/h key 7 0 0 0",
    "map de pinned {d}/h k h 7 0 0 0",
    "map update pinned {d}/h key 1 0 0 300 value 0 0 0 0 0 0 0 256",
    "-- map update pinned {d}/h key 1 0 0 44 value -1 +1 ␣7 0 0 0 0 99999999999999999999",
    'map update pinned {d}/h key 1 0 0 44 value "" 1 2 3 4 5 6 7',
    "map lookup pinned {d}/h key 1 0 0 300",
    `map update name {n}big key ${LONG_KEY} value ${LONG_KEY} ${LONG_KEY}`,
    `map update name {n}pl key ${LONG_KEY} value 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16`,
    "map update name {n}s16 key 1 2 3 4 5 6 7 8 value 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    "map update name {n}s17 key 1 2 3 4 5 6 7 8 value 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    "map update name {n}k17 key 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 value 1",
    "map update name {n}ph key 1 2 3 value 1 2 3 4 5 6 7 8",
    "map update name {n}pa key 1 0 0 0 value 1 2 3 4 5",
    "map update name {n}ar key 9 0 0 0 value 1 2 3 4",
    "map delete name {n}ar key 1 0 0 0",
    "map update name {n}lpm key 24 0 0 0 10 0 0 0 value 7",
    "map update name {n}lru key 1 0 0 0 value 7",
    "map update name {n}q value 1 2 3 4",
    "map update name {n}q key value 1 2 3 4",
    "map delete name {n}q",
    "map delete name {n}q key",
    "map update name {n}aom key 0 0 0 0 value pinned {d}/ar",
    "map update name {n}aom key 0 0 0 0 value name {n}ar any",
    "map update name {n}aom key 0 0 0 0 value name {n}h",
    "map update name {n}aom key 0 0 0 0 value name nosuch",
    "map update name {n}aom key 0 0 0 0 value foo 1",
    "map update name {n}aom key 0 0 0 0 value 1 2 3 4",
    "map update name {n}aom key 0 0 0 0 value 1",
    "map update name {n}aom key 0 0 0 0 value",
    "map update name {n}aom key 1 0 0 0 value name {n}ph",
    "map update name {n}hom key 0 0 0 0 value name {n}ar noexist",
    "map update name {n}rb value",
    "map freeze",
    "map freeze name {n}ph",
    "map freeze name {n}ph",
    "-j map freeze name {n}pa",
    "map freeze name nosuch",
    "map freeze name {n}pa more",
  ])("%s", async (form) => {
    await bothOnTheirOwn(form);
  });

  it("all that can be asked of maps", async () => {
    const { theirs, setUp } = sides;
    mkdirSync(fill("{d}/sub", theirs));
    for (const form of ["freeze pinned {d}/dm", "pin name {n}dm {d}/sub/dm3", "pin name {n}dm {d}/aa"])
      setUp(`map ${form}`);
    const named = "h ar pa pv ph pl big s16 s17 k17 q aom hom pra pea rb lpm lru lrup sm sm4 rus bl dm quo".split(" ");
    for (const name of named) {
      await bothOnTheSame(`map show name {n}${name}`);
      await bothOnTheSame(`-f map show name {n}${name}`);
      await bothOnTheSame(`map dump name {n}${name}`);
      await bothOnTheSame(`map getnext name {n}${name}`);
      await bothOnTheSame(`map lookup name {n}${name}`);
      await bothOnTheSame(`map lookup name {n}${name} key`);
      await bothOnTheSame(`map lookup name {n}${name} key 0 0 0 0`);
      await bothOnTheSame(`map lookup name {n}${name} key 9 0 0 0`);
      await bothOnTheSame(`map getnext name {n}${name} key 0 0 0 0`);
    }
  });

  it.each([
    "map show pinned {d}/h",
    "map list p {d}/h",
    "map show -j pinned {d}/h -p",
    "map show pinned {d}/nosuch",
    "map show pinned {d}",
    "map show pinned {d}/maps.debug",
    "map show pinned /etc/passwd",
    "map show name nosuch",
    "map show name",
    "map show name aaaaaaaaaaaaaaaaaaaaaaaa",
    "map show name {n}pa foo",
    "map show name {n}pa foo bar",
    "map show foo",
    "map show foo 3",
    "map show id",
    "map show id x",
    "map show id 4294967295",
    'map show "" 4000000',
    'map show id ""',
    "map dump",
    "map dump name",
    "map dump name nosuch",
    "map dump foo bar",
    "map dump name {n}pa foo",
    "map lookup",
    "map lookup name",
    "map lookup foo bar",
    "map lookup name nosuch key 1",
    "map lookup name {n}h key 1 0 0 0",
    "map lookup pinned {d}/h key 1 0 0 0",
    "map lookup pinned {d}/h key hex 1 0 0 0",
    "map lookup pinned {d}/h key 1 0 0 9",
    "map lookup pinned {d}/h key 1 0 0",
    "map lookup pinned {d}/h key 1 0 0 0 0",
    "map lookup pinned {d}/h key 1 0 0 0 value 1 2",
    "map lookup pinned {d}/h value 1",
    "map lookup pinned {d}/h foo",
    "map lookup pinned {d}/h key 1 0 0 0 any",
    "map lookup pinned {d}/h key 1 0 0 0 key 1",
    "-- map lookup pinned {d}/h key -- 0 0 0",
    "-- map lookup pinned {d}/h key -0 0 0 0",
    "map lookup pinned {d}/h key 08 0 0 0",
    "map lookup pinned {d}/h key 0x1 010 0x 0",
    "map lookup pinned {d}/h key hex 0x 0 0 0",
    "map lookup pinned {d}/h key hex 01 gg",
    "map lookup pinned {d}/h key hex 01000000",
    'map lookup pinned {d}/h key hex "" 1 0 0',
    `map lookup name {n}big key ${LONG_KEY}`,
    `map lookup name {n}pl key ${LONG_KEY}`,
    "map getnext pinned {d}/h key 1 0 0 0",
    "map getnext pinned {d}/h key 1 0 0",
    "map getnext pinned {d}/h value 1",
    "map getnext pinned {d}/h foo",
    "map getnext name",
    "map delete name",
    "map delete pinned {d}/h foo",
    "map delete pinned {d}/h",
    "map delete pinned {d}/h key 1 0 0 0 any",
    "map delete pinned {d}/h key 1 0 0 0 value 1",
    "map update name",
    "map update pinned {d}/h",
    "map update pinned {d}/h foo",
    "map update pinned {d}/h any",
    "map update pinned {d}/h key",
    "map update pinned {d}/h key hex",
    "map update pinned {d}/h key hex 1 0 0",
    "map update pinned {d}/h key hex 01000000 value 1",
    "map update pinned {d}/h key 1 0 0 0",
    "map update pinned {d}/h key 1 0 0 0 any",
    "map update pinned {d}/h key 1 0 0 0 value 1 2",
    "map update pinned {d}/h key 1 0 0 0 value 1 2 3 4 5 6 7 8 9",
    "map update pinned {d}/h key 1 0 0 0 value 1 2 3 4 5 6 7 8 any any",
    "map update pinned {d}/h key 1 0 0 0 value 1 2 3 4 5 6 7 8 any key",
    "map update pinned {d}/h key 1 0 0 0 value 1 2 3 4 5 6 7 8 value",
    "map update pinned {d}/h key 1 0 0 0 value 1 2 3 4 5 6 7 8 nosuch",
    "map update pinned {d}/h key 1 0 0 0 value id 1",
    "map update pinned {d}/h key 1 0 0 0 key 1 0 0 0",
    "map update pinned {d}/h value 1 2 3 4 5 6 7 8",
    "map update pinned {d}/h value 1 2 3 4 5 6 7 8 any",
    "map help",
    "map help foo",
    "map foo",
    "map top",
    "map to name {n}pa",
    "map watch name {n}pa",
    "map unpin {d}/nosuch",
    "map sho name {n}pa",
    "foo",
    "help",
    "help foo",
    "h",
    '"" ""',
    "",
    "version",
    "ver foo",
    "-V",
    "--version",
    "-jV",
    "-pV",
    "-h",
    "-hj",
    "-jh map",
    "map -h",
    "-x",
    "-jx",
    "-xj",
    "-xj map",
    "map show -xj",
    "map -j show -xj",
    "--foo",
    "--json=3 version",
    "-V -x",
    "--js version",
    "--pre version",
    "--ver",
    "--bp map show name {n}pa",
    "--de version",
    "--leg version",
    "-nmLdl version",
    "-- map show name {n}pa",
    "map -- show name {n}pa",
    "map show name {n}pa --",
    "-jf map show name {n}pa",
    "batch",
    "batch foo",
    "batch foo bar",
    "batch file",
    "batch file a b",
    "batch file /nonexistent",
  ])("%s", async (form) => {
    await bothOnTheSame(form);
  });

  it.each([
    "",
    "map show name {n}pa\nversion\n",
    "# comment\n\n  \nmap help\n",
    "#only",
    "map show name nosuch\nversion\n",
    "map show id 4000000\nversion\n",
    "version\nmap lookup name {n}pa key 9 0 0 0\nversion\n",
    "map show \\\nname {n}pa # comment\nversion # x",
    "map show name \"{n}pa\" \n map show name '{n}pa'",
    'map show name "p a"\n',
    'map show name p"a"\n',
    'map show name "pa"x\n',
    'map show name "pa\n',
    "map show name 'p#a'\n",
    "version '",
    "''\n",
    "map show name '' 3\n",
    "foo\n",
    "map foo\n",
    "map show foo\n",
    "-j map show\n",
    "\\\nversion",
    "version \\",
    "version \\\n",
    "version \\\n# c\n",
    "version\r\nversion\r\n",
    "\tversion\t\tx\n",
    "version#x\n",
    "# a \\\nversion\n",
    "map \\ \nshow",
    "map lookup name {n}pa key 0 0 0 0\nmap getnext name {n}pa\nmap dump name {n}ar\nmap delete name {n}ar key 0 0 0 0\n",
    `version ${"x".repeat(70_000)}\n`,
    `version ${"x ".repeat(5000)}\n`,
    `version ${"x ".repeat(4095)}\n`,
    `version ${"x ".repeat(4094)}\n`,
    `version ${"x".repeat(60_000)} \\\n${"y".repeat(6000)}\n`,
  ])("batch file - %#", async (input) => {
    await bothOnTheSame("batch file -", input);
  });

  it("a batch in a batch", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tsbpf-batch-"));
    try {
      const file = join(folder, "commands");
      writeFileSync(file, "version\n");
      await bothOnTheSame(`batch file ${file}`);
      await bothOnTheSame("batch file -", `batch file ${file}\nversion\n`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each(["map show", "map", "map list", "-f map show"])("%s, of all maps there are", async (form) => {
    await sides.bothList(form);
  });
});
