import { Agent as HttpAgent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { AppError } from "@headgate/kit/errors";
import { type HttpServer, readBody, sendJson, serveHttp } from "@headgate/kit/http";
import { expect, onTestFinished, test } from "vitest";
import { createCollectedLog } from "../support/collected-log.ts";
import { eventually } from "../support/eventually.ts";

type Options = Partial<Parameters<typeof serveHttp>[0]>;

/** A server whose hot way reads the body and echoes its size; all else goes to `app`. */
async function open(options: Options & { bytesMax?: number; bodyMs?: number } = {}) {
  const { log, lines } = createCollectedLog();
  const { bytesMax = 1000, bodyMs = 60_000 } = options;
  const server = await serveHttp({
    host: "127.0.0.1",
    port: 0,
    log,
    hot(req, res) {
      if (!req.url?.startsWith("/hot")) return false;
      readBody(req, { bytesMax, timeoutMs: bodyMs }).then(
        (body) => sendJson(res, 200, { length: body.length }),
        (error: AppError) => sendJson(res, error.httpStatus, { reason: error.reason }),
      );
      return true;
    },
    app: (_req, res) => sendJson(res, 200, { from: "app" }),
    ...options,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { server, lines, url: `http://127.0.0.1:${server.port}` };
}

/** A bare connection and all that it was sent. */
function dial(server: HttpServer): { socket: Socket; seen: () => string; closed: () => boolean } {
  const socket = connect(server.port, "127.0.0.1");
  let text = "";
  let closed = false;
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  onTestFinished(() => void socket.destroy());
  return { socket, seen: () => text, closed: () => closed };
}

test("asks the hot handler first and gives the app what it leaves", async () => {
  const { url } = await open();
  const hot = await fetch(`${url}/hot`, { method: "POST", body: "12345" });
  expect([hot.status, await hot.json()]).toEqual([200, { length: 5 }]);
  expect(await (await fetch(`${url}/other`)).json()).toEqual({ from: "app" });
  const empty = await fetch(`${url}/hot`, { method: "POST" });
  expect(await empty.json()).toEqual({ length: 0 });
});

test("reads a body in many chunks whole", async () => {
  const { server, url } = await open({ bytesMax: 1_000_000 });
  const large = await fetch(`${url}/hot`, { method: "POST", body: "x".repeat(900_000) });
  expect(await large.json()).toEqual({ length: 900_000 });
  const { socket, seen } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
  await eventually(() => socket.bytesWritten > 0);
  socket.write("2\r\nde\r\n0\r\n\r\n");
  await eventually(() => seen().includes('{"length":5}'));
});

test("refuses a body that declares too much, in words the sender can read, and keeps the connection", async () => {
  const { url } = await open();
  const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const refused = await post(url, agent, "x".repeat(5_000_000));
  expect(refused).toMatchObject({ status: 413, body: '{"reason":"body_too_large"}' });
  const next = await post(url, agent, "12345");
  expect(next).toMatchObject({ status: 200, port: refused.port });
});

test.each([
  ["a body that declares too much", "/hot", 413],
  ["what has a body that nobody reads", "/other", 200],
])("answers %s although its sender wants the connection closed", async (_, path, status) => {
  const { server } = await open();
  const { socket, seen, closed } = dial(server);
  const body = "x".repeat(20_000_000); // more than the kernel holds for a connection
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}`;
  let failure: unknown;
  socket.on("error", (error) => {
    failure = error;
  });
  socket.write(`${head}\r\n\r\n`);
  socket.write(body);
  await eventually(closed);
  expect([failure, seen().slice(0, 13)]).toEqual([undefined, `HTTP/1.1 ${status} `]);
});

test("refuses a chunked body as soon as it is too large", async () => {
  const { server } = await open();
  const { socket, seen } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  const chunk = `400\r\n${"x".repeat(1024)}\r\n`;
  socket.write(chunk + chunk);
  await eventually(() => seen().startsWith("HTTP/1.1 413 "));
  socket.write(`${chunk}0\r\n\r\nGET /next HTTP/1.1\r\nhost: x\r\n\r\n`);
  await eventually(() => seen().includes('{"from":"app"}'));
});

test("answers 408 when the body does not come in time", async () => {
  const { server } = await open({ bodyMs: 50 });
  const { socket, seen } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123");
  await eventually(() => seen().includes('{"reason":"body_timeout"}'));
  expect(seen()).toMatch(/^HTTP\/1\.1 408 /);
});

test("answers 408 long before the deadline when a body brings fewer than 1,024 bytes a second", async () => {
  const { server } = await open({ bodyMs: 600_000 });
  const { socket, seen } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n1");
  await eventually(() => seen().includes('{"reason":"body_timeout"}'));
  expect(seen()).toMatch(/^HTTP\/1\.1 408 /);
});

test.each([
  ["http://other.example:8065/hot?a=1", "/hot?a=1"],
  ["HTTPS://other.example:8065", "/"],
  ["http://other.example:8065?a=1", "/?a=1"],
])("takes the target %s for %s, and its host for the request's", async (target, path) => {
  const { server } = await open({
    hot: (req, res) => {
      sendJson(res, 200, { url: req.url, host: req.headers.host });
      return true;
    },
  });
  const { socket, seen } = dial(server);
  socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`);
  await eventually(() => seen().includes(`{"url":"${path}","host":"other.example:8065"}`));
});

test("closes connections beyond the bound of their client, and takes new ones when others end", async () => {
  const keys: string[] = [];
  const keyOf = (address: string) => {
    keys.push(address);
    return "client";
  };
  const { server, lines } = await open({ perClient: { connectionsMax: 2, keyOf } });
  const ask = (dialled: ReturnType<typeof dial>) => {
    dialled.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    return eventually(() => dialled.seen().includes("app"));
  };
  const first = dial(server);
  const second = dial(server);
  await Promise.all([ask(first), ask(second)]);
  const third = dial(server);
  await eventually(third.closed);
  expect([first.closed(), second.closed(), third.seen()]).toEqual([false, false, ""]);
  expect(keys).toHaveLength(3);
  expect(lines).toContainEqual(
    expect.objectContaining({ msg: "http.connections_closed", client: "client", closed: 1 }),
  );
  first.socket.destroy();
  await eventually(async () => {
    const next = dial(server);
    next.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => next.closed() || next.seen().includes("app"));
    return next.seen().includes("app");
  });
});

