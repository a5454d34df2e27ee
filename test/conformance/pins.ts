/**
 * BPF_OBJ_PIN and BPF_OBJ_GET; unlink, mkdir, rmdir, rename, readdir: names in a bpffs.
 */
import {
  BPF_F_PATH_FD,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_TYPE_HASH,
  BPF_OBJ_GET,
  BPF_OBJ_PIN,
  EACCES,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
} from "tsbpf/uapi";
import { END } from "../machine/arena.js";
import { type Fd, type Fields, type Story, type Teller, u32 } from "./story.js";

const hash = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 4 };

function pin(t: Teller, fd: Fd | number, path: string, wanted = 0, fields: Fields = {}): void {
  t.command(BPF_OBJ_PIN, "obj", { bpf_fd: fd, pathname: { path }, ...fields }, wanted);
}

function open(t: Teller, path: string, file_flags = 0): Fd {
  return t.opens(BPF_OBJ_GET, "obj", { pathname: { path }, file_flags });
}

const mkdir = (t: Teller, path: string, wanted = 0): unknown => t.does({ op: "mkdir", path }, wanted);
const rmdir = (t: Teller, path: string, wanted = 0): unknown => t.does({ op: "rmdir", path }, wanted);
const unlink = (t: Teller, path: string, wanted = 0): unknown => t.does({ op: "unlink", path }, wanted);
const rename = (t: Teller, path: string, to: string, wanted = 0): unknown => t.does({ op: "rename", path, to }, wanted);

/** `wanted`: the names, directories with a slash behind them; or an errno. */
function list(t: Teller, path: string, wanted: string | number): void {
  const { ret, wrote } = t.does({ op: "readdir", path });
  if (typeof wanted === "number" ? ret === wanted : wrote === wanted) return;
  throw new Error(`readdir(${path}) returned ${ret}, ${wrote}: expected ${wanted}`);
}

function refusesOpen(t: Teller, wanted: number, path: string, fields: Fields = {}): void {
  t.command(BPF_OBJ_GET, "obj", { pathname: { path }, ...fields }, wanted);
}

