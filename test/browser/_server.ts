/**
 * The site that the tests look at: the package as it is published (dist/), and the pages' own modules as tsc writes them, file by
 * file, as any web server would give them.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the folders of the site lie. */
const folders: Readonly<Record<string, string>> = {
  "/dist/": fileURLToPath(new URL("../../dist/", import.meta.url)),
  "/test/": fileURLToPath(new URL("../../build/test/", import.meta.url)),
};

const types: Readonly<Record<string, string>> = { ".js": "text/javascript", ".map": "application/json" };

const page = `<!doctype html>
<meta charset="utf-8">
<title>tsbpf</title>
<link rel="icon" href="data:,">
<script type="module" src="/test/browser/page.js"></script>
`;

/** What makes a page cross-origin isolated, and lets its workers load. */
const isolating = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** A site that is being served. */
export interface Site {
  /** Of its one page. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the site on this machine, at a port that is free. */
export async function serve({ isolated }: { isolated: boolean }): Promise<Site> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
    const found = pathname === "/" ? { type: "text/html", body: page } : fileAt(pathname);
    if (found === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "Content-Type": found.type, ...(isolated ? isolating : {}) }).end(found.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function fileAt(pathname: string): { type: string; body: Uint8Array } | undefined {
  const type = types[extname(pathname)];
  const folder = Object.keys(folders).find((folder) => pathname.startsWith(folder));
  // URL has taken out all "..".
  if (type === undefined || folder === undefined) return undefined;
  try {
    return { type, body: readFileSync(folders[folder] + pathname.slice(folder.length)) };
  } catch {
    return undefined;
  }
}