test("takes room for a body as it arrives, not by the length that it declares", async () => {
  const taken: number[] = [];
  let whole: Buffer | undefined;
  const { server } = await open({
    hot(req, res) {
      const room = { take: (bytes: number) => void taken.push(bytes), refuse: undefined };
      readBody(req, { bytesMax: 1_000_000, timeoutMs: 60_000, room }).then((body) => {
        whole = body;
        sendJson(res, 200, {});
      });
      return true;
    },
  });
  const { socket } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n1");
  await eventually(() => taken.length > 0);
  expect(taken).toEqual([1]);
  socket.write("2".repeat(899_999));
  await eventually(() => whole !== undefined);
  expect(whole?.toString()).toBe(`1${"2".repeat(899_999)}`);
  expect(taken.reduce((sum, bytes) => sum + bytes, 0)).toBe(900_000);
});

test("refuses a body for which there is no room, with the room's own error, and frees what came", async () => {
  const error = new AppError("unavailable", "overloaded", "Later.");
  const room = {
    refuse: undefined as ((error: AppError) => void) | undefined,
    take() {},
  };
  let thrown: unknown;
  const { server } = await open({
    hot(req, res) {
      readBody(req, { bytesMax: 1_000_000, timeoutMs: 60_000, room }).catch((reason) => {
        thrown = reason;
        sendJson(res, 503, {});
      });
      return true;
    },
  });
  const { socket, seen } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n1");
  await eventually(() => room.refuse !== undefined);
  room.refuse?.(error);
  await eventually(() => seen().startsWith("HTTP/1.1 503 "));
  expect([thrown, room.refuse]).toEqual([error, undefined]);
});

test("tells whoever reads the body that its sender left", async () => {
  let thrown: unknown;
  let asked = false;
  const { server } = await open({
    hot(req) {
      asked = true;
      readBody(req, { bytesMax: 100, timeoutMs: 60_000 }).catch((error: unknown) => {
        thrown = error;
      });
      return true;
    },
  });
  const { socket } = dial(server);
  socket.write("POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123");
  await eventually(() => asked);
  socket.destroy();
  await eventually(() => thrown instanceof AppError && thrown.reason === "body_aborted");
});