export const pins: Story = {
  "a name keeps the map, and gives fds of it": (t) => {
    const fd = t.create(hash);
    pin(t, fd, "p0");
    t.update(fd, u32(1), u32(2));
    t.close(fd);
    const again = open(t, "p0");
    t.lookup(again, u32(1), u32(2));
    t.update(again, u32(1), u32(3));
    t.does({ op: "unlink", path: "p0" }, 0);
    t.lookup(again, u32(1), u32(3));
    refusesOpen(t, -ENOENT, "p0");
    t.does({ op: "unlink", path: "p0" }, -ENOENT);
  },

  "a name is given once; a map may have several": (t) => {
    const fd = t.create(hash);
    const other = t.create(hash);
    pin(t, fd, "p0");
    pin(t, fd, "p0", -EEXIST);
    pin(t, other, "p0", -EEXIST);
    pin(t, fd, "p1");
    t.update(open(t, "p0"), u32(1), u32(2));
    t.lookup(open(t, "p1"), u32(1), u32(2));
  },

  "an fd by name may be for reading or for writing only, whatever the pinned one was": (t) => {
    const fd = t.create({ ...hash, map_flags: BPF_F_RDONLY });
    pin(t, fd, "p0");
    t.update(open(t, "p0"), u32(1), u32(2));
    const reader = open(t, "p0", BPF_F_RDONLY);
    const writer = open(t, "p0", BPF_F_WRONLY);
    t.update(reader, u32(1), u32(3), 0, -EPERM);
    t.lookup(writer, u32(1), -EPERM);
    t.update(writer, u32(1), u32(3));
    t.lookup(reader, u32(1), u32(3));
  },

  "a name with a dot in it is EPERM": (t) => {
    const fd = t.create(hash);
    for (const path of ["p.0", ".p", "p.", "..."]) {
      pin(t, fd, path, -EPERM);
      refusesOpen(t, -EPERM, path);
    }
  },

  "a name may have 255 bytes, a path 4095": (t) => {
    const fd = t.create(hash);
    pin(t, fd, "n".repeat(255));
    open(t, "n".repeat(255));
    pin(t, fd, "n".repeat(256), -ENAMETOOLONG);
    refusesOpen(t, -ENAMETOOLONG, "n".repeat(256));
    pin(t, fd, `/${"n/".repeat(2100)}`, -ENAMETOOLONG);
  },

  "paths that lead elsewhere": (t) => {
    const fd = t.create(hash);
    pin(t, fd, "/", -EEXIST);
    pin(t, fd, "/nosuch", -EPERM);
    pin(t, fd, "/nosuch/p", -ENOENT);
    pin(t, fd, "nosuch/p", -ENOENT);
    pin(t, fd, "", -EEXIST);
    pin(t, fd, "p1/", -ENOENT);
    refusesOpen(t, -EACCES, "/");
    refusesOpen(t, -EACCES, "");
    refusesOpen(t, -ENOENT, "/nosuch");
    refusesOpen(t, -ENOENT, "nosuch");
    refusesOpen(t, -ENOENT, "nosuch/p");
  },

  "a name is no directory": (t) => {
    const fd = t.create(hash);
    pin(t, fd, "p0");
    pin(t, fd, "p0/", -EEXIST);
    refusesOpen(t, -ENOTDIR, "p0/");
    t.does({ op: "unlink", path: "p0/" }, -ENOTDIR);
    open(t, "./p0");
    open(t, ".//p0");
  },

  "directories hold names, and directories": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    mkdir(t, "d0/d1/");
    pin(t, fd, "d0/p0");
    pin(t, fd, "d0/d1/p0");
    pin(t, fd, "d0/d1/../p1");
    pin(t, fd, "./d0//./p2");
    t.update(open(t, "d0/d1/../../d0/p0"), u32(1), u32(2));
    t.lookup(open(t, "d0/d1/p0", BPF_F_RDONLY), u32(1), u32(2));
    list(t, "", "d0/");
    list(t, "d0", "d1/,p0,p1,p2");
    list(t, "d0/d1/", "p0");
    list(t, "d0/d1/..", "d1/,p0,p1,p2");
    list(t, "d0/p0", -ENOTDIR);
    list(t, "d0/p0/x", -ENOTDIR);
    list(t, "d1", -ENOENT);
    list(t, "a.b", -EPERM);
    pin(t, fd, "d0/p0", -EEXIST);
    for (const path of ["d0", "d0/", "d0/d1", "d0/.", "d0/..", "."]) pin(t, fd, path, -EEXIST);
    for (const path of ["d0", "d0/", "d0/d1", "d0/.", "d0/..", "."]) refusesOpen(t, -EACCES, path);
  },

  "the way to a name leads through directories that are there": (t) => {
    const fd = t.create(hash);
    pin(t, fd, "p0");
    const long = "n".repeat(256);
    for (const [path, errno] of [
      ["p0/p1", ENOTDIR],
      ["p0/.", ENOTDIR],
      ["p0/..", ENOTDIR],
      ["p0/a.b", ENOTDIR],
      ["d0/p1", ENOENT],
      ["d0/..", ENOENT],
      ["d0/a.b", ENOENT],
      ["a.b/p1", EPERM],
      [`d0/${long}`, ENOENT],
      [`${long}/p1`, ENAMETOOLONG],
      [`${long}.`, EPERM],
    ] as const) {
      pin(t, fd, path, -errno);
      refusesOpen(t, -errno, path);
      mkdir(t, path, -errno);
      rmdir(t, path, -errno);
      unlink(t, path, -errno);
      rename(t, path, "p2", -errno);
      rename(t, "p0", path, -errno);
    }
    refusesOpen(t, -ENOENT, "d0/");
  },

  mkdir: (t) => {
    const fd = t.create(hash);
    mkdir(t, "n".repeat(255));
    mkdir(t, "n".repeat(256), -ENAMETOOLONG);
    mkdir(t, "d0");
    pin(t, fd, "p0");
    for (const path of ["d0", "d0/", "p0", "p0/", ".", "..", "d0/.", "d0/.."]) mkdir(t, path, -EEXIST);
    for (const path of ["a.b", ".a", "a.", "..."]) mkdir(t, path, -EPERM);
    mkdir(t, "/", -EPERM);
    mkdir(t, "/nosuch", -EPERM);
    mkdir(t, "/nosuch/d1", -ENOENT);
    list(t, "", `d0/,${"n".repeat(255)}/,p0`);
  },

  "rmdir: only what is empty": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    mkdir(t, "d0/d1");
    pin(t, fd, "d0/d1/p0");
    rmdir(t, "d0", -ENOTEMPTY);
    rmdir(t, "d0/d1", -ENOTEMPTY);
    rmdir(t, "d0/d1/p0", -ENOTDIR);
    rmdir(t, "d0/d1/p0/", -ENOTDIR);
    unlink(t, "d0/d1/p0");
    rmdir(t, "d0/d1/.", -EINVAL);
    rmdir(t, "d0/d1/..", -ENOTEMPTY);
    rmdir(t, ".", -EINVAL);
    rmdir(t, "..", -ENOTEMPTY);
    rmdir(t, "d0/d1/");
    rmdir(t, "d0");
    rmdir(t, "d0", -ENOENT);
    rmdir(t, "d0/", -ENOENT);
    rmdir(t, "a.b", -EPERM);
    rmdir(t, "/", -EPERM);
    rmdir(t, "/nosuch/d1", -ENOENT);
    list(t, "", "");
  },

  "unlink: only what is no directory": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    pin(t, fd, "d0/p0");
    for (const path of ["d0", "d0/", "d0/.", "d0/..", ".", ".."]) unlink(t, path, -EISDIR);
    unlink(t, "nosuch/", -ENOENT);
    unlink(t, "a.b", -EPERM);
    unlink(t, "/", -EPERM);
    unlink(t, "/nosuch", -EPERM);
    unlink(t, "/nosuch/p0", -ENOENT);
    unlink(t, "d0/../d0/p0");
    list(t, "d0", "");
  },

  "a name in a directory keeps the map": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    pin(t, fd, "d0/p0");
    t.close(fd);
    const again = open(t, "d0/p0");
    t.findsIds("0");
    unlink(t, "d0/p0");
    t.findsIds("0");
    t.close(again);
    t.findsIds("");
  },

  "rename: a name moves, and keeps its map": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    pin(t, fd, "p0");
    t.update(fd, u32(1), u32(2));
    t.close(fd);
    rename(t, "p0", "p1");
    rename(t, "p1", "p1");
    refusesOpen(t, -ENOENT, "p0");
    rename(t, "p1", "d0/p2");
    list(t, "", "d0/");
    rename(t, "d0", "d1");
    list(t, "d1", "p2");
    refusesOpen(t, -ENOENT, "d0/p2");
    t.lookup(open(t, "d1/p2"), u32(1), u32(2));
    rename(t, "d1/p2", "d1/../p0");
    t.lookup(open(t, "p0"), u32(1), u32(2));
  },

  "rename: what has the new name goes": (t) => {
    const fd = t.create(hash);
    const other = t.create(hash);
    pin(t, fd, "p0");
    pin(t, other, "p1");
    t.update(fd, u32(1), u32(2));
    t.close(fd);
    t.close(other);
    t.findsIds("0,1");
    rename(t, "p0", "p1");
    t.findsIds("0");
    list(t, "", "p1");
    const again = open(t, "p1");
    t.lookup(again, u32(1), u32(2));
    pin(t, again, "p2");
    rename(t, "p2", "p1");
    list(t, "", "p1");
    t.close(again);
    t.findsIds("0");
    mkdir(t, "d0");
    mkdir(t, "d1");
    pin(t, open(t, "p1"), "d0/p0");
    rename(t, "d1", "d0", -ENOTEMPTY);
    rename(t, "d0", "d1");
    list(t, "", "d1/,p1");
    list(t, "d1", "p0");
  },

  "rename: maps are not directories": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    mkdir(t, "d0/d1");
    pin(t, fd, "p0");
    rename(t, "p0", "d0", -EISDIR);
    rename(t, "p0", "d0/d1", -EISDIR);
    rename(t, "d0", "p0", -ENOTDIR);
    rename(t, "d0", "p0/", -ENOTDIR);
    for (const to of ["p0/", "p1/", "d0/"]) rename(t, "p0", to, -ENOTDIR);
    rename(t, "p0/", "p1", -ENOTDIR);
    rename(t, "d0/", "d2/");
    rename(t, "d2/", "d0");
    rename(t, "d0", "d0/");
    list(t, "", "d0/,p0");
  },

  "rename: no directory comes to lie in itself": (t) => {
    const fd = t.create(hash);
    mkdir(t, "d0");
    mkdir(t, "d0/d1");
    mkdir(t, "d0/d1/d2");
    pin(t, fd, "d0/d1/p0");
    for (const to of ["d0/d3", "d0/d1", "d0/d1/d3", "d0/d1/d2/d3", "d0/d1/p0"]) rename(t, "d0", to, -EINVAL);
    for (const from of ["d0/d1", "d0/d1/d2", "d0/d1/p0"]) rename(t, from, "d0", -ENOTEMPTY);
    rename(t, "d0/d1/p0", "d0/", -ENOTDIR);
    for (const path of [".", "..", "d0/.", "d0/..", "d0/d1/.."]) {
      rename(t, path, "d4", -EBUSY);
      rename(t, "d0", path, -EBUSY);
      rename(t, "nosuch", path, -EBUSY);
    }
    rename(t, "nosuch", "a.b", -ENOENT);
    rename(t, "d0", "a.b", -EPERM);
    rename(t, "d0", "n".repeat(256), -ENAMETOOLONG);
    rename(t, "d0", "d4/d5", -ENOENT);
    rename(t, "d0", "/nosuch", -EPERM);
    rename(t, "/nosuch", "d4", -EPERM);
    rename(t, "nosuch/p0", "/", -EPERM);
    list(t, "d0/d1", "d2/,p0");
  },

  "pathname must be readable": (t) => {
    const fd = t.create(hash);
    for (const pathname of [0, 8, { to: END }, 2n ** 63n]) {
      t.command(BPF_OBJ_PIN, "obj", { bpf_fd: fd, pathname }, -EFAULT);
      t.command(BPF_OBJ_GET, "obj", { pathname }, -EFAULT);
    }
    // Without an end.
    const data = [[END - 4, Uint8Array.of(0x2f, 0x70, 0x70, 0x70)]] as const;
    t.command(BPF_OBJ_GET, "obj", { pathname: { to: END - 4 } }, -EFAULT, { data });
    t.command(BPF_OBJ_GET, "obj", { pathname: { to: END - 1 } }, -ENOENT, { data: [[END - 1, Uint8Array.of(0)]] });
  },

  "BPF_OBJ_PIN: any fd that is none of BPF's is EINVAL, before the path is read": (t) => {
    const fd = t.create(hash);
    t.close(fd);
    for (const bpf_fd of [fd, -1, 0x7ffffff0, 0, 1]) {
      pin(t, -1, "p0", -EINVAL, { bpf_fd });
      pin(t, -1, "p0", -EINVAL, { bpf_fd, pathname: 0 });
    }
  },

  flags: (t) => {
    const fd = t.create(hash);
    for (const file_flags of [1, BPF_F_RDONLY, BPF_F_WRONLY, 2 ** 31]) pin(t, fd, "p0", -EINVAL, { file_flags });
    pin(t, fd, "p0");
    for (const file_flags of [1, 2, 4, BPF_F_RDONLY | BPF_F_WRONLY, 32, 2 ** 31]) {
      refusesOpen(t, -EINVAL, "p0", { file_flags });
    }
    refusesOpen(t, -EINVAL, "p0", { bpf_fd: fd });
    refusesOpen(t, -EINVAL, "p0", { bpf_fd: -1 });
  },

  "path_fd counts with its flag, and for relative paths": (t) => {
    const fd = t.create(hash);
    pin(t, fd, "p0", -EINVAL, { path_fd: -1 });
    pin(t, fd, "p0", 0, { path_fd: -1, file_flags: BPF_F_PATH_FD });
    refusesOpen(t, -EINVAL, "p0", { path_fd: -1 });
    t.opens(BPF_OBJ_GET, "obj", { pathname: { path: "p0" }, path_fd: -1, file_flags: BPF_F_PATH_FD });
    const data = [[END - 2, Uint8Array.of(0x70, 0)]] as const;
    // A map's fd is no directory's; -100 is the working directory.
    for (const [path_fd, errno] of [
      [-1, EBADF],
      [fd, ENOTDIR],
      [0, ENOTDIR],
      [-100, ENOENT],
    ] as const) {
      const relative = { pathname: { to: END - 2 }, path_fd, file_flags: BPF_F_PATH_FD };
      t.command(BPF_OBJ_GET, "obj", relative, -errno, { data });
      if (errno !== ENOENT) t.command(BPF_OBJ_PIN, "obj", { ...relative, bpf_fd: fd }, -errno, { data });
      const empty = { pathname: { to: END - 1 }, path_fd, file_flags: BPF_F_PATH_FD };
      t.command(BPF_OBJ_GET, "obj", empty, -ENOENT, { data: [[END - 1, Uint8Array.of(0)]] });
    }
  },
};
