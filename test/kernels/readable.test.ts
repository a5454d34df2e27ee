/**
 * Waiting on the embedded kernel for what cannot be waited for. (Linux: test/linux/readable.test.ts; rings: test/maps.)
 */
import { BpfError, EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { expect, it } from "vitest";
import { watchLeaks } from "../leaks.js";

it("rejects as epoll_ctl(2) does: EBADF for what is not open, EPERM for a map without anything to wait for", async () => {
  using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
  using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 1 });
  const check = watchLeaks(kernel);
  const { fd } = map;
  const refused = async (of: number): Promise<unknown> =>
    await kernel.readable(of).then(
      () => "readable",
      (error: unknown) => error,
    );
  const error = await refused(fd);
  expect(error).toBeInstanceOf(BpfError);
  expect(error).toMatchObject({
    code: "EPERM",
    syscall: "epoll_ctl",
    message: `Cannot wait for fd ${fd}: epoll_ctl failed with EPERM (the map's type has nothing to wait for)`,
  });
  expect(await refused(fd + 1)).toMatchObject({
    code: "EBADF",
    message: `Cannot wait for fd ${fd + 1}: epoll_ctl failed with EBADF`,
  });
  expect(await refused(-1)).toMatchObject({ code: "EBADF" });
  check();
  map.close();
  expect(await refused(fd)).toMatchObject({ code: "EBADF" });
});