test.each([
  ["no HTTP at all", "hello\r\n\r\n", 400],
  [
    "both lengths",
    "POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
    400,
  ],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["headers too large", `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, 431],
  ["too many headers", `GET / HTTP/1.1\r\nhost: x\r\n${"x: y\r\n".repeat(100)}\r\n`, 431],
  ["two hosts", "GET / HTTP/1.1\r\nhost: x\r\nHost: y\r\n\r\n", 400],
  ["no version", "POST /hot\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 400],
  [
    "a transfer coding that it cannot undo",
    "POST /hot HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n{}",
    400,
  ],
])("answers %s honestly, and with an id", async (_, text, status) => {
  const { server } = await open();
  const { socket, seen, closed } = dial(server);
  socket.write(text);
  await eventually(closed);
  expect(seen()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(seen()).toMatch(/\r\nx-request-id: [0-9a-f]{32}\r\n/);
});

test.each([
  ["noise", "\x16\x03\x01 noise\r\n\r\n"],
  ["a bad chunk", "POST /hot HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
])("answers a good request before it refuses %s that came right behind it", async (_, rest) => {
  let answer = () => {};
  const { server } = await open({
    app: (_req, res) => {
      answer = () => sendJson(res, 200, { from: "app" });
    },
  });
  const unasked = answer;
  const { socket, seen, closed } = dial(server);
  socket.write(`GET / HTTP/1.1\r\nhost: x\r\n\r\n${rest}`);
  await eventually(() => answer !== unasked);
  expect(seen()).toBe("");
  answer();
  await eventually(closed);
  expect(seen().match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
});

test("answers a sender that ends its half of the connection behind its request", async () => {
  const { server } = await open();
  const { socket, seen, closed } = dial(server);
  socket.end("POST /hot HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n123");
  await eventually(() => seen().includes('{"length":3}'));
  await eventually(closed);
});

test("takes a request with an expectation that it does not know", async () => {
  const { server } = await open();
  const { socket, seen } = dial(server);
  socket.write("GET / HTTP/1.1\r\nhost: x\r\nexpect: the-unexpected\r\n\r\n");
  await eventually(() => seen().startsWith("HTTP/1.1 200 "));
});

test("closes new connections that bring no whole headers in time, and no others", async () => {
  const { server } = await open({ firstHeadersMs: 3_000 }); // time enough for a good one
  const proven = dial(server);
  proven.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => proven.seen().includes("app"));
  const silent = dial(server);
  const slow = dial(server);
  slow.socket.write("GET / HTTP/1.1\r\nhost: x\r\nx-a: ");
  await eventually(() => silent.closed() && slow.closed());
  expect(slow.seen()).toMatch(/^HTTP\/1\.1 408 /);
  expect(proven.closed()).toBe(false);
});

test("answers 500 and goes on when a handler throws", async () => {
  const { url, lines } = await open({
    app() {
      throw new Error("oops");
    },
  });
  expect((await fetch(`${url}/`)).status).toBe(500);
  expect(lines).toContainEqual(expect.objectContaining({ msg: "http.handler_failed" }));
});

test("drains: finishes what runs, says Connection: close, refuses new connections", async () => {
  let finish = () => {};
  const { server, url } = await open({
    drainGraceMs: 3_000, // time enough for the request of the kept one
    drainMs: 60_000,
    app(req, res) {
      if (req.url !== "/slow") return sendJson(res, 200, { from: "app" });
      finish = () => sendJson(res, 200, { slow: true });
    },
  });
  const idle = dial(server);
  idle.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => idle.seen().includes("app"));
  const kept = dial(server);
  kept.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => kept.seen().includes("app"));
  const slow = dial(server);
  slow.socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  const finishSlow = finish;
  await eventually(() => finish !== finishSlow);

  const startedMs = performance.now();
  const ended = server[Symbol.asyncDispose]();
  kept.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => /connection: close/i.test(kept.seen()));
  await expect(fetch(url)).rejects.toThrow();
  await eventually(idle.closed);
  finish();
  await eventually(() => slow.seen().includes('{"slow":true}'));
  await ended;
  expect(performance.now() - startedMs).toBeLessThan(30_000); // half of the time for the drain
});

test("cuts off at the deadline what never finishes", async () => {
  let asked = false;
  const { server } = await open({
    app() {
      asked = true;
    },
    drainMs: 200,
    drainGraceMs: 0,
  });
  const { socket, closed } = dial(server);
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => asked);
  await server[Symbol.asyncDispose]();
  await eventually(closed);
});

function post(url: string, agent: HttpAgent, body: string) {
  return new Promise<{ status: number | undefined; body: string; port: number | undefined }>(
    (resolve, reject) => {
      let port: number | undefined;
      const req = request(`${url}/hot`, { method: "POST", agent }, (res) => {
        let text = "";
        res.on("data", (chunk) => {
          text += chunk;
        });
        res.on("end", () => resolve({ status: res.statusCode, body: text, port }));
      });
      req.on("error", reject);
      req.on("socket", (socket) => {
        if (socket.connecting) socket.once("connect", () => (port = socket.localPort));
        else port = socket.localPort;
      });
      req.end(body);
    },
  );
}
