/**
 * BPF_OBJ_PIN, BPF_OBJ_GET and unlink: names in a bpffs.
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
  EEXIST,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
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
    const relative = { pathname: { to: END - 2 }, path_fd: -1, file_flags: BPF_F_PATH_FD };
    const data = [[END - 2, Uint8Array.of(0x70, 0)]] as const;
    t.command(BPF_OBJ_GET, "obj", relative, -EBADF, { data });
    t.command(BPF_OBJ_PIN, "obj", { ...relative, bpf_fd: fd }, -EBADF, { data });
  },
};
